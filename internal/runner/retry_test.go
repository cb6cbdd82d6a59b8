package runner

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/testutil/collectortest"
)

func TestRetryOfNodes(t *testing.T) {
	fails := func(n int, msg string) []step {
		return script(started(model(n), 8), finished(model(n), "error", msg, 8), finished(model(n+1), "skipped", "", 8))
	}
	t.Run("Heals", func(t *testing.T) {
		c := collectortest.New(t)
		p := attemptOf(t, c, "pod-a")
		p.plan.RetryNodes = plan.RetryNodes{Limit: 3}
		p.dbt.script(1, script(made(1, 6, 8), fails(7, "not yet"), exits(1))...)
		p.dbt.script(2, listed(8)...)
		p.dbt.script(3, script(fails(7, "not yet"), exits(1))...)
		p.dbt.script(4, listed(8)...)
		p.dbt.script(5, made(7, 8, 2)...)
		code, report := p.run()
		if code != 0 || report.Results != (journal.Results{Success: 8}) || report.Message != "" || len(report.Failures) > 0 {
			t.Errorf("got %d, %+v", code, report)
		}
		if want := "retry 2 of 3: 2 nodes: model.shop.m7, model.shop.m8"; report.Commands[0].Note != want || len(report.Commands) != 1 {
			t.Errorf("note %q, want %q", report.Commands[0].Note, want)
		}
		if got := p.dbt.subCommands(); !slices.Equal(got, []string{"build", "ls", "build", "ls", "build"}) {
			t.Errorf("dbt was started for %q", got)
		}
	})
	t.Run("DoesNotHeal", func(t *testing.T) {
		p := newPod(t)
		p.plan.RetryNodes = plan.RetryNodes{Limit: 1}
		p.dbt.script(1, script(made(1, 6, 8), fails(7, "never"), exits(1))...)
		p.dbt.script(2, listed(8)...)
		p.dbt.script(3, script(fails(7, "never"), exits(1))...)
		code, report := p.run()
		if code != journal.ExitNodesFailed || report.Results != (journal.Results{Success: 6, Error: 1, Skipped: 1}) {
			t.Errorf("got %d, %+v", code, report)
		}
		if want := "1 of 8 nodes failed: model.shop.m7 (error): never"; report.Message != want {
			t.Errorf("message %q, want %q", report.Message, want)
		}
	})
	t.Run("HealsBesideAHook", func(t *testing.T) {
		// dbt says of a hook only that it failed.
		const hook = "operation.shop.shop-on-run-end-0"
		p := newPod(t)
		p.plan.RetryNodes = plan.RetryNodes{Limit: 1}
		p.dbt.script(1, script(version(), made(1, 6, 8), fails(7, "not yet"), hookFailed(hook), exits(1))...)
		p.dbt.script(2, listed(8)...)
		p.dbt.script(3, script(version(), made(7, 8, 2))...)
		code, report := p.run()
		if code != 0 || report.Results != (journal.Results{Success: 8}) || report.Message != "" || len(report.Failures) > 0 || report.Selected != 8 {
			t.Errorf("got %d, %+v", code, report)
		}
	})
	t.Run("OnlyAHook", func(t *testing.T) {
		p := newPod(t)
		p.plan.RetryNodes = plan.RetryNodes{Limit: 1}
		p.dbt.script(1, script(version(), made(1, 8, 8), hookFailed("operation.shop.shop-on-run-end-0"), exits(1))...)
		p.dbt.script(2, listed(8)...)
		code, report := p.run()
		if code != journal.ExitNodesFailed || report.Results.Error != 1 || !strings.Contains(p.screen.String(), "The nodes that failed are not retried: they are hooks, which dbt does not run alone") {
			t.Errorf("got %d, %+v\n%s", code, report, p.screen)
		}
	})
	t.Run("CannotBePlanned", func(t *testing.T) {
		p := newPod(t)
		p.plan.RetryNodes = plan.RetryNodes{Limit: 1}
		p.dbt.script(1, script(made(1, 6, 8), fails(7, "never"), exits(1))...)
		p.dbt.script(2, exits(2))
		code, report := p.run()
		if code != journal.ExitNodesFailed || report.Commands[0].ExitCode != 1 || !strings.Contains(p.screen.String(), "The nodes that failed are not retried: what it selects cannot be computed") {
			t.Errorf("got %d, %+v\n%s", code, report, p.screen)
		}
	})
	t.Run("StoppedMeanwhile", func(t *testing.T) {
		c := collectortest.New(t)
		p := attemptOf(t, c, "pod-a")
		p.plan.RetryNodes = plan.RetryNodes{Limit: 1, DelaySeconds: 3600}
		p.dbt.script(1, script(made(1, 6, 8), fails(7, "never"), exits(1))...)
		p.dbt.script(2, listed(8)...)
		code, report := p.runUntil("The retry begins in 1h0m0s")
		if code != journal.ExitInterrupted || report.Message != "stopped before dbt build was retried" {
			t.Errorf("got %d, %+v", code, report)
		}
		if want := "retry 1 of 1: 2 nodes: model.shop.m7, model.shop.m8"; report.Commands[0].Note != want {
			t.Errorf("note %q, want %q", report.Commands[0].Note, want)
		}
		goesOn(t, c)
	})
	t.Run("LostMeanwhile", func(t *testing.T) {
		c := collectortest.New(t)
		p := attemptOf(t, c, "pod-a")
		p.plan.RetryNodes = plan.RetryNodes{Limit: 1}
		p.dbt.script(1, script(made(1, 6, 8), fails(7, "never"), exits(1))...)
		p.dbt.script(2, step{Signal: true})
		p.lost(c, "the retry", func(s *journal.State) bool {
			got, _ := s.Command(0)
			return got.Mode == journal.ModeRetry
		})
		goesOn(t, c)
	})
}

// hookFailed is what dbt says of a hook that failed.
func hookFailed(id string) step {
	return step{Out: event("Z024", "RunResultErrorNoMessage", "error", "x", map[string]any{"node_info": nodeInfo(id, "error"), "msg": "permission denied"})}
}

// goesOn runs the pod after one that had made six of eight models and was to retry the other two.
func goesOn(t *testing.T, c *collectortest.Collector) {
	t.Helper()
	p := attemptOf(t, c, "pod-b")
	p.dbt.script(1, listed(8)...)
	p.dbt.script(2, made(7, 8, 2)...)
	if code, report := p.run(); code != 0 || report.Results.Success != 8 {
		t.Errorf("the pod after it must go on: %d, %+v", code, report)
	}
}

func TestRetryIsBelievedByItsNodes(t *testing.T) {
	tests := map[string]struct {
		reason  string
		retry   []step
		message string
	}{
		"LeavesOneOut": {"dbt ends well, and has not run what was left", exitsWell(), "dbt build ended well, but did not run model.shop.m2, which was interrupted before"},
		"BreaksLater":  {"what came to nodes is not begun anew", script(started(model(2), 1), finished(model(2), "success", "", 1), exits(2)), "dbt build ended with exit code 2: it did not say why; see the log of the pod"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := collectortest.New(t)
			c.SetStream("pod-a", journal.StreamJournal, began(source(t)))
			p := attemptOf(t, c, "pod-b")
			p.dbt.script(1, listed(3)...)
			p.dbt.script(2, tc.retry...)
			code, report := p.run()
			if code != journal.ExitDbtError || report.Message != tc.message || len(p.dbt.invocations()) != 2 {
				t.Errorf("%s: got %d %q, want %q", tc.reason, code, report.Message, tc.message)
			}
		})
	}
}

func exitsWell() []step { return script(started(model(3), 1), finished(model(3), "success", "", 1)) }

// TestRetryThatDoesNotBegin has a dbt that cannot go on: nothing has run, so all of it may be.
func TestRetryThatDoesNotBegin(t *testing.T) {
	broken := []step{{Out: event("Z002", "MainEncounteredError", "error", "x", map[string]any{"exc": "no previous run"})}, exits(2)}
	c := collectortest.New(t)
	c.SetStream("pod-a", journal.StreamJournal, began(source(t)))
	p := attemptOf(t, c, "pod-b")
	p.dbt.script(1, listed(2)...)
	p.dbt.script(2, broken...)
	p.dbt.script(3, made(1, 2, 2)...)
	code, report := p.run()
	if code != 0 || report.Results.Success != 2 || !slices.Equal(p.dbt.subCommands(), []string{"ls", "build", "build"}) {
		t.Errorf("got %d, %+v, dbt %q", code, report, p.dbt.subCommands())
	}
	if want := "what was left did not begin: dbt build ended with exit code 2: no previous run"; report.Commands[0].Note != want {
		t.Errorf("note %q, want %q", report.Commands[0].Note, want)
	}

	p = newPod(t)
	p.plan.RetryNodes = plan.RetryNodes{Limit: 2}
	p.dbt.script(1, script(made(1, 1, 2), finished(model(2), "error", "never", 2), exits(1))...)
	p.dbt.script(2, listed(2)...)
	p.dbt.script(3, broken...)
	code, report = p.run()
	if code != journal.ExitNodesFailed || report.Commands[0].ExitCode != 1 || report.Message != "1 of 2 nodes failed: model.shop.m2 (error): never" {
		t.Errorf("a retry that does not begin leaves the command as it was: %d, %+v", code, report)
	}
}
