package journal

import (
	"math"
	"regexp"
	"slices"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
)

// Limits of a Report's strings in bytes and of its lists. They hold on both sides: Encode cuts to them, and Decode
// cuts again, since whoever wrote the bytes may not have been Encode.
const (
	maxUID      = 64
	maxMessage  = 1024
	maxVersion  = 48
	maxAdapter  = 64
	maxCommand  = 512
	maxID       = 256
	maxStatus   = 24
	maxType     = 32
	maxPath     = 256
	maxRelation = 256
	maxCommands = 21 // those of the run, and dbt deps before them
	maxNames    = 200
)

// bounded returns a deep copy of r within the limits, every string clean.
func bounded(r Report) Report {
	r.RunUID = text.Line(r.RunUID, maxUID)
	r.Message = text.Line(r.Message, maxMessage)
	r.Source = source(r.Source)
	r.Dbt = text.Line(r.Dbt, maxVersion)
	r.Adapter = text.Line(r.Adapter, maxAdapter)
	r.Selected, r.Finished = max(0, r.Selected), max(0, r.Finished)
	r.Results = boundedResults(r.Results)
	r.Commands = mapped(r.Commands, maxCommands, boundedCommand)
	r.Failures = mapped(r.Failures, MaxFailures, boundedFailure)
	r.Slowest = mapped(r.Slowest, MaxSlowest, boundedTime)
	r.Lineage = boundedLineage(r.Lineage)
	return r
}

var sources = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64}|sha256:[0-9a-f]{64})$`)

// source returns s, or nothing when it is no pinned revision: a status must not show an invented one.
func source(s string) string {
	if !sources.MatchString(s) {
		return ""
	}
	return s
}

func mapped[T any](in []T, limit int, f func(T) T) []T {
	if len(in) == 0 {
		return nil
	}
	in = slices.Clone(in[:min(len(in), limit)])
	for i := range in {
		in[i] = f(in[i])
	}
	return in
}

func boundedResults(r Results) Results {
	for _, n := range []*int32{&r.Success, &r.Warn, &r.Fail, &r.Error, &r.Skipped, &r.NoOp, &r.Reused} {
		*n = max(0, *n)
	}
	return r
}

// lastMilli is the end of the year 9999: what lies behind cannot be written as a Kubernetes time.
const lastMilli = 253402300799999

func boundedCommand(c Command) Command {
	c.Command = text.Line(c.Command, maxCommand)
	c.InvocationID = text.Line(c.InvocationID, maxUID)
	c.Note = text.Line(c.Note, maxNote)
	c.Start = min(max(0, c.Start), lastMilli)
	c.End = min(max(0, c.End), lastMilli)
	return c
}

func boundedFailure(f Failure) Failure {
	f.UniqueID = text.Line(f.UniqueID, maxID)
	f.ResourceType = text.Line(f.ResourceType, maxType)
	f.Status = text.Line(f.Status, maxStatus)
	f.Message = text.Line(f.Message, maxMessage)
	f.Path = text.Line(f.Path, maxPath)
	return f
}

func boundedTime(n NodeTime) NodeTime {
	n.UniqueID = text.Line(n.UniqueID, maxID)
	if math.IsNaN(n.Seconds) {
		n.Seconds = 0
	}
	const year = 366 * 24 * 3600
	n.Seconds = math.Round(min(max(0, n.Seconds), year)*1000) / 1000
	return n
}

func boundedLineage(l *Lineage) *Lineage {
	if l == nil {
		return nil
	}
	c := *l
	c.Nodes, c.Edges = max(0, c.Nodes), max(0, c.Edges)
	c.Truncated = c.Truncated || len(c.Inputs) > maxNames || len(c.Outputs) > maxNames
	c.Inputs = mapped(c.Inputs, maxNames, boundedName)
	c.Outputs = mapped(c.Outputs, maxNames, boundedName)
	return &c
}

func boundedName(s string) string { return text.Line(s, maxRelation) }
