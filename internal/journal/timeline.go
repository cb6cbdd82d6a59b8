package journal

import (
	"cmp"
	"slices"
)

// Timeline is what a run's journal says of each of its attempts, of each start of dbt in them, and of each time that a node
// ran. Where State keeps a node's last word, a Timeline keeps every time it ran: in an attempt that was cut off, and in the
// one that came after it. Times are Unix milliseconds by the pod's clock, as hostile as the pod: they may lie anywhere, and
// ends before begins. It is not safe for concurrent use.
type Timeline struct {
	attempts     []*Attempt
	calls        []*Call
	executions   []*Execution
	open         []*Execution // those of the call under way that may not have ended
	byNode       map[string][]*Execution
	attempt      *Attempt
	call         *Call
	dbt, adapter string
}

// Attempt is one pod of the run.
type Attempt struct {
	Pod string
	// Begin is when the pod began. End is when it said that it ended, or, with Cut, when it can have been there no longer; 0
	// while neither is known.
	Begin, End int64
	// Cut says that it was gone before it said how it ended.
	Cut bool
	// Outcome is empty unless the attempt said how it ended.
	Outcome Outcome
	Message string
}

// Call is one start of dbt for a command of the run.
type Call struct {
	// Attempt is the pod, nil when the journal does not say.
	Attempt *Attempt
	// Index is that in the run's commands; -1 is `dbt deps` before the first.
	Index        int32
	Line         string
	Mode         Mode
	Note         string
	InvocationID string
	// Begin, End and Cut are as those of an Attempt.
	Begin, End int64
	Cut        bool
	ExitCode   int32
	// Outcome is empty unless dbt ended.
	Outcome Outcome
	Message string
	// Total is the number of nodes it is about, 0 when unknown.
	Total int32
}

// Execution is one node, run once.
type Execution struct {
	Node
	// Attempt and Call are those it ran in, nil when the journal does not say.
	Attempt *Attempt
	Call    *Call
	// Nth counts the executions of the node from 0.
	Nth  int
	open bool
	// begun and ended are when the journal says so: dbt's own times count more.
	begun, ended int64
}

// What bounds a Timeline's memory, whatever a journal holds.
const (
	maxExecutions = 100_000
	maxCalls      = 10_000
)

// NewTimeline returns the timeline of an empty journal.
func NewTimeline() *Timeline { return &Timeline{byNode: map[string][]*Execution{}} }

// Attempts returns the attempts, oldest first.
func (t *Timeline) Attempts() []*Attempt { return t.attempts }

// Calls returns the starts of dbt, oldest first.
func (t *Timeline) Calls() []*Call { return t.calls }

// Executions returns every time that a node ran, by when the journal first tells of it.
func (t *Timeline) Executions() []*Execution { return t.executions }

// Node returns every time that one node ran, oldest first.
func (t *Timeline) Node(id string) []*Execution { return t.byNode[id] }

// Dbt and Adapter return the versions as dbt said them last, empty when it did not.
func (t *Timeline) Dbt() string { return t.dbt }

// Adapter returns the adapter's name and version.
func (t *Timeline) Adapter() string { return t.adapter }

// Invoked returns the first call that dbt named, nil when there is none.
func (t *Timeline) Invoked() *Call {
	i := slices.IndexFunc(t.calls, func(c *Call) bool { return c.InvocationID != "" })
	if i < 0 {
		return nil
	}
	return t.calls[i]
}

// Apply folds in the next entry.
func (t *Timeline) Apply(e Entry) {
	switch e.Kind {
	case KindBegin:
		t.begin(e)
	case KindCommand:
		t.command(e)
	case KindEngine:
		t.dbt, t.adapter = cmp.Or(e.Dbt, t.dbt), cmp.Or(e.Adapter, t.adapter)
	case KindInvocation:
		if t.call != nil {
			t.call.InvocationID = e.InvocationID
		}
	case KindTotal:
		if t.call != nil {
			t.call.Total = max(t.call.Total, e.Total)
		}
	case KindStart:
		t.start(*e.Node, e.At)
	case KindResult:
		t.result(*e.Node, e.At)
	case KindCommandEnd:
		t.cutNodes(e.At)
		if c := t.call; c != nil {
			c.End, c.ExitCode, c.Outcome, c.Message = e.At, e.ExitCode, e.Outcome, e.Message
		}
	case KindEnd:
		t.end(e)
	case KindSource:
	}
}

func (t *Timeline) begin(e Entry) {
	t.cutCall(e.At)
	if a := t.attempt; a != nil && a.End == 0 {
		a.End, a.Cut = e.At, true
	}
	t.attempt, t.call = &Attempt{Pod: e.Pod, Begin: e.At}, nil
	// No Job makes as many pods; the newest takes the place of the one before it.
	t.attempts = append(t.attempts[:min(len(t.attempts), maxStateAttempts-1)], t.attempt)
}

func (t *Timeline) command(e Entry) {
	if t.announced() {
		t.calls = t.calls[:len(t.calls)-1]
	} else {
		t.cutCall(e.At)
	}
	t.call = &Call{Attempt: t.attempt, Index: e.Command, Line: e.Line, Mode: e.Mode, Note: e.Note, Begin: e.At}
	t.calls = append(t.calls[:min(len(t.calls), maxCalls-1)], t.call)
}

// announced reports whether nothing came of the call under way: before a retry the runner says that it begins, to find out
// what is left or to wait, and says so again when it starts dbt.
func (t *Timeline) announced() bool {
	c := t.call
	if c == nil || c.End != 0 || c.InvocationID != "" {
		return false
	}
	n := len(t.executions)
	return n == 0 || t.executions[n-1].Call != c
}

func (t *Timeline) end(e Entry) {
	t.cutCall(e.At)
	r, err := Decode(e.Report)
	if err != nil || t.attempt == nil {
		return
	}
	t.attempt.End, t.attempt.Outcome, t.attempt.Message = e.At, r.Outcome, r.Message
}

// cutCall ends the call under way: its pod ended before it did.
func (t *Timeline) cutCall(at int64) {
	t.cutNodes(at)
	if c := t.call; c != nil && c.End == 0 {
		c.End, c.Cut = at, true
	}
}

// cutNodes ends what is open: its pod or its dbt ended before it did.
func (t *Timeline) cutNodes(at int64) {
	pod := "of the run"
	if t.attempt != nil {
		pod = cmp.Or(t.attempt.Pod, pod)
	}
	for _, x := range t.open {
		if x.open {
			x.open, x.ended = false, at
			x.Status, x.Message = StatusInterrupted, "cut off when pod "+pod+" ended"
		}
	}
	t.open = t.open[:0]
}

// last returns the last execution of a node in the call under way, nil when there is none.
func (t *Timeline) last(id string) *Execution {
	known := t.byNode[id]
	if len(known) == 0 || known[len(known)-1].Call != t.call || known[len(known)-1].Attempt != t.attempt {
		return nil
	}
	return known[len(known)-1]
}

func (t *Timeline) add(n Node, at int64) *Execution {
	if n.ID == "" || len(t.executions) >= maxExecutions {
		return nil
	}
	x := &Execution{Node: n, Attempt: t.attempt, Call: t.call, Nth: len(t.byNode[n.ID]), begun: at}
	t.executions = append(t.executions, x)
	t.byNode[n.ID] = append(t.byNode[n.ID], x)
	return x
}

func (t *Timeline) start(n Node, at int64) {
	if known := t.last(n.ID); known != nil && known.open {
		return
	}
	n.Status, n.End = "", 0 // whoever wrote the entry
	if x := t.add(n, at); x != nil {
		x.open = true
		t.open = append(t.open, x)
	}
}

// result ends a node. One that ended already gets what became known later.
func (t *Timeline) result(n Node, at int64) {
	x := t.last(n.ID)
	switch {
	case x == nil:
		if x = t.add(n, at); x == nil {
			return
		}
	case x.Status == n.Status && !x.open:
		x.Message = cmp.Or(n.Message, x.Message)
		return
	}
	start, relation, path, resource, message := x.Start, x.Relation, x.Path, x.ResourceType, x.Message
	x.Node = n
	x.Start = cmp.Or(n.Start, start)
	x.Relation, x.Path = cmp.Or(n.Relation, relation), cmp.Or(n.Path, path)
	x.ResourceType, x.Message = cmp.Or(n.ResourceType, resource), cmp.Or(n.Message, message)
	x.open, x.ended = false, at
}

// Times returns when the execution started and ended, in Unix milliseconds; runEnd is the end of what never ended.
func (x *Execution) Times(runEnd int64) (start, end int64) {
	start = cmp.Or(x.Start, x.begun, x.End, runEnd)
	end = cmp.Or(x.End, x.ended, runEnd)
	return start, max(start, end)
}

// Ending says in which way a node ended.
type Ending string

// Endings.
const (
	EndedWell  Ending = "well"
	EndedBadly Ending = "badly"
	// EndedCut: it was cut off, or never said how it ended.
	EndedCut Ending = "cut"
	// NotRun: dbt left it alone. It was skipped, reused, or had nothing to do.
	NotRun Ending = "notRun"
)

// Ending returns in which way the execution ended.
func (x *Execution) Ending() Ending {
	switch x.Status {
	case "success", "pass", "warn":
		return EndedWell
	case "error", "fail", "runtime error", "partial success":
		return EndedBadly
	case "", "cancelled", StatusInterrupted:
		return EndedCut
	default: // skipped, no-op, reused, and what dbt may come to say for nodes that it leaves alone
		return NotRun
	}
}
