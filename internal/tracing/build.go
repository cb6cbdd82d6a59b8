package tracing

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// MaxSpans bounds the spans of one run. Of more nodes those are left out first that ended well, the last ones first.
const MaxSpans = 50_000

// skew is how far a pod's clock may be off before and behind the run's own times; what lies further away is moved there.
const skew = 5 * time.Minute

type builder struct {
	run      Run
	timeline *journal.Timeline
	// ids are the spans of attempts and calls, by pointer.
	attempts map[*journal.Attempt]trace.SpanID
	calls    map[*journal.Call]trace.SpanID
}

// Spans returns the spans of a run that has ended: its own first, then those of its attempts, of each start of dbt in them, and
// of each time that a node ran; none when it has not ended. t is nil when there is no journal.
func Spans(r Run, t *journal.Timeline) iter.Seq[Span] {
	if t == nil {
		t = journal.NewTimeline()
	}
	b := &builder{
		run: r.bounded(), timeline: t, attempts: map[*journal.Attempt]trace.SpanID{}, calls: map[*journal.Call]trace.SpanID{},
	}
	return func(yield func(Span) bool) {
		if r.End.IsZero() {
			return
		}
		nodes, left := b.nodes()
		if !yield(b.whole(left)) {
			return
		}
		for i, a := range t.Attempts() {
			if !yield(b.attempt(i, a)) {
				return
			}
		}
		for i, c := range t.Calls() {
			if !yield(b.call(i, c)) {
				return
			}
		}
		for x := range nodes {
			if !yield(b.node(x)) {
				return
			}
		}
	}
}

// nodes returns what really ran and has room, and how many have none.
func (b *builder) nodes() (kept iter.Seq[*journal.Execution], left int) {
	var well, other int
	for _, x := range b.timeline.Executions() {
		switch x.Ending() {
		case journal.NotRun:
		case journal.EndedWell:
			well++
		default:
			other++
		}
	}
	room := max(0, MaxSpans-1-len(b.timeline.Attempts())-len(b.timeline.Calls()))
	keepOther := min(other, room)
	keepWell := min(well, room-keepOther)
	left = well + other - keepWell - keepOther
	return func(yield func(*journal.Execution) bool) {
		for _, x := range b.timeline.Executions() {
			room := &keepOther
			switch x.Ending() {
			case journal.NotRun:
				continue
			case journal.EndedWell:
				room = &keepWell
			default:
			}
			if *room == 0 {
				continue
			}
			*room--
			if !yield(x) {
				return
			}
		}
	}, left
}

func (b *builder) root() trace.SpanID { return spanID(b.run.UID, "run") }

// whole is the run's own span: from when it was asked for, so that waiting can be seen.
func (b *builder) whole(left int) Span {
	r := b.run
	s := Span{
		ID: b.root(), Name: strings.TrimSpace("DbtRun " + r.Project), Kind: trace.SpanKindConsumer,
		Start: earliest(r.Created, r.Start, r.End), End: r.End,
	}
	// Kubernetes' times are whole seconds, those of the pod are not.
	if n := len(b.timeline.Attempts()); n > 0 {
		if last := time.UnixMilli(b.timeline.Attempts()[n-1].End); last.After(s.End) && last.Sub(s.End) < time.Second {
			s.End = last.UTC()
		}
	}
	var a attributes
	a.text(KeyNamespace, r.Namespace)
	a.text(KeyRunName, r.Name)
	a.text(KeyRunUID, r.UID)
	a.text(KeyRunPhase, r.Phase)
	a.text(KeyRunReason, r.Reason)
	a.text(KeyTrigger, r.Trigger)
	a.text(KeyRequester, r.Requester)
	a.text(KeyProjectName, r.Project)
	a.text(KeyTarget, r.Target)
	a.text(KeyScheduleName, r.Schedule)
	if !r.ScheduledTime.IsZero() {
		a.text(KeyScheduledTime, r.ScheduledTime.UTC().Format(time.RFC3339))
	}
	a.text(KeyRevision, r.Revision)
	a.text(KeyContainerImage, r.Image)
	a.text(KeyVersion, b.timeline.Dbt())
	a.text(KeyAdapter, b.timeline.Adapter())
	if _, ok := r.Parent(); !ok && r.TraceParent != "" {
		a = append(a, KeyBadParent.Bool(true))
	}
	a.number(KeyLeftOut, int64(left))
	s.Attributes = a
	if !r.Start.IsZero() {
		s.Events = []Event{{"pod started", r.Start}}
	}
	if r.Outcome == Failed {
		s.Failed, s.Message = true, cmp.Or(r.Message, "the run did not end well")
	}
	return s
}

// attempt is the span of one pod.
func (b *builder) attempt(i int, t *journal.Attempt) Span {
	s := Span{
		ID: spanID(b.run.UID, "attempt", itoa(i)), Parent: b.root(), Name: "attempt " + itoa(i+1), Kind: trace.SpanKindInternal,
	}
	b.attempts[t] = s.ID
	s.Start, s.End = b.times(t.Begin, t.End)
	var a attributes
	a.text(KeyNamespace, b.run.Namespace)
	a.text(KeyPod, text.Line(t.Pod, maxName))
	a.text(KeyOutcome, string(t.Outcome))
	s.Attributes = a
	s.Failed, s.Message = b.ended(t.Outcome, t.Message, "the pod was gone before it said how it ended")
	return s
}

// call is the span of one start of dbt.
func (b *builder) call(i int, t *journal.Call) Span {
	s := Span{
		ID: spanID(b.run.UID, "command", itoa(i)), Parent: b.root(), Name: verb(t.Line), Kind: trace.SpanKindInternal,
	}
	if id, ok := b.attempts[t.Attempt]; ok {
		s.Parent = id
	}
	b.calls[t] = s.ID
	s.Start, s.End = b.times(t.Begin, t.End)
	var a attributes
	a.text(KeyCommand, text.Line(t.Line, maxMessage))
	a = append(a, KeyCommandIndex.Int64(int64(t.Index)))
	a.text(KeyCommandMode, string(t.Mode))
	a.text(KeyCommandNote, text.Line(t.Note, maxMessage))
	a.text(KeyInvocationID, t.InvocationID)
	a.number(KeyCommandNodes, int64(t.Total))
	a.text(KeyOutcome, string(t.Outcome))
	if t.Outcome != "" {
		a = append(a, KeyExitCode.Int64(int64(t.ExitCode)))
	}
	s.Attributes = a
	s.Failed, s.Message = b.ended(t.Outcome, t.Message, "dbt was gone before it said how it ended")
	return s
}

// node is the span of one time that a node ran.
func (b *builder) node(x *journal.Execution) Span {
	s := Span{
		ID: spanID(b.run.UID, "node", x.ID, itoa(x.Nth)), Parent: b.root(), Name: text.Line(x.ID, maxName), Kind: trace.SpanKindInternal,
	}
	if id, ok := b.attempts[x.Attempt]; ok {
		s.Parent = id
	}
	if id, ok := b.calls[x.Call]; ok {
		s.Parent = id
	}
	s.Start, s.End = b.times(x.Times(b.run.End.UnixMilli()))
	var a attributes
	a.text(KeyNodeID, text.Line(x.ID, maxName))
	a.text(KeyNodeType, x.ResourceType)
	a.text(KeyNodeStatus, x.Status)
	a.text(KeyNodePath, x.Path)
	a.text(KeyNodeRelation, x.Relation)
	a.number(KeyNodeRows, x.Rows)
	s.Attributes = a
	switch x.Ending() {
	case journal.EndedBadly:
		s.Failed = true
	case journal.EndedCut:
		s.Failed = b.run.Outcome != Cancelled
	default:
	}
	if s.Failed {
		s.Message = text.Line(cmp.Or(x.Message, "the node ended as "+cmp.Or(x.Status, journal.StatusInterrupted)), maxMessage)
	}
	return s
}

// ended returns whether an outcome is a failure, and its message; gone is that of none at all.
func (b *builder) ended(o journal.Outcome, message, gone string) (failed bool, why string) {
	switch {
	case o == journal.Succeeded, b.run.Outcome == Cancelled && (o == journal.Interrupted || o == ""):
		return false, ""
	case o == "":
		return true, gone
	default:
		return true, text.Line(cmp.Or(message, "it ended as "+string(o)), maxMessage)
	}
}

// times returns a begin and an end in Unix milliseconds as times near the run's own; 0 is the run's end.
func (b *builder) times(begin, end int64) (from, to time.Time) {
	earliest := earliest(b.run.Created, b.run.Start, b.run.End).Add(-skew).UnixMilli()
	latest := b.run.End.Add(skew).UnixMilli()
	near := func(milli int64) int64 {
		return min(max(cmp.Or(milli, b.run.End.UnixMilli()), earliest), latest)
	}
	begin = near(begin)
	end = max(begin, near(end))
	return time.UnixMilli(begin).UTC(), time.UnixMilli(end).UTC()
}

// earliest returns the earliest of the times that are set.
func earliest(times ...time.Time) time.Time {
	set := slices.DeleteFunc(times, time.Time.IsZero)
	return slices.MinFunc(set, time.Time.Compare)
}

// verbs are dbt's commands: a span's name must not be anything that somebody writes.
var verbs = []string{
	"build", "clean", "clone", "compile", "debug", "deps", "docs", "freshness", "list", "ls", "parse", "retry", "run", "run-operation",
	"seed", "show", "snapshot", "source", "test",
}

// verb returns a command without its arguments.
func verb(line string) string {
	for word := range strings.FieldsSeq(line) {
		if slices.Contains(verbs, word) {
			return "dbt " + word
		}
	}
	return "dbt"
}
