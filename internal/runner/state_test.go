package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/testutil/collectortest"
)

func sha(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// stateful is a pod whose run has a state.
func stateful(t *testing.T, c *collectortest.Collector, name string) *pod {
	t.Helper()
	c.SetState("manifest.json", manifestJSON)
	p := attemptOf(t, c, name)
	p.plan.State = &plan.State{Run: "before", Manifest: sha(manifestJSON)}
	return p
}

func TestStateIsGivenToDbt(t *testing.T) {
	c := collectortest.New(t)
	c.SetState("run_results.json", "results")
	p := stateful(t, c, "pod-a")
	p.env = append(p.env, "DBT_STATE=/elsewhere", "DBT_DEFER_STATE=/elsewhere", "DBT_ENGINE_DEFER_STATE=/elsewhere", "DBT_DEFER=0")
	p.plan.Commands = [][]string{{"build", "-s", "state:modified+"}, {"run", "--defer", "--favor-state"}, {"debug"}}
	if code, report := p.run(); code != 0 {
		t.Fatalf("%d %+v", code, report)
	}
	dir := filepath.Join(p.paths.Workspace, "state")
	for i, want := range []string{" --state " + dir + " --defer -s state:modified+", " --state " + dir + " --defer --favor-state", ""} {
		seen := p.dbt.invocations()[i]
		line := strings.Join(seen.Args, " ")
		if got := line[strings.Index(line, "--profiles-dir"):]; !strings.HasSuffix(got, want) || strings.Count(got, "--defer") > 1 || want == "" && strings.Contains(got, "state") {
			t.Errorf("command %d: %s, want …%s", i, got, want)
		}
		for _, name := range []string{"DBT_STATE", "DBT_DEFER_STATE", "DBT_ENGINE_DEFER_STATE"} {
			if v, ok := seen.getenv(name); ok {
				t.Errorf("%s=%s gives dbt another state", name, v)
			}
		}
	}
	for name, want := range map[string]string{"manifest.json": manifestJSON, "run_results.json": "results"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
			t.Errorf("%s is %q, %v", name, b, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "sources.json")); !os.IsNotExist(err) {
		t.Errorf("a file that the run did not leave: %v", err)
	}
}

// A run that is to have a state does not run without, nor with another.
func TestNoRunWithoutItsState(t *testing.T) {
	for name, c := range map[string]struct {
		reason  string
		change  func(*collectortest.Collector, *pod)
		outcome journal.Outcome
		want    string
	}{
		"gone": {"it was deleted since", func(_ *collectortest.Collector, p *pod) { p.plan.Collector = emptyCollector(p.t) }, journal.SourceFailed,
			"spec.state: the manifest of DbtRun before cannot be had: not there: no such path"},
		"other bytes": {"it is not what was pinned", func(_ *collectortest.Collector, p *pod) { p.plan.State.Manifest = sha("x") }, journal.SourceFailed,
			"spec.state: the manifest of DbtRun before has the digest " + sha(manifestJSON) + ", and " + sha("x") + " was pinned"},
		"refused": {"the collector will not give it to this pod", func(c *collectortest.Collector, _ *pod) {
			c.Fail(func(_ int, r *http.Request) collectortest.Fault {
				if strings.HasPrefix(r.URL.Path, journal.PathState) {
					return collectortest.Forbidden
				}
				return collectortest.None
			})
		}, journal.SourceFailed, "spec.state: the manifest of DbtRun before cannot be had: getting manifest.json of the state: the collector answered 403"},
		"no collector": {"another pod may reach it", func(_ *collectortest.Collector, p *pod) { p.plan.Collector = nil }, journal.SourceUnavailable,
			"spec.state: the manifest of DbtRun before cannot be had without the operator's collector"},
	} {
		t.Run(name, func(t *testing.T) {
			col := collectortest.New(t)
			p := stateful(t, col, "pod-a")
			c.change(col, p)
			code, report := p.run()
			if code != c.outcome.ExitCode() || !strings.HasPrefix(report.Message, c.want) || len(p.dbt.invocations()) != 0 {
				t.Errorf("%s: %d %q, dbt was started %d times", c.reason, code, report.Message, len(p.dbt.invocations()))
			}
		})
	}
}

// emptyCollector is one that has no state.
func emptyCollector(t *testing.T) *plan.Collector {
	t.Helper()
	c := collectortest.New(t)
	return &plan.Collector{URL: c.URL, CA: c.CA}
}

// What is left of a command is run with the state that all of it had: dbt finds the manifest beside what was done.
func TestLostPodStillDefers(t *testing.T) {
	c := collectortest.New(t)
	a := stateful(t, c, "pod-a")
	a.plan.Commands = [][]string{{"build", "--defer", "--select", "state:modified+"}}
	a.dbt.script(1, cut()...)
	a.lost(c, "the sixth model", running(model(6)))

	b := stateful(t, c, "pod-b")
	b.plan.Commands = a.plan.Commands
	b.dbt.script(1, listed(8)...)
	b.dbt.script(2, script(version(), made(6, 8, 3))...)
	code, report := b.run()
	if code != 0 || report.Results.Success != 8 || report.Commands[0].Note != "3 of 8 nodes were left" {
		t.Fatalf("got %d, %+v", code, report)
	}
	seen := b.dbt.invocations()
	resume, state := filepath.Join(b.paths.Workspace, "resume"), filepath.Join(b.paths.Workspace, "state")
	for i, want := range [][]string{{"ls", "--state " + state, "--defer", "--select state:modified+"}, {"build", "--state " + resume, "--defer", "--select result:skipped"}} {
		line := strings.Join(seen[i].Args, " ")
		for _, part := range want {
			if strings.Count(line+" ", part+" ") != 1 {
				t.Errorf("dbt %s: want %q once", line, part)
			}
		}
		if strings.Count(line, "--state ") != 1 {
			t.Errorf("dbt %s: more than one state", line)
		}
	}
	if got, err := os.ReadFile(filepath.Join(resume, "manifest.json")); err != nil || string(got) != manifestJSON {
		t.Errorf("beside run_results.json lies %q, %v", got, err)
	}
}

// With --favor-state, what was built before the pod was lost would be read where the state has it.
func TestFavouredStateIsBegunAnew(t *testing.T) {
	c := collectortest.New(t)
	a := stateful(t, c, "pod-a")
	a.plan.Commands = [][]string{{"build", "--favor-state"}}
	a.dbt.script(1, cut()...)
	a.lost(c, "the sixth model", running(model(6)))
	b := stateful(t, c, "pod-b")
	b.plan.Commands = a.plan.Commands
	b.dbt.script(1, script(version(), made(1, 8, 8))...)
	code, report := b.run()
	if want := "dbt build has the flag --favor-state, with which what was built before would be read where the state has it"; code != 0 || report.Commands[0].Note != want {
		t.Errorf("%d, note %q", code, report.Commands[0].Note)
	}
	if got := b.dbt.subCommands(); !slices.Equal(got, []string{"build"}) {
		t.Errorf("dbt was started for %q", got)
	}
}
