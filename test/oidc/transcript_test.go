package oidc

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/oidc/oidctest"
)

// transcript is a shell with tokens in variables, and what was typed and said.
type transcript struct {
	*testing.T
	variables []string
	page      strings.Builder
}

// command returns what the shell runs for a line.
func (s *transcript) command(line string) *exec.Cmd {
	cmd := exec.CommandContext(s.Context(), "bash", "-c", line) //nolint:gosec // lines of this file
	cmd.Dir = "testdata"
	cmd.Env = append(os.Environ(), s.variables...)
	return cmd
}

// heading begins a part of the page.
func (s *transcript) heading(title string) { fmt.Fprintf(&s.page, "\n## %s\n", title) }

// run runs a line, writes down what it said, and fails unless that has these words.
func (s *transcript) run(line string, words ...string) string {
	s.Helper()
	out, _ := s.command(line).CombinedOutput() // that a line fails is what some of them are here for
	return s.wrote(line, string(out), words...)
}

func (s *transcript) wrote(line, out string, words ...string) string {
	s.Helper()
	for _, w := range words {
		if !strings.Contains(out, w) {
			s.Errorf("%s\n%s\nwant it to say %s", line, out, w)
		}
	}
	fmt.Fprintf(&s.page, "\n```console\n$ %s\n%s\n```\n", line, strings.TrimSpace(strings.ReplaceAll(out, "\r", "")))
	return out
}

// kubeconfig writes one that knows the cluster and nobody in it.
func kubeconfig(t *testing.T) string {
	t.Helper()
	c := clientcmdapi.NewConfig()
	c.Clusters["c"] = &clientcmdapi.Cluster{Server: env.Config.Host, CertificateAuthorityData: env.Config.CAData}
	c.Contexts["c"], c.CurrentContext = &clientcmdapi.Context{Cluster: "c", Namespace: team}, "c"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*c, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestTranscript does with kubectl and curl what the other tests do, as people do it. With OIDC_TRANSCRIPT=FILE it writes
// down what they say: docs/oidc-transcript.md is made so.
func TestTranscript(t *testing.T) {
	g := newGate(t)
	bin, err := filepath.Abs(assets)
	if err != nil {
		t.Fatal(err)
	}
	s := &transcript{T: t, variables: []string{
		"PATH=" + bin + ":" + os.Getenv("PATH"), "KUBECONFIG=" + kubeconfig(t), "gate=" + g.URL,
		"jane=" + dex.Login(t, jane, audience), "joe=" + dex.Login(t, joe, audience), "own=" + g.Token,
	}}
	s.page.WriteString("# Transcript: two people of two groups\n\nWhat kubectl and curl show, taken from a real Kubernetes API server, a real Dex and the FastAPI gate by\n" +
		"`OIDC_TRANSCRIPT=$PWD/docs/oidc-transcript.md go test -count=1 -run TestTranscript ./test/oidc`. `$jane` and `$joe` hold their ID tokens, `$own` the gate's\n" +
		"own. Jane is in `shop-team`, which may use the project shop; Joe is in `finance-team`, which may not. No operator is there: what it\n" +
		"would write into the status, the test wrote. [oidc.md](oidc.md) explains it.\n")

	s.heading("With kubectl")
	s.run(`kubectl --token "$jane" auth whoami`, "oidc:jane@example.com", "oidc:shop-team")
	created := s.run(`kubectl --token "$jane" create -f run.yaml`, "created")
	name, _, _ := strings.Cut(strings.TrimPrefix(created, "dbtrun.dbtoperator.dev/"), " ")
	s.run(`kubectl --token "$joe" get dbtrun `+name+` -o jsonpath='{.spec.requestedBy.username}'`, "oidc:jane@example.com")
	s.run(`kubectl --token "$joe" create -f run.yaml`, `needs the verb "use"`)

	s.heading("Through the gate")
	post := `curl -s -X POST "$gate/runs" -H "Authorization: Bearer $%s" -H 'Content-Type: application/json' -d '{"project": "shop", "select": ["orders"]}'`
	body := s.run(fmt.Sprintf(post, "jane"), `"username":"oidc:jane@example.com"`)
	s.run(fmt.Sprintf(post, "joe"), `needs the verb \"use\"`, `"status":403`)
	s.run(`curl -s "$gate/runs" -H "Authorization: Bearer nonsense"`, `"status":401`)
	run := &v1alpha1.DbtRun{ObjectMeta: metav1.ObjectMeta{Namespace: team, Name: oidctest.Answer{Body: []byte(body)}.Text("name")}}
	g.see(run)
	s.stream(run)

	s.heading("What the gate may not")
	s.run(`kubectl --token "$own" get dbtruns`, "forbidden")
	s.run(`kubectl --token "$own" --as oidc:jane@example.com --as-group oidc:shop-team get secrets`, "forbidden")
	s.run(`kubectl --token "$own" --as oidc:jane@example.com --as-group system:masters get dbtruns`, "forbidden")
	s.run(`kubectl --token "$own" --as system:serviceaccount:dbt-operator-system:manager get dbtruns`, "forbidden")

	if strings.Contains(s.page.String(), "eyJ") {
		t.Fatal("the page has a token in it")
	}
	if file := os.Getenv("OIDC_TRANSCRIPT"); file != "" && !t.Failed() {
		if err := os.WriteFile(file, []byte(s.page.String()), 0o644); err != nil { //nolint:gosec // a page to be read
			t.Error(err)
		}
	}
}

// long are the fields of an event that say the same each time.
var long = regexp.MustCompile(`"(uid|project|commands|created|requested_by|cancel|started|completed|failures|revision|artifacts)":("[^"]*"|\[[^]]*\]|\{[^}]*\}|null|false),?`)

// stream follows a run with curl, and lets it go on each time that curl has shown where it is.
func (s *transcript) stream(run *v1alpha1.DbtRun) {
	s.Helper()
	line := fmt.Sprintf(`curl -sN "$gate/runs/%s/events" -H "Authorization: Bearer $jane"`, run.Name)
	cmd := s.command(line)
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	steps := []v1alpha1.DbtRunStatus{
		{Phase: v1alpha1.PhaseRunning, Progress: &v1alpha1.Progress{Total: 2, Done: 1, Running: []string{"model.shop.orders"}}, Message: "dbt is at work."},
		{Phase: v1alpha1.PhaseSucceeded, Results: &v1alpha1.Results{Success: 2}, Message: "All 2 nodes ended well."},
	}
	var said bytes.Buffer
	oidctest.Events(s.T, io.TeeReader(out, &said), func(e oidctest.Event) {
		if e.Name == "run" && len(steps) > 0 {
			run.Status, steps = steps[0], steps[1:]
			if err := admin.Status().Update(s.Context(), run); err != nil {
				s.Errorf("writing the status: %v", err)
			}
		}
	})
	if err := cmd.Wait(); err != nil {
		s.Errorf("%s: %v", line, err)
	}
	s.wrote(line, strings.ReplaceAll(long.ReplaceAllString(said.String(), ""), ",}", "}"), "event: end", `"done":1`)
	s.page.WriteString("\n(Fields that are the same in each event are left out here.)\n")
}
