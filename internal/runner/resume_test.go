package runner

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/testutil/collectortest"
)

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
	if got := b.dbt.subCommands(); !slices.Equal(got, []string{"ls", "build"}) {
		t.Errorf("dbt was started for %q, want ls and build", got)
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
		"RunOperation":  {"nobody knows how far a macro came", []string{"run-operation", "grant"}, revision, "", nil, 1, "dbt run-operation is not one of build, run, seed, snapshot, test, which alone can go on where they were cut off", []string{"run-operation"}},
		"OtherRevision": {"what was done was done by another project", []string{"build"}, other, "", nil, 1, "the source is at " + revision + " now, and was at " + other + " before", []string{"build"}},
		"Told":          {"the operator says so", []string{"build"}, revision, "the image is another", nil, 1, "the image is another", []string{"build"}},
		"Ls":            {"the selection cannot be computed", []string{"build"}, revision, "", []step{{Out: event("E", "Main", "error", "no such selector", nil)}, exits(2)}, 1, "what it selects cannot be computed: dbt ls ended with exit code 2: no such selector", []string{"ls", "build"}},
		"LsEmpty":       {"nor when it comes to nothing", []string{"build"}, revision, "", []step{exits(0)}, 1, "what it selects cannot be computed: dbt ls names no nodes, or too many", []string{"ls", "build"}},
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
	if got := p.dbt.subCommands(); !slices.Equal(got, []string{"ls", "run", "test"}) {
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
	p.dbt.script(1, append(listed(1), listedNode("model.shop.alphaalpha"), listedNode("model.shop.betabeta"))...)
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
	if got := slices.Concat(a.dbt.subCommands(), b.dbt.subCommands()); !slices.Equal(got, []string{"ls", "run", "ls", "run", "test"}) {
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

// What a flag stands in the way of, the variable does that dbt takes in its place.
func TestVariableThatStandsInTheWay(t *testing.T) {
	c := collectortest.New(t)
	c.SetStream("pod-a", journal.StreamJournal, began(source(t)))
	p := attemptOf(t, c, "pod-b")
	p.env = append(p.env, "DBT_SAMPLE=3 days")
	p.dbt.script(1, made(1, 2, 2)...)
	code, report := p.run()
	if want := "dbt build has the variable DBT_SAMPLE, whose window is counted from the time of each start"; code != 0 || report.Commands[0].Note != want {
		t.Errorf("got %d, note %q, want %q", code, report.Commands[0].Note, want)
	}
}

// Hooks are no nodes of dbt ls, and dbt runs none of them alone: a command whose nodes have all ended well is over only if
// nothing is known against its hooks.
func TestHooksThatAreLeft(t *testing.T) {
	const hook, withHooks = "operation.shop.shop-on-run-end-0", "name: shop\non-run-end: [\"{{ grant() }}\"]\n"
	nodes := []journal.Entry{
		{Kind: journal.KindBegin, Pod: "pod-a"}, {Kind: journal.KindCommand, Line: "dbt build"}, {Kind: journal.KindInvocation, InvocationID: "i"},
		node(journal.KindResult, model(1), "success"),
	}
	failed := append(slices.Clone(nodes), node(journal.KindResult, hook, "error"), journal.Entry{Kind: journal.KindCommandEnd, Outcome: journal.NodesFailed, ExitCode: 1})
	broken := append(slices.Clone(nodes), journal.Entry{Kind: journal.KindCommandEnd, Outcome: journal.DbtError, ExitCode: 2})
	for name, tc := range map[string]struct {
		reason  string
		before  []journal.Entry
		from    bool
		project string
		note    string
		dbt     []string
	}{
		"None":        {"nothing is left", nodes, false, "name: shop\n", "0 of 1 nodes were left", []string{"ls"}},
		"NotDone":     {"nobody knows whether they ran", nodes, false, withHooks, "its nodes had ended well, and nobody knows how far its hooks at the end had come", []string{"ls", "build"}},
		"Failed":      {"they are what is left", failed, true, withHooks, "its nodes had ended well, and its hook " + hook + " had failed", []string{"ls", "build"}},
		"DbtFailed":   {"nobody knows at what", broken, true, "name: shop\n", "its nodes had ended well, and then dbt failed", []string{"ls", "build"}},
		"NoneOfOther": {"the node that failed is none any more", append(slices.Clone(nodes), node(journal.KindResult, model(2), "error"), journal.Entry{Kind: journal.KindCommandEnd, Outcome: journal.NodesFailed, ExitCode: 1}), true, withHooks, "0 of 1 nodes had not ended well in the run that this one goes on from; the others are not counted here:", []string{"ls"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := collectortest.New(t)
			p := attemptOf(t, c, "pod-b")
			makeFile(t, filepath.Join(p.paths.ConfigMap, "dbt_project.yml"), tc.project)
			if p.plan.ResumeFrom = tc.from; tc.from {
				c.From(entries(tc.before...))
			} else {
				c.SetStream("pod-a", journal.StreamJournal, entries(tc.before...))
			}
			p.dbt.script(1, listed(1)...)
			p.dbt.script(2, made(1, 1, 1)...)
			code, report := p.run()
			if got := p.dbt.subCommands(); code != 0 || !slices.Equal(got, tc.dbt) {
				t.Errorf("%s: %d, dbt was started for %q, want %q: %+v", tc.reason, code, got, tc.dbt, report)
			}
			if state, _ := c.Fold(t).Command(0); state.Note != tc.note {
				t.Errorf("%s: note\n got %q\nwant %q", tc.reason, state.Note, tc.note)
			}
		})
	}
}

// batches is a microbatch model that is cut off at the first of so many batches.
func batches(id string, total int) []step {
	return script(started(id, 2), step{Out: event("Q045", "LogStartBatch", "info", "Batch 1", map[string]any{
		"node_info": nodeInfo(id, "started"), "batch_index": 1, "total_batches": total,
	})})
}

// A microbatch model's window is counted anew by each dbt that is not told one: where more batches were begun than that, going
// on would end well and leave out data.
func TestBatchesAreNotLeftOut(t *testing.T) {
	const said = "dbt build cannot go on: model.shop.m2 is a microbatch model of which 365 batches were begun, and dbt would build the last 2 alone now: run it with --event-time-start and --event-time-end of what is missing, or with --full-refresh"
	for name, tc := range map[string]struct {
		reason  string
		words   []string
		begun   int
		code    int
		message string
	}{
		"Many":        {"the first time", []string{"build"}, 365, journal.ExitDbtError, said},
		"Few":         {"as every day", []string{"build"}, 2, 0, ""},
		"Window":      {"the user says which", []string{"build", "--event-time-start", "2026-01-01", "--event-time-end", "2026-12-31"}, 365, 0, ""},
		"FullRefresh": {"it is begun anew", []string{"build", "--full-refresh"}, 365, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := collectortest.New(t)
			a := attemptOf(t, c, "pod-a")
			a.plan.Commands = [][]string{tc.words}
			a.dbt.script(1, script(version(), made(1, 1, 2), batches(model(2), tc.begun), step{Signal: true})...)
			a.lost(c, "the batch", func(s *journal.State) bool {
				return slices.ContainsFunc(s.Nodes(0), func(n journal.Node) bool { return n.Batches > 0 })
			})
			for _, pod := range []string{"pod-b", "pod-c"} {
				b := attemptOf(t, c, pod)
				b.plan = a.plan
				b.dbt.script(1, listed(2)...)
				b.dbt.script(2, made(2, 2, 1)...)
				if code, report := b.run(); code != tc.code || report.Message != tc.message {
					t.Errorf("%s: %s ends with %d, %q", tc.reason, pod, code, report.Message)
				}
			}
			if got, _ := c.Fold(t).Command(0); tc.message != "" && (got.Outcome != journal.DbtError || got.Message != tc.message) {
				t.Errorf("%s: the command is %+v", tc.reason, got)
			}
		})
	}
}

// That not all batches failed is no reason to retry those that did: dbt would not choose them.
func TestBatchesAreNotRetried(t *testing.T) {
	p := newPod(t)
	p.plan.RetryNodes = plan.RetryNodes{Limit: 1}
	p.dbt.script(1, script(version(), made(1, 1, 2), batches(model(2), 365), finished(model(2), "partial success", "1 batch failed", 2), exits(1))...)
	p.dbt.script(2, listed(2)...)
	code, _ := p.run()
	healed := newPod(t)
	healed.plan.RetryNodes = plan.RetryNodes{Limit: 1}
	healed.dbt.script(1, script(version(), made(1, 1, 2), batches(model(2), 365), finished(model(2), "error", "the first batch failed", 2), exits(1))...)
	healed.dbt.script(2, listed(2)...)
	healed.dbt.script(3, made(2, 2, 1)...)
	if code, report := healed.run(); code != 0 {
		t.Errorf("where no batch was built all are built again: got %d, %+v", code, report)
	}
	if code != journal.ExitNodesFailed || !strings.Contains(p.screen.String(), "The nodes that failed are not retried: model.shop.m2 is a microbatch model of which 365 batches were begun") {
		t.Errorf("got %d\n%s", code, p.screen)
	}
}
