package runner

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// patience bounds every wait of these tests. Nothing is expected to take long; a machine may be slow.
const patience = 60 * time.Second

// TestMain lets the test binary play dbt: tests put a link to it, called dbt, on the PATH.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "dbt" {
		playDbt()
	}
	os.Exit(m.Run())
}

// screen is what the runner prints to. Tests wait for text on it.
type screen struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{}
	// onWrite is called with what is written, before it can be seen.
	onWrite func(string)
}

func newScreen() *screen { return &screen{changed: make(chan struct{})} }

func (s *screen) Write(p []byte) (int, error) {
	if s.onWrite != nil {
		s.onWrite(string(p))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return s.buf.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// waitFor returns when the text was printed, and fails the test when it is not in time.
func (s *screen) waitFor(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		found, changed := strings.Contains(s.buf.String(), text), s.changed
		s.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%q was not printed in %s; printed was:\n%s", text, patience, s)
		}
	}
}

// clock returns the same time for ever.
func clock() time.Time { return time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC) }

// pod is a pod as the operator makes it, in folders of the test.
type pod struct {
	t      *testing.T
	paths  Paths
	plan   plan.Plan
	env    []string
	screen *screen
	dbt    *fakeDbt
	after  func(time.Duration) <-chan time.Time
}

// newPod returns a pod with a project in a ConfigMap, `dbt build` to run and a fake dbt that does nothing and is content.
func newPod(t *testing.T) *pod {
	t.Helper()
	dir := t.TempDir()
	p := &pod{
		t: t, screen: newScreen(), dbt: newFakeDbt(t),
		paths: Paths{
			Workspace: filepath.Join(dir, "workspace"), ConfigMap: filepath.Join(dir, "configmap"),
			Tokens: filepath.Join(dir, "tokens"), CollectorToken: filepath.Join(dir, "collector-token"), GitCredentials: filepath.Join(dir, "git"),
			TerminationLog: filepath.Join(dir, "termination-log"), Root: filepath.Join(dir, "root"),
		},
		plan: plan.Plan{
			Version: plan.Version, Run: plan.Identity{Namespace: "shop", Name: "nightly", UID: "0c7a", Project: "jaffle", RequestedBy: "ada@example.com"},
			Source: plan.Source{ConfigMap: &plan.ConfigMap{Name: "jaffle"}}, Commands: [][]string{{"build"}},
			LogFormat: plan.LogText, GracePeriodSeconds: 60,
		},
	}
	p.env = append(p.dbt.environ(), plan.EnvVar+"={}")
	makeFile(t, filepath.Join(p.paths.Workspace, ".keep"), "")
	makeFile(t, filepath.Join(p.paths.ConfigMap, "dbt_project.yml"), "name: shop\n")
	return p
}

func (p *pod) runner() *Runner {
	return New(Config{Plan: p.plan, Environ: p.env, Stdout: p.screen, Now: clock, After: p.after, Paths: p.paths})
}

// run carries the plan out and returns the exit code and the report, decoded as the operator does.
func (p *pod) run() (int, journal.Report) {
	p.t.Helper()
	code := p.runner().Run(p.t.Context())
	return code, p.report()
}

// report reads the termination message.
func (p *pod) report() journal.Report {
	p.t.Helper()
	b, err := os.ReadFile(p.paths.TerminationLog)
	if err != nil {
		p.t.Fatalf("no report was left: %v; printed was:\n%s", err, p.screen)
	}
	if len(b) > journal.MaxSummary {
		p.t.Errorf("the report takes %d bytes, want at most %d", len(b), journal.MaxSummary)
	}
	r, err := journal.Decode(b)
	if err != nil {
		p.t.Fatalf("the report cannot be decoded: %v\n%s", err, b)
	}
	return r
}

func makeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
