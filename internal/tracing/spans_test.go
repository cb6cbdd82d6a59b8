package tracing_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/tracing"
)

var update = flag.Bool("update", false, "write what was got into testdata")

var created = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

const (
	uid    = "5b0c5a1e-6f0a-4a0e-9d4c-2f6f1a2b3c4d"
	parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)

// run is a run of the shop that failed.
func run(change func(*tracing.Run)) tracing.Run {
	r := tracing.Run{
		Namespace: "shop", Name: "nightly-29400120", UID: uid, Project: "shop", Target: "prod", Schedule: "nightly", ScheduledTime: created,
		Trigger: "Schedule", Requester: "ada@example.com", Revision: "4b825dc642cb6eb9a060e54bf8d69288fbee4904", Image: "dbt@sha256:1",
		Created: created, Start: created.Add(20 * time.Second), End: created.Add(4 * time.Minute),
		Phase: "Failed", Reason: "NodesFailed", Message: "1 node failed: model.shop.orders", Outcome: tracing.Failed,
	}
	if change != nil {
		change(&r)
	}
	return r
}

// at returns Unix milliseconds some seconds after the run was made.
func at(seconds float64) int64 { return created.UnixMilli() + int64(seconds*1000) }

func node(id, status string, start, end float64, message string) *journal.Node {
	kind, _, _ := strings.Cut(id, ".")
	n := &journal.Node{ID: id, ResourceType: kind, Status: status, Path: "models/x.sql", Message: message}
	if start > 0 {
		n.Start, n.End, n.Rows, n.Relation = at(start), at(end), 7, `"w"."a"."x"`
	}
	return n
}

// timeline is that of a run whose first pod was lost.
func timeline() *journal.Timeline {
	t := journal.NewTimeline()
	for _, e := range []journal.Entry{
		{Kind: journal.KindBegin, Pod: "nightly-a", At: at(21)},
		{Kind: journal.KindCommand, Line: "dbt build --select +orders", At: at(22)},
		{Kind: journal.KindEngine, Dbt: "1.12.6", Adapter: "postgres=1.11.0"},
		{Kind: journal.KindInvocation, InvocationID: "8a0d29f7-bbc3-48e3-a0e4-36ae38f86fd0"},
		{Kind: journal.KindTotal, Total: 4},
		{Kind: journal.KindStart, At: at(25), Node: node("model.shop.stg_orders", "", 0, 0, "")},
		{Kind: journal.KindResult, At: at(31), Node: node("model.shop.stg_orders", "success", 25.5, 30.25, "")},
		{Kind: journal.KindStart, At: at(31), Node: node("model.shop.orders", "", 0, 0, "")},
		{Kind: journal.KindBegin, Pod: "nightly-b", At: at(100)},
		{Kind: journal.KindCommand, Line: "dbt build --select +orders", Mode: journal.ModeResumed, Note: "3 of 4 nodes were left", At: at(101)},
		{Kind: journal.KindInvocation, InvocationID: "0a0d29f7-bbc3-48e3-a0e4-36ae38f86fd1"},
		{Kind: journal.KindStart, At: at(105), Node: node("model.shop.orders", "", 0, 0, "")},
		{Kind: journal.KindResult, At: at(111), Node: node("model.shop.orders", "error", 105.5, 110.75, "Database Error: no such column")},
		{Kind: journal.KindResult, At: at(111), Node: node("model.shop.daily_revenue", "skipped", 0, 0, "")},
		{Kind: journal.KindResult, At: at(113), Node: node("test.shop.unique_id", "warn", 111, 112, "")},
		{Kind: journal.KindCommandEnd, At: at(115), ExitCode: 1, Outcome: journal.NodesFailed, Message: "1 node failed: model.shop.orders"},
		{Kind: journal.KindEnd, At: at(240.5), Report: journal.Encode(journal.Report{Outcome: journal.NodesFailed, Message: "1 node failed: model.shop.orders"}, journal.MaxEndReport)},
	} {
		t.Apply(e)
	}
	return t
}

// told is a span as a golden file has it.
type told struct {
	ID         string         `json:"id"`
	Parent     string         `json:"parent,omitempty"`
	Name       string         `json:"name"`
	Kind       string         `json:"kind"`
	Start      string         `json:"start"`
	End        string         `json:"end"`
	Attributes map[string]any `json:"attributes"`
	Events     []string       `json:"events,omitempty"`
	Error      string         `json:"error,omitempty"`
}

func tell(s tracing.Span) told {
	out := told{
		ID: s.ID.String(), Name: s.Name, Kind: s.Kind.String(), Start: s.Start.Format(time.RFC3339Nano), End: s.End.Format(time.RFC3339Nano),
		Attributes: map[string]any{},
	}
	if s.Parent.IsValid() {
		out.Parent = s.Parent.String()
	}
	for _, a := range s.Attributes {
		out.Attributes[string(a.Key)] = a.Value.AsInterface()
	}
	for _, e := range s.Events {
		out.Events = append(out.Events, e.Time.Format(time.RFC3339Nano)+" "+e.Name)
	}
	if s.Failed {
		out.Error = s.Message
	}
	return out
}

func spans(r tracing.Run, t *journal.Timeline) []told {
	var out []told
	for s := range tracing.Spans(r, t) {
		out = append(out, tell(s))
	}
	return out
}

// find returns the spans of a name.
func find(all []told, name string) []told {
	return slices.DeleteFunc(slices.Clone(all), func(s told) bool { return s.Name != name })
}

func TestSpans(t *testing.T) {
	got, err := json.MarshalIndent(spans(run(nil), timeline()), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "spans.json")
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("spans (-want +got); -update writes them:\n%s", diff)
	}
}

// However often they are built, by whichever operator, they are the same, and no two parts of runs have the same ID.
func TestSpansAreTheSameEachTime(t *testing.T) {
	first := spans(run(nil), timeline())
	if diff := cmp.Diff(first, spans(run(nil), timeline())); diff != "" {
		t.Errorf("built twice (-first +second):\n%s", diff)
	}
	seen := map[string]bool{}
	other := spans(run(func(r *tracing.Run) { r.UID = "another" }), timeline())
	for _, s := range append(first, other...) {
		if seen[s.ID] {
			t.Errorf("two spans have the ID %s, one of them %s", s.ID, s.Name)
		}
		seen[s.ID] = true
	}
	if tracing.TraceID(uid) == tracing.TraceID("another") || !tracing.TraceID(uid).IsValid() {
		t.Error("traces of different runs are the same, or none")
	}
}

// Run, attempt, command, node: each is within the one before.
func TestSpansFormATree(t *testing.T) {
	all := spans(run(nil), timeline())
	byID := map[string]told{}
	for _, s := range all {
		byID[s.ID] = s
	}
	path := func(s told) string {
		names := []string{s.Name}
		for s.Parent != "" {
			s = byID[s.Parent]
			names = append(names, s.Name)
		}
		slices.Reverse(names)
		return strings.Join(names, " > ")
	}
	var got []string
	for _, s := range find(all, "model.shop.orders") {
		got = append(got, path(s)+": "+s.Error)
	}
	want := []string{
		"DbtRun shop > attempt 1 > dbt build > model.shop.orders: cut off when pod nightly-a ended",
		"DbtRun shop > attempt 2 > dbt build > model.shop.orders: Database Error: no such column",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParent(t *testing.T) {
	for name, c := range map[string]struct {
		reason, header string
		valid, sampled bool
	}{
		"None":       {"a run without a caller", "", false, false},
		"Sampled":    {"the caller wants it", parent, true, true},
		"Unsampled":  {"the caller does not", strings.TrimSuffix(parent, "1") + "0", true, false},
		"Upper":      {"only lower-case digits are", strings.ToUpper(parent), false, false},
		"Short":      {"a trace of too few digits", "00-4bf92f3577b34da6-00f067aa0ba902b7-01", false, false},
		"NoTrace":    {"a trace of zeros is none", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", false, false},
		"NoSpan":     {"a span of zeros is none", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false, false},
		"Forbidden":  {"version ff is forbidden", "ff" + parent[2:], false, false},
		"Extra":      {"version 00 has four parts", parent + "-x", false, false},
		"Later":      {"what a later version adds is passed over", "01" + parent[2:] + "-x", true, true},
		"Text":       {"no header at all", "hello", false, false},
		"Injected":   {"a line break is no part of it", parent + "\nx: y", false, false},
		"TooLong":    {"bounded", "01" + parent[2:] + "-" + strings.Repeat("x", 300), false, false},
		"Whitespace": {"not trimmed: the annotation is to hold the header as it is", " " + parent, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(func(r *tracing.Run) { r.TraceParent = c.header })
			got, ok := r.Parent()
			if ok != c.valid || got.IsSampled() != c.sampled || ok && got.TraceID() != trace.TraceID([]byte("\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36")) {
				t.Errorf("%s: got %v, %t", c.reason, got, ok)
			}
			ignored, _ := spans(r, nil)[0].Attributes["dbt.traceparent.ignored"].(bool)
			if want := c.header != "" && !c.valid; ignored != want {
				t.Errorf("%s: said to be ignored %t, want %t", c.reason, ignored, want)
			}
		})
	}
}

func TestEndings(t *testing.T) {
	lost := func() *journal.Timeline {
		l := journal.NewTimeline()
		for _, e := range []journal.Entry{
			{Kind: journal.KindBegin, Pod: "a", At: at(21)}, {Kind: journal.KindCommand, Line: "dbt run", At: at(22)},
			{Kind: journal.KindStart, At: at(25), Node: node("model.shop.a", "", 0, 0, "")},
		} {
			l.Apply(e)
		}
		return l
	}
	for name, c := range map[string]struct {
		reason  string
		outcome tracing.Outcome
		message string
		want    []string
	}{
		"Succeeded": {"no failure", tracing.Succeeded, "", []string{"", "the pod was gone before it said how it ended", "dbt was gone before it said how it ended", "the node ended as interrupted"}},
		"Failed":    {"each says why", tracing.Failed, "the pod was lost", []string{"the pod was lost", "the pod was gone before it said how it ended", "dbt was gone before it said how it ended", "the node ended as interrupted"}},
		"NoMessage": {"a failure always says something", tracing.Failed, "", []string{"the run did not end well", "the pod was gone before it said how it ended", "dbt was gone before it said how it ended", "the node ended as interrupted"}},
		"Cancelled": {"what somebody stopped is no error", tracing.Cancelled, "cancelled by ada", []string{"", "", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, s := range spans(run(func(r *tracing.Run) { r.Outcome, r.Message = c.outcome, c.message }), lost()) {
				got = append(got, s.Error)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
	if got := spans(run(func(r *tracing.Run) { r.End = time.Time{} }), lost()); got != nil {
		t.Errorf("a run that has not ended has spans: %v", got)
	}
	if got := spans(run(func(r *tracing.Run) { r.Start = time.Time{} }), nil); len(got) != 1 || got[0].Events != nil {
		t.Errorf("a run whose pod never started is a span of its own: %v", got)
	}
}

// Times that a hostile pod makes up stay near the run's own, and no span ends before it begins.
func TestTimesAreNearTheRun(t *testing.T) {
	l := journal.NewTimeline()
	for _, e := range []journal.Entry{
		{Kind: journal.KindBegin, Pod: "a", At: math.MaxInt64}, {Kind: journal.KindCommand, Line: "dbt run", At: math.MinInt64},
		{Kind: journal.KindResult, At: 1, Node: &journal.Node{ID: "model.a", Status: "success", Start: at(100), End: at(50)}},
		{Kind: journal.KindCommandEnd, At: math.MinInt64, Outcome: journal.Succeeded},
	} {
		l.Apply(e)
	}
	r := run(nil)
	for s := range tracing.Spans(r, l) {
		if s.Start.Before(r.Created.Add(-5*time.Minute)) || s.End.After(r.End.Add(5*time.Minute)) || s.End.Before(s.Start) {
			t.Errorf("%s lasts from %s to %s", s.Name, s.Start, s.End)
		}
	}
}

// Of more nodes than there is room for, those stay that did not end well.
func TestSpansAreBounded(t *testing.T) {
	l := journal.NewTimeline()
	l.Apply(journal.Entry{Kind: journal.KindBegin, Pod: "a", At: at(1)})
	l.Apply(journal.Entry{Kind: journal.KindCommand, Line: "dbt build", At: at(2)})
	const all, bad = 80_000, 100
	for i := range all {
		status := "success"
		if i >= all-bad {
			status = "error"
		}
		l.Apply(journal.Entry{Kind: journal.KindResult, At: at(3), Node: node(fmt.Sprintf("model.shop.m%d", i), status, 2, 3, strings.Repeat("x", 4096))})
	}
	var count, failed int
	for s := range tracing.Spans(run(nil), l) {
		if count++; count == 1 {
			if left := tell(s).Attributes["dbt.spans.left_out"]; left != int64(all+3-tracing.MaxSpans) {
				t.Errorf("%v spans are said to be left out", left)
			}
			continue
		}
		if s.Failed {
			failed++
		}
		if len(s.Message) > 1024 {
			t.Fatalf("a message of %d bytes", len(s.Message))
		}
	}
	if count != tracing.MaxSpans || failed != bad+2 {
		t.Errorf("%d spans, %d of them failed", count, failed)
	}
}

// A span's name is one of few, but a node's.
func TestNamesOfCommands(t *testing.T) {
	for line, want := range map[string]string{
		"dbt build --select a": "dbt build", "dbt --quiet run": "dbt run", "dbt source freshness": "dbt source", "dbt $(rm)": "dbt", "": "dbt",
	} {
		l := journal.NewTimeline()
		l.Apply(journal.Entry{Kind: journal.KindCommand, Line: line, At: at(2)})
		if got := spans(run(nil), l)[1].Name; got != want {
			t.Errorf("%q is called %q, want %q", line, got, want)
		}
	}
}
