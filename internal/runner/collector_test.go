package runner

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/testutil/collectortest"
)

// hurried returns a clock that runs a thousand times as fast as the wall's, and on which nobody's patience ends but that
// of the given lengths.
func hurried(ends ...time.Duration) func(time.Duration) <-chan time.Time {
	return func(d time.Duration) <-chan time.Time {
		if d >= awayPatience && !slices.Contains(ends, d) {
			return nil
		}
		return time.After(d / 1000)
	}
}

// attemptOf returns a pod that reports to a collector, under a name which is its token as well.
func attemptOf(t *testing.T, c *collectortest.Collector, name string) *pod {
	t.Helper()
	p := newPod(t)
	p.plan.Collector = &plan.Collector{URL: c.URL, CA: c.CA}
	p.env = append(p.env, "HOSTNAME="+name)
	makeFile(t, p.paths.CollectorToken, name)
	return p
}

// lost runs the plan until the collector has what holds asks for, and then stops it without its end reaching anybody: as
// if its pod had been killed.
func (p *pod) lost(c *collectortest.Collector, what string, holds func(*journal.State) bool) {
	p.t.Helper()
	ctx, stop := context.WithCancel(p.t.Context())
	defer stop()
	done := make(chan int, 1)
	r := p.runner()
	go func() { done <- r.Run(ctx) }()
	c.Wait(p.t, what, func() bool { return holds(c.Fold(p.t)) })
	c.Fail(collectortest.Always(collectortest.Forbidden))
	stop()
	select {
	case <-done:
	case <-time.After(patience):
		p.t.Fatalf("the runner did not end in %s; printed was:\n%s", patience, p.screen)
	}
	c.Fail(nil)
}

// running reports whether a node is under way.
func running(id string) func(*journal.State) bool {
	return func(s *journal.State) bool { return slices.Contains(s.Running(10), id) }
}

func model(n int) string { return fmt.Sprintf("model.shop.m%d", n) }

// made are the events of models from..to of a total that end well.
func made(from, to, total int) []step {
	var out []step
	for n := from; n <= to; n++ {
		out = append(out, started(model(n), total), finished(model(n), "success", "", total))
	}
	return out
}

// listed is what `dbt ls` prints of models 1..total.
func listed(total int) []step {
	out := []step{{Target: map[string]string{"manifest.json": manifestJSON}}}
	for n := 1; n <= total; n++ {
		out = append(out, step{Out: fmt.Sprintf(`{"unique_id": %q, "resource_type": "model"}`, model(n))})
	}
	return out
}

const manifestJSON = `{"metadata":{"adapter_type":"duckdb"},"nodes":{},"sources":{}}`

// script is steps in order.
func script(parts ...any) []step {
	var out []step
	for _, p := range parts {
		switch p := p.(type) {
		case step:
			out = append(out, p)
		case []step:
			out = append(out, p...)
		}
	}
	return out
}

// cut is a build of eight models of which five are made and the sixth is at work.
func cut() []step { return script(version(), made(1, 5, 8), started(model(6), 8), step{Signal: true}) }

func TestJournalOfARun(t *testing.T) {
	c := collectortest.New(t)
	p := attemptOf(t, c, "pod-a")
	p.plan.Commands = [][]string{{"seed"}, {"run"}}
	p.dbt.script(1, version(), started("seed.shop.s", 1), finished("seed.shop.s", "success", "INSERT 5", 1))
	p.dbt.script(2, started(model(1), 2), finished(model(1), "success", "", 2), started(model(2), 2), finished(model(2), "error", "", 2),
		explained(model(2), "no such column"), exits(1))
	code, report := p.run()
	if code != journal.ExitNodesFailed {
		t.Errorf("exit code %d", code)
	}
	kept := c.Fold(t).Report("0c7a")
	kept.Commands[0].Start, kept.Commands[0].End = report.Commands[0].Start, report.Commands[0].End
	if diff := cmp.Diff(report, kept); diff != "" {
		t.Errorf("the termination message and the journal must come to the same (-message +journal):\n%s", diff)
	}
	var kinds []string
	for _, e := range c.Entries(t) {
		kinds = append(kinds, string(e.Kind))
	}
	want := "begin source command invocation engine total start result commandEnd command invocation total start result start result result commandEnd end"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("entries\n got %s\nwant %s", got, want)
	}
	if got := c.Log(t, "pod-a"); got != p.screen.String() {
		t.Errorf("the log that is kept must be what was printed:\n%s\nprinted was:\n%s", got, p.screen)
	}
	if n := c.Done("pod-a"); n != 1 {
		t.Errorf("it said %d times that it was done", n)
	}
}

func TestLostPodIsGoneOnWith(t *testing.T) {
	c := collectortest.New(t)
	a := attemptOf(t, c, "pod-a")
	a.dbt.script(1, cut()...)
	a.lost(c, "the sixth model", running(model(6)))

	b := attemptOf(t, c, "pod-b")
	b.dbt.script(1, listed(8)...)
	b.dbt.script(2, script(version(), made(6, 8, 3))...)
	code, report := b.run()
	if code != 0 || report.Results.Success != 8 || report.Selected != 8 || report.Finished != 8 {
		t.Errorf("got %d, %+v", code, report)
	}
	if got := b.dbt.subCommands(); !slices.Equal(got, []string{"ls", "retry"}) {
		t.Errorf("dbt was started for %q, want ls and retry", got)
	}
	if want := "3 of 8 nodes were left"; report.Commands[0].Note != want {
		t.Errorf("note %q, want %q", report.Commands[0].Note, want)
	}
	state := c.Fold(t)
	if got, _ := state.Command(0); got.Mode != journal.ModeResumed || got.Outcome != journal.Succeeded {
		t.Errorf("%+v", got)
	}
	if as := state.Attempts(); len(as) != 2 || as[0].Pod != "pod-a" || as[0].Outcome != "" || as[1].Pod != "pod-b" || as[1].Outcome != journal.Succeeded {
		t.Errorf("%+v", as)
	}
}

func TestOutOfMemoryIsGoneOnWith(t *testing.T) {
	c := collectortest.New(t)
	c.SetStream("pod-a", journal.StreamJournal, entries(
		journal.Entry{Kind: journal.KindBegin, Pod: "pod-a"},
		journal.Entry{Kind: journal.KindCommand, Line: "dbt build"},
		node(journal.KindResult, model(1), "success"), node(journal.KindStart, model(2), ""),
		journal.Entry{Kind: journal.KindCommandEnd, ExitCode: -1, Outcome: journal.OutOfMemory},
		end(journal.OutOfMemory)))
	p := attemptOf(t, c, "pod-b")
	p.dbt.script(1, listed(2)...)
	p.dbt.script(2, made(2, 2, 1)...)
	if code, report := p.run(); code != 0 || report.Results.Success != 2 || report.Commands[0].Note != "1 of 2 nodes were left" {
		t.Errorf("got %d, %+v", code, report)
	}
}

func entries(all ...journal.Entry) []byte {
	var out []byte
	for _, e := range all {
		out = append(out, journal.EncodeEntry(e)...)
	}
	return out
}

func node(kind journal.Kind, id, status string) journal.Entry {
	return journal.Entry{Kind: kind, Node: &journal.Node{ID: id, ResourceType: "model", Status: status}}
}

func end(o journal.Outcome) journal.Entry {
	return journal.Entry{Kind: journal.KindEnd, Report: journal.Encode(journal.Report{Outcome: o}, journal.MaxEndReport)}
}

// source is the revision of newPod's project.
func source(t *testing.T) string {
	t.Helper()
	p := newPod(t)
	_, report := p.run()
	return report.Source
}

func TestWhatIsBegunAnew(t *testing.T) {
	revision := source(t)
	const other = "0123456789abcdef0123456789abcdef01234567"
	tests := map[string]struct {
		reason  string
		command []string
		source  string
		anew    string
		ls      []step
		done    int // models of which the earlier attempt made so many
		note    string
		dbt     []string
	}{
		"RunOperation":  {"nobody knows how far a macro came", []string{"run-operation", "grant"}, revision, "", nil, 1, "dbt run-operation cannot be gone on with", []string{"run-operation"}},
		"OtherRevision": {"what was done was done by another project", []string{"build"}, other, "", nil, 1, "the source is at " + revision + " now, and was at " + other + " before", []string{"build"}},
		"Told":          {"the operator says so", []string{"build"}, revision, "the image is another", nil, 1, "the image is another", []string{"build"}},
		"Ls":            {"the selection cannot be computed", []string{"build"}, revision, "", []step{{Out: event("E", "Main", "error", "no such selector", nil)}, exits(2)}, 1, "what it selects cannot be computed: dbt ls ended with exit code 2: no such selector", []string{"ls", "build"}},
		"LsEmpty":       {"nor when it comes to nothing", []string{"build"}, revision, "", []step{exits(0)}, 1, "what it selects cannot be computed: dbt ls names no nodes", []string{"ls", "build"}},
		"NothingDone":   {"from the start is all there is", []string{"build"}, revision, "", nil, 0, "nothing of it was done", []string{"build"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := collectortest.New(t)
			c.Anew(tc.anew)
			before := []journal.Entry{
				{Kind: journal.KindBegin, Pod: "pod-a"}, {Kind: journal.KindSource, Source: tc.source},
				{Kind: journal.KindCommand, Line: "dbt " + strings.Join(tc.command, " ")}, {Kind: journal.KindTotal, Total: 8},
			}
			if tc.done > 0 {
				before = append(before, node(journal.KindResult, model(9), "success"))
			}
			c.SetStream("pod-a", journal.StreamJournal, entries(append(before, node(journal.KindStart, model(2), ""))...))
			p := attemptOf(t, c, "pod-b")
			p.plan.Commands = [][]string{tc.command}
			if tc.ls != nil {
				p.dbt.script(1, tc.ls...)
			}
			p.dbt.script(len(tc.dbt), made(1, 2, 2)...)
			code, report := p.run()
			if code != 0 || report.Results.Success != 2 || report.Selected != 2 {
				t.Errorf("%s: got %d, %+v", tc.reason, code, report)
			}
			if got := p.dbt.subCommands(); !slices.Equal(got, tc.dbt) {
				t.Errorf("%s: dbt was started for %q, want %q", tc.reason, got, tc.dbt)
			}
			state, _ := c.Fold(t).Command(0)
			if state.Mode != journal.ModeAnew || state.Note != tc.note {
				t.Errorf("%s: mode %q, note\n got %q\nwant %q", tc.reason, state.Mode, state.Note, tc.note)
			}
		})
	}
}

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
	if code != 0 || report.Results.Success != 2 || !slices.Equal(p.dbt.subCommands(), []string{"ls", "retry", "build"}) {
		t.Errorf("got %d, %+v, dbt %q", code, report, p.dbt.subCommands())
	}
	if want := "dbt retry did not begin: dbt build ended with exit code 2: no previous run"; report.Commands[0].Note != want {
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

func TestCommandsThatAreOver(t *testing.T) {
	c := collectortest.New(t)
	c.SetStream("pod-a", journal.StreamJournal, entries(
		journal.Entry{Kind: journal.KindBegin, Pod: "pod-a"},
		journal.Entry{Kind: journal.KindCommand, Line: "dbt seed"}, node(journal.KindResult, "seed.shop.s", "success"),
		journal.Entry{Kind: journal.KindCommandEnd, Outcome: journal.Succeeded},
		journal.Entry{Kind: journal.KindCommand, Command: 1, Line: "dbt run"}, node(journal.KindResult, model(1), "success"),
	))
	p := attemptOf(t, c, "pod-b")
	p.plan.Commands = [][]string{{"seed"}, {"run"}, {"test"}}
	p.dbt.script(1, listed(2)...)
	p.dbt.script(2, made(2, 2, 1)...)
	code, report := p.run()
	if code != 0 || report.Results.Success != 3 || len(report.Commands) != 3 {
		t.Errorf("got %d, %+v", code, report)
	}
	if got := p.dbt.subCommands(); !slices.Equal(got, []string{"ls", "retry", "test"}) {
		t.Errorf("dbt was started for %q: what ended well is not run again", got)
	}

	c = collectortest.New(t)
	c.SetStream("pod-a", journal.StreamJournal, entries(
		journal.Entry{Kind: journal.KindBegin, Pod: "pod-a"}, journal.Entry{Kind: journal.KindCommand, Line: "dbt build"},
		node(journal.KindResult, model(1), "error"), journal.Entry{Kind: journal.KindCommandEnd, ExitCode: 1, Outcome: journal.NodesFailed, Message: "1 of 1 nodes failed"},
	))
	p = attemptOf(t, c, "pod-b")
	code, report = p.run()
	if code != journal.ExitNodesFailed || report.Message != "1 of 1 nodes failed" || report.Results.Error != 1 || len(p.dbt.invocations()) != 0 {
		t.Errorf("a command that failed ends the run as it did: %d, %+v", code, report)
	}
}

func TestRunThatIsOver(t *testing.T) {
	for outcome, code := range map[journal.Outcome]int{journal.Succeeded: 0, journal.NodesFailed: journal.ExitNodesFailed, "": journal.ExitInterrupted} {
		c := collectortest.New(t)
		c.Over(outcome)
		p := attemptOf(t, c, "pod-b")
		got, report := p.run()
		if got != code || len(p.dbt.invocations()) != 0 || !strings.HasSuffix(report.Message, " before this pod began: nothing was done") {
			t.Errorf("%q: exit code %d, %+v", outcome, got, report)
		}
		if len(c.Journal()) > 0 {
			t.Errorf("it wrote to a journal that is closed: %s", c.Journal())
		}
	}
}

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
		if got := p.dbt.subCommands(); !slices.Equal(got, []string{"build", "ls", "retry", "ls", "retry"}) {
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
		"LeavesOneOut": {"dbt ends well, and has not run what was left", exitsWell(), "dbt retry ended well, but did not run model.shop.m2, which was interrupted before"},
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

// TestNodesWithSecretNames has two nodes whose names differ by a secret alone: in the journal they are one.
func TestNodesWithSecretNames(t *testing.T) {
	c := collectortest.New(t)
	c.SetStream("pod-a", journal.StreamJournal, entries(
		journal.Entry{Kind: journal.KindBegin, Pod: "pod-a"}, journal.Entry{Kind: journal.KindSource, Source: source(t)},
		journal.Entry{Kind: journal.KindCommand, Line: "dbt build"},
		node(journal.KindResult, "model.shop.***", "success"), node(journal.KindResult, model(1), "success")))
	p := attemptOf(t, c, "pod-b")
	p.plan.SecretEnv = []string{"A", "B"}
	p.env = append(p.env, "A=alphaalpha", "B=betabeta")
	p.dbt.script(1, append(listed(1), step{Out: `{"unique_id": "model.shop.alphaalpha", "resource_type": "model"}`}, step{Out: `{"unique_id": "model.shop.betabeta", "resource_type": "model"}`})...)
	p.dbt.script(2, started("model.shop.alphaalpha", 2), finished("model.shop.alphaalpha", "success", "", 2), started("model.shop.betabeta", 2), finished("model.shop.betabeta", "success", "", 2))
	code, report := p.run()
	if want := "2 of 3 nodes were left"; code != 0 || report.Commands[0].Note != want {
		t.Errorf("which of two is done cannot be told, so both are run: %d, note %q, want %q", code, report.Commands[0].Note, want)
	}
}

func TestResumeFromAnotherRun(t *testing.T) {
	c := collectortest.New(t)
	c.From(entries(
		journal.Entry{Kind: journal.KindBegin, Pod: "other"},
		journal.Entry{Kind: journal.KindCommand, Line: "dbt seed"}, node(journal.KindResult, "seed.shop.s", "success"),
		journal.Entry{Kind: journal.KindCommandEnd, Outcome: journal.Succeeded},
		journal.Entry{Kind: journal.KindCommand, Command: 1, Line: "dbt run"}, node(journal.KindResult, model(1), "success"),
		node(journal.KindResult, model(2), "error"), node(journal.KindResult, model(3), "skipped"),
		journal.Entry{Kind: journal.KindCommandEnd, Outcome: journal.NodesFailed, ExitCode: 1},
		end(journal.NodesFailed)))
	a := attemptOf(t, c, "pod-a")
	a.plan.ResumeFrom, a.plan.Commands = true, [][]string{{"seed"}, {"run"}, {"test"}}
	a.dbt.script(1, listed(3)...)
	a.dbt.script(2, script(made(2, 2, 2), started(model(3), 2), step{Signal: true})...)
	a.lost(c, "the third model", running(model(3)))

	b := attemptOf(t, c, "pod-b")
	b.plan = a.plan
	b.dbt.script(1, listed(3)...)
	b.dbt.script(2, made(3, 3, 1)...)
	code, report := b.run()
	if code != 0 || report.Results.Success != 2 || report.Selected != 2 || len(report.Commands) != 3 {
		t.Errorf("what the other run did does not count as this one's: %d, %+v", code, report)
	}
	if got := slices.Concat(a.dbt.subCommands(), b.dbt.subCommands()); !slices.Equal(got, []string{"ls", "retry", "ls", "retry", "test"}) {
		t.Errorf("dbt was started for %q", got)
	}
	if want := "it ended well in the run that this one goes on from"; report.Commands[0].Note != want {
		t.Errorf("note %q, want %q", report.Commands[0].Note, want)
	}
	var note string
	for _, e := range c.Entries(t) {
		if e.Kind == journal.KindCommand && e.Mode == journal.ModeRetry {
			note = e.Note
		}
	}
	if want := "2 of 3 nodes had not ended well in the run that this one goes on from; the others are not counted here: model.shop.m2, model.shop.m3"; note != want {
		t.Errorf("note %q, want %q", note, want)
	}
	if want := "1 of 2 nodes were left"; report.Commands[1].Note != want {
		t.Errorf("note %q, want %q", report.Commands[1].Note, want)
	}
}

// away are collectors that are not there at some time.
func TestCollectorAway(t *testing.T) {
	whole := func() []step { return script(version(), made(1, 3, 3)) }
	t.Run("Always", func(t *testing.T) {
		c := collectortest.New(t)
		c.Fail(collectortest.Always(collectortest.Drop))
		p := attemptOf(t, c, "pod-a")
		p.after = hurried(startPatience, awayPatience)
		p.dbt.script(1, whole()...)
		code, report := p.run()
		if code != 0 || report.Results.Success != 3 {
			t.Errorf("the run must run and end right: %d, %+v", code, report)
		}
		for _, want := range []string{"The run begins without the collector: asking the collector about this attempt: ", "The operator gets this run's result from the pod's end alone: "} {
			if !strings.Contains(p.screen.String(), want) {
				t.Errorf("%q was not said: %s", want, p.screen)
			}
		}
	})
	t.Run("Refused", func(t *testing.T) {
		c := collectortest.New(t)
		c.Fail(collectortest.Always(collectortest.Forbidden))
		p := attemptOf(t, c, "pod-a")
		p.dbt.script(1, whole()...)
		if code, _ := p.run(); code != 0 || len(c.Requests()) != 1 {
			t.Errorf("403 is for good: exit code %d, requests %q", code, c.Requests())
		}
	})
	phases := map[string]func(c *collectortest.Collector, p *pod){
		"AtStart": func(c *collectortest.Collector, p *pod) {
			c.Fail(collectortest.Always(collectortest.Drop))
			p.screen.onWrite = func(s string) {
				if strings.Contains(s, "START "+model(2)) {
					c.Fail(nil)
				}
			}
		},
		"InTheMiddle": func(c *collectortest.Collector, p *pod) {
			p.screen.onWrite = func(s string) {
				if strings.Contains(s, "START "+model(1)) {
					c.Fail(collectortest.Always(collectortest.Unavailable))
				}
				if strings.Contains(s, "START "+model(3)) {
					c.Fail(nil)
				}
			}
		},
		"AtEnd": func(c *collectortest.Collector, p *pod) {
			p.screen.onWrite = func(s string) {
				if strings.Contains(s, "success "+model(3)) {
					c.Fail(func(n int, _ *http.Request) collectortest.Fault {
						if n < 3 {
							return collectortest.Drop
						}
						return collectortest.None
					})
				}
			}
		},
	}
	for name, set := range phases {
		t.Run(name, func(t *testing.T) {
			c := collectortest.New(t)
			p := attemptOf(t, c, "pod-a")
			p.after = hurried(startPatience)
			set(c, p)
			p.dbt.script(1, whole()...)
			code, report := p.run()
			kept := c.Fold(t).Report("0c7a")
			if diff := cmp.Diff(report, kept); code != 0 || diff != "" {
				t.Errorf("exit code %d, nothing may be missing (-message +journal):\n%s", code, diff)
			}
			if got := c.Log(t, "pod-a"); got != p.screen.String() {
				t.Errorf("nothing of the log may be missing:\n%s\nprinted was:\n%s", got, p.screen)
			}
		})
	}
}

// refusePuts refuses artifacts.
func refusePuts(_ int, r *http.Request) collectortest.Fault {
	if r.Method == http.MethodPut {
		return collectortest.Forbidden
	}
	return collectortest.None
}

func TestInterruptIsJournaled(t *testing.T) {
	c := collectortest.New(t)
	p := attemptOf(t, c, "pod-a")
	p.dbt.script(1, script(made(1, 1, 2), started(model(2), 2), step{Signal: true}, step{Target: map[string]string{"run_results.json": "{}"}}, exits(2))...)
	code, report := p.runUntil("START " + model(2))
	if code != journal.ExitInterrupted {
		t.Errorf("exit code %d", code)
	}
	kept := c.Fold(t)
	if diff := cmp.Diff(report, kept.Report("0c7a")); diff != "" {
		t.Errorf("what was stopped must be told whole (-message +journal):\n%s", diff)
	}
	if nodes := kept.Nodes(0); len(nodes) != 2 || nodes[1].Status != journal.StatusInterrupted {
		t.Errorf("nodes %+v", nodes)
	}
	if got := c.ArtifactNames(); !slices.Equal(got, []string{"run_results-1.json"}) || c.Done("pod-a") != 1 {
		t.Errorf("artifacts %q, done %d times", got, c.Done("pod-a"))
	}
}

// TestStoppedWhileUploading has a collector that does not take an artifact while the pod's grace period ends.
func TestStoppedWhileUploading(t *testing.T) {
	c := collectortest.New(t)
	c.Fail(func(_ int, r *http.Request) collectortest.Fault {
		if r.Method == http.MethodPut {
			return collectortest.Unavailable
		}
		return collectortest.None
	})
	p := attemptOf(t, c, "pod-a")
	p.plan.GracePeriodSeconds = 90
	p.after = hurried(89 * time.Second)
	p.dbt.script(1, step{Target: map[string]string{"manifest.json": manifestJSON}})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	code := make(chan int, 1)
	go func() { code <- p.runner().Run(ctx) }()
	c.Wait(t, "an artifact", func() bool {
		return slices.ContainsFunc(c.Requests(), func(r string) bool { return strings.HasPrefix(r, "PUT ") })
	})
	if report := p.report(); report.Outcome != journal.Succeeded {
		t.Errorf("the report must be there before anything is sent: %+v", report)
	}
	stop()
	select {
	case got := <-code:
		if got != 0 || c.Fold(t).Report("").Outcome != journal.Succeeded || c.Done("pod-a") != 0 {
			t.Errorf("exit code %d, done %d times", got, c.Done("pod-a"))
		}
	case <-time.After(patience):
		t.Fatal("the runner waits on when its grace period is over")
	}
}

func TestResumeFromARunThatIsNotKnown(t *testing.T) {
	c := collectortest.New(t)
	c.Fail(func(_ int, r *http.Request) collectortest.Fault {
		if strings.Contains(r.URL.RawQuery, "from=") {
			return collectortest.Forbidden
		}
		return collectortest.None
	})
	p := attemptOf(t, c, "pod-a")
	p.plan.ResumeFrom = true
	p.dbt.script(1, made(1, 2, 2)...)
	code, report := p.run()
	if code != 0 || report.Results.Success != 2 || !strings.HasPrefix(report.Commands[0].Note, "getting the journal of what was done before: the collector answered 403") {
		t.Errorf("all is run, and why is told: %d, %+v", code, report)
	}
}
