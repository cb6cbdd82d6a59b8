package openlineage

import (
	"cmp"

	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// History is what a run's journal says of each execution of each node. Where journal.State keeps a node's last word, a
// History keeps every time it ran: in an attempt that was cut off, and in the one that came after it. It is not safe for
// concurrent use.
type History struct {
	executions   []*execution
	open         []*execution // those of the call under way that may not have ended
	byNode       map[string][]*execution
	call         *call
	first        *call // the first one that dbt named
	pod          string
	dbt, adapter string
}

// call is one start of dbt: a command, begun once.
type call struct{ invocation string }

// execution is one node, run once.
type execution struct {
	journal.Node
	call *call
	// nth counts the executions of the node from 0.
	nth  int
	open bool
	// begun and ended are when the journal says so, in Unix milliseconds: dbt's own times count more.
	begun, ended int64
}

// maxExecutions bounds a History's memory, whatever a journal holds.
const maxExecutions = 100_000

// NewHistory returns the history of an empty journal.
func NewHistory() *History { return &History{byNode: map[string][]*execution{}} }

// Apply folds in the next entry.
func (h *History) Apply(e journal.Entry) {
	switch e.Kind {
	case journal.KindBegin:
		h.cut(e.At)
		h.pod, h.call = e.Pod, nil
	case journal.KindCommand:
		h.cut(e.At)
		h.call = &call{}
	case journal.KindEngine:
		h.dbt, h.adapter = cmp.Or(e.Dbt, h.dbt), cmp.Or(e.Adapter, h.adapter)
	case journal.KindInvocation:
		if h.call != nil {
			h.call.invocation = e.InvocationID
			h.first = cmp.Or(h.first, h.call)
		}
	case journal.KindStart:
		h.start(*e.Node, e.At)
	case journal.KindResult:
		h.result(*e.Node, e.At)
	case journal.KindCommandEnd, journal.KindEnd:
		h.cut(e.At)
	case journal.KindSource, journal.KindTotal:
	}
}

// cut ends what is open: its pod or its dbt ended before it did.
func (h *History) cut(at int64) {
	for _, x := range h.open {
		if x.open {
			x.open, x.ended = false, at
			x.Status, x.Message = journal.StatusInterrupted, "cut off when pod "+cmp.Or(h.pod, "of the run")+" ended"
		}
	}
	h.open = h.open[:0]
}

// last returns the last execution of a node in the call under way, nil when there is none.
func (h *History) last(id string) *execution {
	known := h.byNode[id]
	if len(known) == 0 || known[len(known)-1].call != h.call {
		return nil
	}
	return known[len(known)-1]
}

func (h *History) add(n journal.Node, at int64) *execution {
	if n.ID == "" || len(h.executions) >= maxExecutions {
		return nil
	}
	x := &execution{Node: n, call: h.call, nth: len(h.byNode[n.ID]), begun: at}
	h.executions = append(h.executions, x)
	h.byNode[n.ID] = append(h.byNode[n.ID], x)
	return x
}

func (h *History) start(n journal.Node, at int64) {
	if known := h.last(n.ID); known != nil && known.open {
		return
	}
	n.Status, n.End = "", 0 // whoever wrote the entry
	if x := h.add(n, at); x != nil {
		x.open = true
		h.open = append(h.open, x)
	}
}

// result ends a node. One that ended already gets what became known later.
func (h *History) result(n journal.Node, at int64) {
	x := h.last(n.ID)
	switch {
	case x == nil:
		if x = h.add(n, at); x == nil {
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

// times returns when the execution started and ended, in Unix milliseconds; runEnd is the end of what never ended.
func (x *execution) times(runEnd int64) (start, end int64) {
	start = cmp.Or(x.Start, x.begun, x.End, runEnd)
	end = cmp.Or(x.End, x.ended, runEnd)
	return start, max(start, end)
}

// outcome returns what the execution came to, false when the node did not really run.
func (x *execution) outcome() (Type, bool) {
	switch x.Status {
	case "success", "pass", "warn":
		return Complete, true
	case "error", "fail", "runtime error", "partial success":
		return Fail, true
	case "", "cancelled", journal.StatusInterrupted:
		return Abort, true
	default: // skipped, no-op, reused, and what dbt may come to say for nodes that it leaves alone
		return "", false
	}
}
