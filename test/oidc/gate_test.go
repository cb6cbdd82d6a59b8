package oidc

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/oidc/oidctest"
)

// gate is the gate in a test.
type gate struct {
	*testing.T
	*oidctest.Gate
}

func newGate(t *testing.T) *gate {
	t.Helper()
	needs(t)
	if fastapi == nil {
		t.Skip(noGate)
	}
	from := len(fastapi.Process.Output())
	t.Cleanup(func() {
		if t.Failed() {
			said := fastapi.Process.Output()[from:]
			t.Logf("the gate said:\n%s", said[max(0, len(said)-4096):])
		}
	})
	return &gate{t, fastapi}
}

func (g *gate) request(method, path, token, body string) *http.Response {
	g.Helper()
	return g.Request(g, method, path, token, body)
}

func (g *gate) do(method, path, token, body string) oidctest.Answer {
	g.Helper()
	return g.Do(g, method, path, token, body)
}

// creates creates a run of shop through the gate and returns it as the cluster has it.
func (g *gate) creates(token string) *v1alpha1.DbtRun {
	g.Helper()
	got := g.do(http.MethodPost, "/runs", token, `{"project": "shop", "select": ["orders"]}`)
	if got.Code != http.StatusCreated {
		g.Fatalf("creating a run: %d %s", got.Code, got.Body)
	}
	run := &v1alpha1.DbtRun{ObjectMeta: metav1.ObjectMeta{Namespace: team, Name: got.Text("name")}}
	g.see(run)
	return run
}

// see reads a run.
func (g *gate) see(run *v1alpha1.DbtRun) {
	g.Helper()
	if err := admin.Get(g.Context(), client.ObjectKeyFromObject(run), run); err != nil {
		g.Fatal(err)
	}
}

func TestTheRequesterIsThePersonNotTheGate(t *testing.T) {
	g := newGate(t)
	token := dex.Login(t, jane, audience)
	run := g.creates(token)
	me, err := whoami(t, bearer(t, token))
	if err != nil {
		t.Fatal(err)
	}
	who := run.Spec.RequestedBy
	if who == nil || who.Username != "oidc:jane@example.com" || who.UID != me.UID || !slices.Equal(who.Groups, []string{"oidc:shop-team", "system:authenticated"}) {
		t.Errorf("spec.requestedBy = %+v, want jane with uid %s, of the gate's group alone", who, me.UID)
	}
	if !slices.Equal(run.Spec.Commands, []string{"dbt build --select orders"}) {
		t.Errorf("commands = %q", run.Spec.Commands)
	}
	if got := g.do(http.MethodPost, "/runs/"+run.Name+"/cancel", token, ""); got.Code != http.StatusAccepted {
		t.Errorf("cancel: %d %s", got.Code, got.Body)
	}
	if g.see(run); run.Spec.Cancel == nil || !*run.Spec.Cancel {
		t.Error("cancel did not reach the run")
	}
	if got := g.do(http.MethodGet, "/runs?project=shop", token, ""); got.Code != http.StatusOK || !strings.Contains(string(got.Body), run.Name) {
		t.Errorf("list: %d %s", got.Code, got.Body)
	}
}

// The audit log has both: who came, and for whom.
func TestTheAuditLogNamesTheGateAndThePerson(t *testing.T) {
	g := newGate(t)
	g.creates(dex.Login(t, jane, audience))
	want := []string{
		`"user":{"username":"system:serviceaccount:dbt-gate:gate"`, `"impersonatedUser":{"username":"oidc:jane@example.com"`,
		`"impersonationConstraint":"impersonate:user-info"`, `"code":201`,
	}
	err := oidctest.Await(t.Context(), "the audit log has the run's creation", func() error {
		content, err := os.ReadFile(auditLog)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(content)) {
			if !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(line, w) }) {
				return nil
			}
		}
		return fmt.Errorf("no line with all of %q in:\n%s", want, content)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTheGateSaysWhatTheClusterSays(t *testing.T) {
	g := newGate(t)
	janes, joes := dex.Login(t, jane, audience), dex.Login(t, joe, audience)
	run := g.creates(janes)
	for name, c := range map[string]struct {
		reason, method, path, token, body string
		code                              int
		says                              []string
	}{
		"another team": {
			"the admission policy's words, whole", http.MethodPost, "/runs", joes, `{"project": "shop"}`, http.StatusForbidden,
			[]string{`User \"oidc:joe@example.com\" cannot run DbtProject \"shop\"`, `needs the verb \"use\"`},
		},
		"no team":          {"the gate acts for two groups alone", http.MethodPost, "/runs", dex.Login(t, eve, audience), `{"project": "shop"}`, http.StatusForbidden, []string{"none of the groups"}},
		"nobody":           {"no token", http.MethodPost, "/runs", "", `{"project": "shop"}`, http.StatusUnauthorized, []string{"bearer token is needed"}},
		"another audience": {"a token for the wiki", http.MethodGet, "/runs", dex.Login(t, jane, another), "", http.StatusUnauthorized, []string{"another audience"}},
		"the gate's own token": {
			"it is no person", http.MethodGet, "/runs", g.Token, "", http.StatusUnauthorized, []string{"key that the provider does not have"},
		},
		"bad command": {
			"the CRD's own words", http.MethodPost, "/runs", janes, `{"project": "shop", "commands": ["rm -rf /"]}`, http.StatusUnprocessableEntity, []string{"a command must be one of build"},
		},
		"no run": {"not found, as the cluster says it", http.MethodGet, "/runs/none", janes, "", http.StatusNotFound, []string{`dbtruns.dbtoperator.dev \"none\" not found`}},
	} {
		got := g.do(c.method, c.path, c.token, c.body)
		if got.Code != c.code || got.Kind != "application/problem+json" {
			t.Errorf("%s: %s: %d %s %s, want %d", name, c.reason, got.Code, got.Kind, got.Body, c.code)
		}
		for _, words := range c.says {
			if !strings.Contains(string(got.Body), words) {
				t.Errorf("%s: %s: %s, want it to say %s", name, c.reason, got.Body, words)
			}
		}
	}
	if got := g.do(http.MethodGet, "/runs/"+run.Name, joes, ""); got.Code != http.StatusOK {
		t.Errorf("joe may see the team's runs: %d %s", got.Code, got.Body)
	}
}

func TestProgressIsStreamedAsItHappens(t *testing.T) {
	g := newGate(t)
	token := dex.Login(t, jane, audience)
	run := g.creates(token)
	response := g.request(http.MethodGet, "/runs/"+run.Name+"/events", token, "")
	defer func() { _ = response.Body.Close() }()
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") {
		t.Fatalf("%s %s", response.Status, kind)
	}
	// Each step is taken when the event of the one before has come: nothing here is told late, or twice.
	steps := []v1alpha1.DbtRunStatus{
		{Phase: v1alpha1.PhaseRunning, Progress: &v1alpha1.Progress{Total: 2, Done: 0}},
		{Phase: v1alpha1.PhaseRunning, Progress: &v1alpha1.Progress{Total: 2, Done: 1}},
		{Phase: v1alpha1.PhaseSucceeded, Results: &v1alpha1.Results{Success: 2}},
	}
	var got []string
	oidctest.Events(t, response.Body, func(e oidctest.Event) {
		a := oidctest.Answer{Body: []byte(e.Data)}
		got = append(got, e.Name+" "+a.Text("phase"))
		if e.Name == "run" && len(steps) > 0 {
			run.Status, steps = steps[0], steps[1:]
			if err := admin.Status().Update(t.Context(), run); err != nil {
				t.Errorf("writing the status: %v", err)
			}
		}
	})
	want := []string{"run Pending", "run Running", "run Running", "run Succeeded", "end Succeeded"}
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// Everything that the gate has said in this package: of people and runs, and no token.
func logIsClean(said string) error {
	for _, secret := range []string{fastapi.Token, "eyJ", "Authorization", "Bearer"} {
		if strings.Contains(said, secret) {
			return errors.New("the gate's log has a token or a header in it: " + said)
		}
	}
	if !strings.Contains(said, "POST /runs") {
		return errors.New("the gate's log has nothing in it; is it read?")
	}
	return nil
}
