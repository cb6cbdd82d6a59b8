package model

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/graph"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

func TestClassAndName(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]string{
		"success": ClassSuccess, "pass": ClassSuccess, "Warn": ClassWarn, "fail": ClassFail, "runtime error": ClassError, "cancelled": ClassError,
		"skipped": ClassSkipped, "no-op": ClassNoOp, "reused": ClassReused, "interrupted": ClassInterrupted, "": ClassRunning, "what": ClassNone,
	} {
		if got := Class(status); got != want {
			t.Errorf("status %q is of class %s, want %s", status, got, want)
		}
	}
	for id, want := range map[string]string{
		"model.shop.orders": "orders", "source.shop.web.payments": "web.payments", "test.shop.unique_id.fed79b3a6e": "unique_id",
		"model.shop.orders.v2": "orders.v2", "odd": "odd", "": "",
	} {
		if got := Name(id); got != want {
			t.Errorf("%q is called %q, want %q", id, got, want)
		}
	}
}

func TestRowOf(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_700_000_000_000)
	tick := metav1.NewTime(at.Add(-time.Minute))
	run := testutil.MakeDbtRun("nightly-1").Namespace("a").UID("u").Project("shop").RequestedBy("ada").Command("dbt build").Created(at).
		Truth(v1alpha1.PhaseFailed, metav1.ConditionFalse, v1alpha1.ReasonNodesFailed, "2 nodes failed.").Completed(at.Add(time.Hour)).Obj()
	run.Spec.Trigger = &v1alpha1.Trigger{Type: v1alpha1.TriggerSchedule, ScheduleRef: &v1alpha1.ScheduleReference{Name: "nightly"}, ScheduledTime: &tick}
	run.Status.Message = "2 nodes failed."
	run.Status.Results = &v1alpha1.Results{Success: 3, Error: 2, Skipped: 1}
	run.Status.FailedNodes = testutil.Ptr[int32](2)
	want := Run{
		Namespace: "a", Name: "nightly-1", UID: "u", Project: "shop", Phase: "Failed", Reason: "NodesFailed", Message: "2 nodes failed.",
		Requester: "ada", Trigger: "Schedule", Schedule: "nightly", Scheduled: tick.UnixMilli(), Commands: []string{"dbt build"},
		Created: at.UnixMilli(), Ended: at.Add(time.Hour).UnixMilli(), Done: 6, Total: 6, Failed: 2,
	}
	if diff := cmp.Diff(want, RowOf(run)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := RowOf(testutil.MakeDbtRun("new").Inline(testutil.MakeDbtProject("p").Obj()).Obj()); got.Phase != "Pending" || got.Project != "(inline)" || got.Trigger != "Manual" {
		t.Errorf("a run that the operator has not seen: %+v", got)
	}
	run.Status.Slowest = []v1alpha1.NodeDuration{{UniqueID: "model.shop.a", Seconds: "12.345"}}
	page := PageOf(run)
	if diff := cmp.Diff([]Slow{{"model.shop.a", "12.345"}}, page.Slowest); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Count{{ClassSuccess, 3}, {ClassError, 2}, {ClassSkipped, 1}}, page.Results); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGraphOf(t *testing.T) {
	t.Parallel()
	g := graph.Graph{Nodes: []graph.Node{
		{ID: "model.s.a", Type: "model", DependsOn: []string{"source.s.x.t"}}, {ID: "model.s.b", Type: "model", DependsOn: []string{"model.s.a", "source.s.x.late"}},
		{ID: "source.s.x.late", Type: "source"}, {ID: "source.s.x.t", Type: "source"},
	}}
	got := GraphOf(g, map[string]journal.Node{"model.s.a": {ID: "model.s.a", Status: "success", Seconds: 2}, "model.s.b": {ID: "model.s.b"}})
	if diff := cmp.Diff([][2]int{{3, 0}, {0, 1}, {2, 1}}, got.Edges); diff != "" {
		t.Errorf("edges (-want +got):\n%s", diff)
	}
	classes := []string{}
	for _, n := range got.Nodes {
		classes = append(classes, n.Class)
	}
	if diff := cmp.Diff([]string{ClassSuccess, ClassRunning, ClassNone, ClassNone}, classes); diff != "" {
		t.Errorf("classes (-want +got):\n%s", diff)
	}
	if got.Nodes[2].X != got.Nodes[0].X {
		t.Errorf("a source that is needed late stands at %f, want %f: right before what needs it", got.Nodes[2].X, got.Nodes[0].X)
	}
}

// Whatever the graph, parents stand left of their children and no node covers another.
func TestPlaces(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 30, 400} {
		var edges [][2]int
		for i := 1; i < n; i++ {
			for range r.IntN(3) {
				edges = append(edges, [2]int{r.IntN(i), i})
			}
		}
		at := places(n, edges)
		for _, e := range edges {
			if at[e[0]][0]+nodeWidth >= at[e[1]][0] {
				t.Fatalf("of %d nodes, %d at %v is not left of its child %d at %v", n, e[0], at[e[0]], e[1], at[e[1]])
			}
		}
		for i := range at {
			for j := range i {
				if at[i][0] == at[j][0] && at[i][1]-at[j][1] < nodeHeight && at[j][1]-at[i][1] < nodeHeight {
					t.Fatalf("of %d nodes, %d at %v covers %d at %v", n, i, at[i], j, at[j])
				}
			}
		}
		if diff := cmp.Diff(at, places(n, edges)); diff != "" {
			t.Errorf("it is not the same each time:\n%s", diff)
		}
	}
	places(2, [][2]int{{0, 1}, {1, 0}}) // a circle ends all the same
}

func BenchmarkPlaces5000(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	const n, per = 5000, 417
	var edges [][2]int
	for i := per; i < n; i++ {
		for range 1 + r.IntN(2) {
			edges = append(edges, [2]int{(i/per-1)*per + min(per-1, max(0, i%per+r.IntN(21)-10)), i})
		}
	}
	for b.Loop() {
		places(n, edges)
	}
}

func TestSearchLog(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&log, "10:00:00  line %d of many\n", i+1)
	}
	log.WriteString("10:00:01  1 of 2 ERROR creating \x1b[31mmodel\x1b[0m\x07\nno end " + strings.Repeat("x", 3*maxLine))
	tests := map[string]struct {
		reason       string
		query        LogQuery
		shown, found int
		first, last  int
	}{
		"All":     {"the newest are shown", LogQuery{}, maxLines, 3002, 2003, 3002},
		"Found":   {"in any case", LogQuery{Text: "error CREATING model"}, 1, 1, 3001, 3001},
		"Many":    {"the newest of those found", LogQuery{Text: "of many"}, maxLines, 3000, 2001, 3000},
		"None":    {"nothing has it", LogQuery{Text: "nowhere"}, 0, 0, 0, 0},
		"Around":  {"what is around a line, whatever was looked for", LogQuery{Text: "nowhere", Around: 1500}, maxLines, 1001, 1001, 2000},
		"AtStart": {"there is less before it", LogQuery{Around: 3}, 503, 503, 1, 503},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := SearchLog(strings.NewReader(log.String()), test.query)
			if err != nil {
				t.Fatal(err)
			}
			first, last := 0, 0
			if len(got.Lines) > 0 {
				first, last = got.Lines[0].Number, got.Lines[len(got.Lines)-1].Number
			}
			if got.Total != 3002 || len(got.Lines) != test.shown || got.Found != test.found || first != test.first || last != test.last {
				t.Errorf("%s: %d lines of %d, found %d, from %d to %d", test.reason, len(got.Lines), got.Total, got.Found, first, last)
			}
			for _, l := range got.Lines {
				if len(l.Text) > maxLine || strings.ContainsAny(l.Text, "\x1b\x07") {
					t.Errorf("line %d is not clean, or too long: %q", l.Number, l.Text)
				}
				if l.Number == 3001 && l.Level != "error" {
					t.Errorf("line %d is of level %q", l.Number, l.Level)
				}
			}
		})
	}
}

func TestSchedulesOf(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)
	ticking := testutil.MakeDbtSchedule("nightly", "30 1 * * *").Namespace("a").Zone("Europe/Berlin").Author("ada").
		Template(testutil.MakeDbtRun("").Project("shop").Command("dbt build")).Obj()
	suspended := testutil.MakeDbtSchedule("asleep", "@hourly").Namespace("a").Suspend().Obj()
	run := func(name string, tick time.Time, phase v1alpha1.Phase) v1alpha1.DbtRun {
		r := testutil.MakeDbtRun(name).Namespace("a").Created(tick.Add(time.Minute)).Obj()
		at, began := metav1.NewTime(tick), metav1.NewTime(tick.Add(time.Minute))
		r.Spec.Trigger = &v1alpha1.Trigger{Type: v1alpha1.TriggerSchedule, ScheduleRef: &v1alpha1.ScheduleReference{Name: "nightly"}, ScheduledTime: &at}
		r.Status.Phase, r.Status.StartTime = phase, &began
		if phase.Finished() {
			ended := metav1.NewTime(tick.Add(3 * time.Minute))
			r.Status.CompletionTime = &ended
		}
		return *r
	}
	runs := []v1alpha1.DbtRun{
		run("nightly-2", now.Add(-12*time.Hour), v1alpha1.PhaseRunning), run("nightly-1", now.Add(-36*time.Hour), v1alpha1.PhaseSucceeded),
		*testutil.MakeDbtRun("by-hand").Namespace("a").Obj(),
	}
	got := SchedulesOf([]v1alpha1.DbtSchedule{*ticking, *suspended}, runs, now)
	if len(got) != 2 || got[0].Name != "asleep" || len(got[0].Next) != 0 || !got[0].Suspended || len(got[0].History) != 0 {
		t.Fatalf("a suspended schedule has no next tick: %+v", got)
	}
	// The night of the 29th has its clocks put forward at two.
	if first := time.UnixMilli(got[1].Next[0]).UTC(); len(got[1].Next) != nextTicks || !first.Equal(time.Date(2026, 3, 29, 0, 30, 0, 0, time.UTC)) {
		t.Errorf("the next of %d ticks is %s", len(got[1].Next), first)
	}
	if second := time.UnixMilli(got[1].Next[1]).UTC(); !second.Equal(time.Date(2026, 3, 29, 23, 30, 0, 0, time.UTC)) {
		t.Errorf("the tick after it is %s", second)
	}
	want := []Tick{
		{Run: "nightly-1", Trigger: "Schedule", Phase: "Succeeded", At: now.Add(-36 * time.Hour).UnixMilli(), Seconds: 120},
		{Run: "nightly-2", Trigger: "Schedule", Phase: "Running", At: now.Add(-12 * time.Hour).UnixMilli(), Seconds: (12*time.Hour - time.Minute).Seconds()},
	}
	if diff := cmp.Diff(want, got[1].History); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

func TestFailuresOf(t *testing.T) {
	t.Parallel()
	run := testutil.MakeDbtRun("r").Obj()
	run.Status.FailedNodes = testutil.Ptr[int32](12)
	run.Status.Failures = []v1alpha1.Failure{{UniqueID: "model.s.known", Status: "error", Message: "why"}}
	nodes := map[string]journal.Node{}
	for i := range 12 {
		id := fmt.Sprintf("model.s.n%02d", i)
		nodes[id] = journal.Node{ID: id, Status: "error"}
	}
	nodes["model.s.good"] = journal.Node{ID: "model.s.good", Status: "success"}
	nodes["model.s.cut"] = journal.Node{ID: "model.s.cut", Status: journal.StatusInterrupted}
	if got := FailuresOf(run, nodes); got.Of != 13 || len(got.Nodes) != 13 || got.Nodes[0].ID != "model.s.cut" || got.Nodes[0].Class != ClassInterrupted {
		t.Errorf("of the journal: %+v", got)
	}
	if got := FailuresOf(run, nil); got.Of != 12 || len(got.Nodes) != 1 || got.Nodes[0].Type != "model" || got.Nodes[0].Message != "why" {
		t.Errorf("of the status: %+v", got)
	}
}
