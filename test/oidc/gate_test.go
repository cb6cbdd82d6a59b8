package oidc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// server is the running FastAPI gate. It is one for the package: Python takes its time to start.
type server struct {
	url string
	// token is its own, of the ServiceAccount that its manifests make.
	token   string
	process *process
}

// startGate starts the gate as its Deployment does, with the token of its own ServiceAccount. Where there is no Python it
// returns nil and says why.
func startGate(ctx context.Context, dir string) (*server, string, error) {
	venv, unmet, err := python(ctx)
	if venv == "" {
		return nil, unmet, err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, "", err
	}
	s := &server{url: "http://" + address}
	if s.token, err = gateToken(ctx); err != nil {
		return nil, "", err
	}
	token, ca := filepath.Join(dir, "gate-token"), filepath.Join(dir, "api-server-ca.crt")
	if err := errors.Join(os.WriteFile(token, []byte(s.token), 0o600), os.WriteFile(ca, env.Config.CAData, 0o600)); err != nil {
		return nil, "", err
	}
	_, port, _ := strings.Cut(address, ":")
	s.process, err = startProcess(filepath.Join(root, "examples", "fastapi-gate"), []string{
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=",
		"GATE_ISSUER=" + dex.issuer, "GATE_ISSUER_CA_FILE=" + dex.caFile, "GATE_AUDIENCE=" + audience,
		`GATE_GROUPS=["oidc:shop-team", "oidc:finance-team"]`, "GATE_NAMESPACE=" + team,
		"GATE_API_SERVER=" + env.Config.Host, "GATE_API_SERVER_CA_FILE=" + ca, "GATE_TOKEN_FILE=" + token,
	}, filepath.Join(venv, "bin", "uvicorn"), "--factory", "gate.app:create_app", "--host", "127.0.0.1", "--port", port)
	if err != nil {
		return nil, "", err
	}
	return s, "", await(ctx, "the gate answers", func() error {
		if s.process.ended() {
			return errors.New("it has ended: " + s.process.output())
		}
		response, err := http.Get(s.url + "/healthz")
		if err == nil {
			_ = response.Body.Close()
		}
		return err
	})
}

// python returns the folder of the gate's Python, or why there is none.
func python(ctx context.Context) (venv, unmet string, err error) {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(root, "hack", "gate-venv.sh"))
	cmd.Stderr = &said
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 3 {
		return "", "NOT TESTED: the FastAPI gate needs Python: " + said.String(), nil
	}
	if err != nil {
		return "", "", fmt.Errorf("making the gate's Python: %w: %s", err, said.String())
	}
	return strings.TrimSpace(string(out)), "", nil
}

// gateToken asks for a token of the gate's ServiceAccount, as kubelet does.
func gateToken(ctx context.Context) (string, error) {
	r := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](3600)}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "dbt-gate", Name: "gate"}}
	err := admin.SubResource("token").Create(ctx, account, r)
	return r.Status.Token, err
}

// gate is the gate in a test.
type gate struct {
	*testing.T
	*server
}

func newGate(t *testing.T) *gate {
	t.Helper()
	needs(t)
	if fastapi == nil {
		t.Skip(noGate)
	}
	from := len(fastapi.process.output())
	t.Cleanup(func() {
		if t.Failed() {
			said := fastapi.process.output()[from:]
			t.Logf("the gate said:\n%s", said[max(0, len(said)-4096):])
		}
	})
	return &gate{t, fastapi}
}

// answer is what the gate said.
type answer struct {
	code int
	kind string
	body []byte
}

// text returns a field of the body, which is a JSON object.
func (a answer) text(field string) string {
	fields := map[string]any{}
	_ = json.Unmarshal(a.body, &fields)
	return fmt.Sprint(fields[field])
}

func (g *gate) request(method, path, token, body string) *http.Response {
	g.Helper()
	request, err := http.NewRequestWithContext(g.Context(), method, g.url+path, strings.NewReader(body))
	if err != nil {
		g.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		g.Fatalf("%s %s: %v", method, path, err)
	}
	return response
}

func (g *gate) do(method, path, token, body string) answer {
	g.Helper()
	response := g.request(method, path, token, body)
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		g.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{response.StatusCode, response.Header.Get("Content-Type"), content}
}

// creates creates a run of shop through the gate and returns it as the cluster has it.
func (g *gate) creates(token string) *v1alpha1.DbtRun {
	g.Helper()
	got := g.do(http.MethodPost, "/runs", token, `{"project": "shop", "select": ["orders"]}`)
	if got.code != http.StatusCreated {
		g.Fatalf("creating a run: %d %s", got.code, got.body)
	}
	run := &v1alpha1.DbtRun{ObjectMeta: metav1.ObjectMeta{Namespace: team, Name: got.text("name")}}
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
	token := dex.login(t, jane, audience)
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
	if got := g.do(http.MethodPost, "/runs/"+run.Name+"/cancel", token, ""); got.code != http.StatusAccepted {
		t.Errorf("cancel: %d %s", got.code, got.body)
	}
	if g.see(run); run.Spec.Cancel == nil || !*run.Spec.Cancel {
		t.Error("cancel did not reach the run")
	}
	if got := g.do(http.MethodGet, "/runs?project=shop", token, ""); got.code != http.StatusOK || !strings.Contains(string(got.body), run.Name) {
		t.Errorf("list: %d %s", got.code, got.body)
	}
}

// The audit log has both: who came, and for whom.
func TestTheAuditLogNamesTheGateAndThePerson(t *testing.T) {
	g := newGate(t)
	g.creates(dex.login(t, jane, audience))
	want := []string{
		`"user":{"username":"system:serviceaccount:dbt-gate:gate"`, `"impersonatedUser":{"username":"oidc:jane@example.com"`,
		`"impersonationConstraint":"impersonate:user-info"`, `"code":201`,
	}
	err := await(t.Context(), "the audit log has the run's creation", func() error {
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
	janes, joes := dex.login(t, jane, audience), dex.login(t, joe, audience)
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
		"no team":          {"the gate acts for two groups alone", http.MethodPost, "/runs", dex.login(t, eve, audience), `{"project": "shop"}`, http.StatusForbidden, []string{"none of the groups"}},
		"nobody":           {"no token", http.MethodPost, "/runs", "", `{"project": "shop"}`, http.StatusUnauthorized, []string{"bearer token is needed"}},
		"another audience": {"a token for the wiki", http.MethodGet, "/runs", dex.login(t, jane, another), "", http.StatusUnauthorized, []string{"another audience"}},
		"the gate's own token": {
			"it is no person", http.MethodGet, "/runs", g.token, "", http.StatusUnauthorized, []string{"key that the provider does not have"},
		},
		"bad command": {
			"the CRD's own words", http.MethodPost, "/runs", janes, `{"project": "shop", "commands": ["rm -rf /"]}`, http.StatusUnprocessableEntity, []string{"a command must be one of build"},
		},
		"no run": {"not found, as the cluster says it", http.MethodGet, "/runs/none", janes, "", http.StatusNotFound, []string{`dbtruns.dbtoperator.dev \"none\" not found`}},
	} {
		got := g.do(c.method, c.path, c.token, c.body)
		if got.code != c.code || got.kind != "application/problem+json" {
			t.Errorf("%s: %s: %d %s %s, want %d", name, c.reason, got.code, got.kind, got.body, c.code)
		}
		for _, words := range c.says {
			if !strings.Contains(string(got.body), words) {
				t.Errorf("%s: %s: %s, want it to say %s", name, c.reason, got.body, words)
			}
		}
	}
	if got := g.do(http.MethodGet, "/runs/"+run.Name, joes, ""); got.code != http.StatusOK {
		t.Errorf("joe may see the team's runs: %d %s", got.code, got.body)
	}
}

// event is one server-sent event.
type event struct{ name, data string }

// events reads a stream to its end, calling at for each event.
func events(t *testing.T, body io.Reader, at func(event)) {
	t.Helper()
	var e event
	for lines := bufio.NewScanner(body); lines.Scan(); {
		switch field, value, _ := strings.Cut(lines.Text(), ": "); {
		case field == "event":
			e.name = value
		case field == "data":
			e.data = value
		case lines.Text() == "" && e.name != "":
			at(e)
			e = event{}
		}
	}
}

func TestProgressIsStreamedAsItHappens(t *testing.T) {
	g := newGate(t)
	token := dex.login(t, jane, audience)
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
	events(t, response.Body, func(e event) {
		a := answer{body: []byte(e.data)}
		got = append(got, e.name+" "+a.text("phase"))
		if e.name == "run" && len(steps) > 0 {
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
	for _, secret := range []string{fastapi.token, "eyJ", "Authorization", "Bearer"} {
		if strings.Contains(said, secret) {
			return errors.New("the gate's log has a token or a header in it: " + said)
		}
	}
	if !strings.Contains(said, "POST /runs") {
		return errors.New("the gate's log has nothing in it; is it read?")
	}
	return nil
}
