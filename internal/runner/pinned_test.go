package runner

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/testutil/collectortest"
)

// began is the journal of a pod that pinned a commit, made the first of two models and was lost.
func began(commit string) []byte {
	return entries(
		journal.Entry{Kind: journal.KindBegin, Pod: "pod-a"}, journal.Entry{Kind: journal.KindSource, Source: commit},
		journal.Entry{Kind: journal.KindCommand, Line: "dbt build"}, node(journal.KindResult, model(1), "success"), node(journal.KindStart, model(2), ""))
}

// TestSourceIsPinned moves the branch on between two pods of a run.
func TestSourceIsPinned(t *testing.T) {
	s := newShop(t)
	server := s.serve()
	c := collectortest.New(t)
	c.SetStream("pod-a", journal.StreamJournal, began(s.first))
	p := attemptOf(t, c, "pod-b")
	p.plan.Source = plan.Source{Git: &plan.Git{URL: server.URL + "/shop", Branch: "main"}}
	p.dbt.script(1, listed(2)...)
	p.dbt.script(2, made(2, 2, 1)...)
	code, report := p.run()
	if code != 0 || report.Source != s.first || report.Results.Success != 2 {
		t.Errorf("the commit of the first pod counts for all: %d, %+v", code, report)
	}
	if got := readFile(t, filepath.Join(p.paths.Workspace, "project", "dbt_project.yml")); got != "name: first" {
		t.Errorf("fetched was %q", got)
	}
}

// TestSourceIsGone has the branch forced to another history, and the commit of the first pod thrown away.
func TestSourceIsGone(t *testing.T) {
	s := newShop(t)
	server := s.serve()
	const gone = "0123456789abcdef0123456789abcdef01234567"
	c := collectortest.New(t)
	c.SetStream("pod-a", journal.StreamJournal, began(gone))
	p := attemptOf(t, c, "pod-b")
	p.plan.Source = plan.Source{Git: &plan.Git{URL: server.URL + "/shop", Branch: "main"}}
	p.dbt.script(1, made(1, 2, 2)...)
	code, report := p.run()
	if code != 0 || report.Source != s.second || report.Results.Success != 2 || !slices.Equal(p.dbt.subCommands(), []string{"build"}) {
		t.Errorf("got %d, %+v, dbt %q", code, report, p.dbt.subCommands())
	}
	if want := "the source is at " + s.second + " now, and was at " + gone + " before"; report.Commands[0].Note != want {
		t.Errorf("note %q, want %q", report.Commands[0].Note, want)
	}
	if !strings.Contains(p.screen.String(), "The commit that an earlier pod of this run had is gone: ") {
		t.Errorf("it was not said: %s", p.screen)
	}
	if exists(filepath.Join(p.paths.Workspace, "git")) {
		t.Error("the fetches left their repository behind")
	}
}

func TestPrepareFetchesWhatIsPinned(t *testing.T) {
	s := newShop(t)
	server := s.serveTLS()
	server.before = basicAuth("git", "correct-horse")
	for name, away := range map[string]bool{"There": false, "Away": true} {
		t.Run(name, func(t *testing.T) {
			c := collectortest.New(t)
			c.SetStream("pod-a", journal.StreamJournal, began(s.first))
			if away {
				c.Fail(collectortest.Always(collectortest.Drop))
			}
			p := gitPod(t, plan.Git{URL: server.URL + "/shop", Branch: "main"}).withCredentials(map[string]string{"username": "git", "password": "correct-horse", "ca.crt": certificate(server.Server)})
			p.plan.Collector = &plan.Collector{URL: c.URL, CA: c.CA}
			p.after = hurried(startPatience)
			makeFile(t, p.paths.CollectorToken, "pod-b")
			if code := p.runner().Prepare(t.Context()); code != 0 {
				t.Fatalf("exit code %d: %s", code, p.screen)
			}
			want := s.first
			if away {
				want = s.second
			}
			if got := readFile(t, filepath.Join(p.paths.Workspace, "fetched.json")); !strings.Contains(got, want) {
				t.Errorf("fetched %s, want %s", got, want)
			}
		})
	}
}

func TestPrepareOfARunThatIsOver(t *testing.T) {
	c := collectortest.New(t)
	c.Over(journal.NodesFailed)
	p := gitPod(t, plan.Git{URL: "https://example.com/shop"})
	p.plan.Collector = &plan.Collector{URL: c.URL, CA: c.CA}
	makeFile(t, p.paths.CollectorToken, "pod-b")
	if code := p.runner().Prepare(t.Context()); code != journal.ExitNodesFailed || p.report().Outcome != journal.NodesFailed {
		t.Errorf("exit code %d, %+v", code, p.report())
	}
}
