package runner

import (
	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// enter writes an entry to the journal, redacted, and takes it in.
func (r *Runner) enter(e journal.Entry) {
	e.At = r.now().UnixMilli()
	r.clean(&e)
	e = e.Bounded()
	r.state.Apply(e)
	if r.collector != nil {
		r.collector.enter(e)
	}
}

// clean redacts every text of an entry that comes from dbt or from the project. Its Report is clean already.
func (r *Runner) clean(e *journal.Entry) {
	texts := []*string{&e.Pod, &e.Dbt, &e.Adapter, &e.Line, &e.Note, &e.InvocationID, &e.Message}
	if e.Node != nil {
		n := *e.Node
		e.Node = &n
		texts = append(texts, &n.ID, &n.ResourceType, &n.Status, &n.Relation, &n.Path, &n.Message)
	}
	for _, s := range texts {
		if *s != "" {
			*s = r.redact.Clean(*s)
		}
	}
}

// changed journals what the recorder tells.
func (r *Runner) changed(c dbt.Change) {
	switch {
	case c.Node != nil:
		n := c.Node
		e := journal.Entry{Kind: journal.KindResult, Node: &journal.Node{
			ID: n.ID, ResourceType: n.ResourceType, Status: n.Status, Start: n.Start, End: n.End, Seconds: n.Seconds,
			Rows: n.Rows, Batches: n.Batches, Relation: n.Relation, Path: n.Path, Message: n.Message,
		}}
		if n.Status == "" {
			e.Kind = journal.KindStart
		}
		r.enter(e)
	case c.Dbt != "" || c.Adapter != "":
		r.enter(journal.Entry{Kind: journal.KindEngine, Dbt: c.Dbt, Adapter: c.Adapter})
	case c.InvocationID != "":
		r.enter(journal.Entry{Kind: journal.KindInvocation, InvocationID: c.InvocationID})
	case c.Total > 0:
		r.enter(journal.Entry{Kind: journal.KindTotal, Total: c.Total})
	}
}

// failedNodes returns a sentence on the nodes of a command that failed, over all attempts at it; why is what dbt's own
// events come to.
func (r *Runner) failedNodes(index int32, why string) string {
	var failed int32
	var first dbt.NodeState
	nodes := r.state.Nodes(index)
	for _, n := range nodes {
		if !dbt.NodeFailed(n.Status) {
			continue
		}
		if failed++; failed == 1 {
			first = dbt.NodeState{ID: n.ID, Status: n.Status, Message: n.Message}
		}
	}
	if failed == 0 {
		return why
	}
	c, _ := r.state.Command(index)
	return dbt.FailedNodes(failed, max(c.Total, int32(len(nodes))), first)
}
