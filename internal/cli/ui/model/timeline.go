package model

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// Timeline is when each node of a run ran, and on which of dbt's threads. Times are Unix milliseconds.
type Timeline struct {
	Start int64  `json:"start"`
	End   int64  `json:"end"`
	Lanes []Lane `json:"lanes"`
	// Bars are sorted by start.
	Bars []Bar `json:"bars"`
	// Path are the bars of the critical path, in order, PathSeconds how long they ran together.
	Path        []Step  `json:"path"`
	PathSeconds float64 `json:"pathSeconds"`
	// Threads: the lanes are dbt's threads; else as few as hold all bars.
	Threads bool `json:"threads"`
	// Untimed is how many nodes have no time, as dbt passed them over.
	Untimed  int          `json:"untimed"`
	Commands []CommandRow `json:"commands"`
	// Notes say what is not shown, and why.
	Notes []string `json:"notes,omitempty"`
}

// Lane is a row of the timeline.
type Lane struct {
	Name string `json:"name"`
	// Busy is the share of the run in which a node ran there.
	Busy float64 `json:"busy"`
}

// Bar is a node in the timeline.
type Bar struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Type     string `json:"type"`
	Class    string `json:"class"`
	Status   string `json:"status"`
	Start    int64  `json:"start"`
	End      int64  `json:"end"`
	Lane     int    `json:"lane"`
	Command  int32  `json:"command"`
	Rows     int64  `json:"rows,omitempty"`
	Critical bool   `json:"critical,omitempty"`
}

// Step is a bar of the critical path.
type Step struct {
	Bar int `json:"bar"`
	// Wait is how long it was held up after the step before it had ended, in milliseconds.
	Wait int64 `json:"wait"`
}

// TimelineInput is what a timeline is made of.
type TimelineInput struct {
	// State is what the journal comes to, nil when it cannot be read.
	State *journal.State
	// Threads are those of nodes by unique_id, as far as they are known.
	Threads map[string]string
	// Parents are the nodes that a node depends on, by unique_id, tests included.
	Parents map[string][]string
	// Now is until when a node runs that runs, in Unix milliseconds.
	Now int64
}

// TimelineOf returns the timeline of a run.
func TimelineOf(in TimelineInput) Timeline {
	t := Timeline{Lanes: []Lane{}, Bars: []Bar{}, Path: []Step{}, Commands: []CommandRow{}}
	if in.State == nil {
		return t
	}
	for _, c := range in.State.Commands() {
		row := CommandRow{Line: c.Line, Start: c.Start, End: c.End, Note: c.Note}
		if c.Outcome != "" {
			row.ExitCode = &c.ExitCode
		}
		t.Commands = append(t.Commands, row)
		for _, n := range in.State.Nodes(c.Index) {
			if b, ok := barOf(n, c, in.Now); ok {
				t.Bars = append(t.Bars, b)
			} else {
				t.Untimed++
			}
		}
	}
	slices.SortStableFunc(t.Bars, func(a, b Bar) int { return cmp.Or(cmp.Compare(a.Start, b.Start), strings.Compare(a.ID, b.ID)) })
	t.span()
	t.lanes(in.Threads)
	t.criticalPath(in.Parents)
	return t
}

// barOf returns the bar of a node, false when it has no time.
func barOf(n journal.Node, c journal.CommandState, now int64) (Bar, bool) {
	b := Bar{
		ID: n.ID, Name: Name(n.ID), Type: cmp.Or(n.ResourceType, Type(n.ID)), Class: Class(n.Status), Status: n.Status,
		Start: n.Start, End: n.End, Command: c.Index, Rows: max(n.Rows, 0),
	}
	if b.End == 0 && b.Class == ClassRunning {
		b.End = max(now, b.Start)
	}
	if b.End == 0 && b.Class == ClassInterrupted {
		b.End = max(cmp.Or(c.End, b.Start), b.Start)
	}
	if b.Start == 0 && b.End > 0 {
		b.Start = b.End - int64(n.Seconds*1000)
	}
	if b.End == 0 && b.Start > 0 {
		b.End = b.Start + int64(n.Seconds*1000)
	}
	b.End = max(b.End, b.Start)
	// A node that dbt skipped has the moment in which it did so, and stands for no work.
	return b, b.Start > 0 && b.Class != ClassSkipped
}

func (t *Timeline) span() {
	for _, b := range t.Bars {
		t.Start, t.End = earlier(t.Start, b.Start), max(t.End, b.End)
	}
	for _, c := range t.Commands {
		t.Start, t.End = earlier(t.Start, c.Start), max(t.End, c.End)
	}
}

func earlier(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// lanes puts each bar where no other is at the same time: onto its thread, or onto the first that is free.
func (t *Timeline) lanes(threads map[string]string) {
	type row struct {
		name string
		end  int64
		busy int64
		at   int // its place among those shown
	}
	var rows []*row
	byName := map[string][]*row{}
	of := make([]*row, len(t.Bars))
	for i, b := range t.Bars {
		name := threadName(threads[b.ID])
		t.Threads = t.Threads || name != ""
		var found *row
		for _, r := range byName[name] {
			if r.end <= b.Start {
				found = r
				break
			}
		}
		if found == nil {
			found = &row{name: name}
			byName[name] = append(byName[name], found)
			rows = append(rows, found)
		}
		found.end, found.busy = b.End, found.busy+b.End-b.Start
		of[i] = found
	}
	slices.SortStableFunc(rows, func(a, b *row) int { return naturally(a.name, b.name) })
	for i, r := range rows {
		r.at = i
		lane := Lane{Name: r.name}
		if lane.Name == "" {
			lane.Name = fmt.Sprintf("Lane %d", 1+slices.Index(byName[""], r))
		}
		if t.End > t.Start {
			lane.Busy = float64(r.busy) / float64(t.End-t.Start)
		}
		t.Lanes = append(t.Lanes, lane)
	}
	for i, r := range of {
		t.Bars[i].Lane = r.at
	}
}

// threadName returns a thread without what Python adds: "Thread-1 (worker)".
func threadName(thread string) string {
	name, _, _ := strings.Cut(thread, " (")
	return name
}

// naturally orders names so that Thread-2 comes before Thread-10; those without a name come last.
func naturally(a, b string) int {
	if a == "" || b == "" {
		return cmp.Compare(len(b), len(a))
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}
