package journal

import (
	"bytes"
	"encoding/json"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
)

// MinSummary is the least size Encode keeps to: an outcome, a source, versions and counts at their longest.
const MinSummary = 768

// wire is a Report as it travels: the graph is packed.
type wire struct {
	Report
	Lineage *wireLineage `json:"lin,omitempty"`
}

type wireLineage struct {
	Lineage
	Packed string `json:"g,omitempty"`
}

// Encode returns the report as JSON of at most limit bytes (never less than MinSummary), whatever the report holds.
// What does not fit is left out in this order: the lineage graph, inputs and outputs, the slowest nodes, the ends of
// failure messages, the later failures, the ends of commands. Outcome, counts, source and versions always stay.
func Encode(r Report, limit int) []byte {
	limit = max(limit, MinSummary)
	r = bounded(r)
	r.Version = Version
	var graph []GraphNode
	if r.Lineage != nil {
		graph = r.Lineage.Graph
		r.Lineage.Graph = nil
	}
	out := marshal(r, "")
	for _, shrink := range shrinks {
		for len(out) > limit && shrink(&r) {
			out = marshal(r, "")
		}
	}
	if len(graph) == 0 {
		return out
	}
	return withGraph(r, graph, out, limit)
}

// withGraph adds as much of the graph as fits to out, which is r without any.
func withGraph(r Report, graph []GraphNode, out []byte, limit int) []byte {
	// The frame of a packed graph, and the mark that it is not all.
	room := limit - len(out) - len(`,"g":"","tr":true`)
	packed, n := packPrefix(graph, room)
	if n < len(graph) {
		r.Lineage.Truncated = true
	}
	if next := marshal(r, packed); len(next) <= limit {
		return next
	}
	return out
}

func marshal(r Report, packed string) []byte {
	w := wire{Report: r}
	if r.Lineage != nil {
		w.Lineage = &wireLineage{Lineage: *r.Lineage, Packed: packed}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(w); err != nil {
		// No type in a Report can fail: seconds are made finite by bounded.
		panic("journal: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// shrinks are the steps from least to most missed. Each makes the report smaller and returns true, or returns false
// when it has nothing left to take.
var shrinks = []func(*Report) bool{
	halveRelations,
	dropSlowest,
	shortenFailures,
	dropFailure,
	shortenCommands,
	shortenMessage,
	dropCommandDetails,
	dropCommand,
	dropLineage,
}

func halveRelations(r *Report) bool {
	l := r.Lineage
	if l == nil || len(l.Inputs)+len(l.Outputs) == 0 {
		return false
	}
	l.Inputs = l.Inputs[:less(len(l.Inputs))]
	l.Outputs = l.Outputs[:less(len(l.Outputs))]
	l.Truncated = true
	return true
}

// less returns about three quarters of n, and less than n.
func less(n int) int { return max(0, min(n-1, n*3/4)) }

func dropSlowest(r *Report) bool {
	if len(r.Slowest) == 0 {
		return false
	}
	r.Slowest = r.Slowest[:len(r.Slowest)-1]
	return true
}

func shortenFailures(r *Report) bool {
	longest := 0
	for _, f := range r.Failures {
		longest = max(longest, len(f.Message))
	}
	const least = 96
	if longest <= least {
		return false
	}
	for i := range r.Failures {
		f := &r.Failures[i]
		f.Message = text.Cut(f.Message, max(least, longest*3/4))
	}
	return true
}

func dropFailure(r *Report) bool {
	if len(r.Failures) == 0 {
		return false
	}
	r.Failures = r.Failures[:len(r.Failures)-1]
	return true
}

func shortenCommands(r *Report) bool {
	longest := 0
	for _, c := range r.Commands {
		longest = max(longest, len(c.Command))
	}
	const least = 24
	if longest <= least {
		return false
	}
	for i := range r.Commands {
		c := &r.Commands[i]
		c.Command = text.Cut(c.Command, max(least, longest/2))
	}
	return true
}

func shortenMessage(r *Report) bool {
	const least = 96
	if len(r.Message) <= least {
		return false
	}
	r.Message = text.Cut(r.Message, max(least, len(r.Message)/2))
	return true
}

func dropCommandDetails(r *Report) bool {
	dropped := false
	for i := range r.Commands {
		c := &r.Commands[i]
		dropped = dropped || c.InvocationID != "" || c.Start != 0 || c.End != 0 || c.Note != ""
		c.InvocationID, c.Start, c.End, c.Note = "", 0, 0, ""
	}
	return dropped
}

func dropCommand(r *Report) bool {
	if len(r.Commands) == 0 {
		return false
	}
	r.Commands = r.Commands[:len(r.Commands)-1]
	return true
}

func dropLineage(r *Report) bool {
	if r.Lineage == nil {
		return false
	}
	r.Lineage = nil
	return true
}
