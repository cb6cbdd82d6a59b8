package openlineage

import (
	"cmp"
	"errors"
	"iter"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// Input is what the events of a run are made of.
type Input struct {
	Run Run
	// History is that of the run's journal, nil when it has none.
	History *History
	// Lineage opens the run's lineage document, nil when it has none.
	Lineage Open
}

type builder struct {
	options   Options
	run       Run
	history   *History
	index     *index
	adapter   string
	namespace string // of datasets
}

// Events returns the events of a run in the order in which they are to be sent: its START; and when it has ended START
// and COMPLETE, FAIL or ABORT of each execution of each node, in the order of the lineage document, and its own COMPLETE,
// FAIL or ABORT. A run that has not started has none.
//
// They are made one by one: memory is that of the journal, of a name for each node, and of the largest single node. An
// error means that the lineage document could not be read now; it is the last thing said.
func Events(o Options, in Input) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		b := newBuilder(o, in)
		if b.run.Start.IsZero() || !yield(b.begin(), nil) || b.run.End.IsZero() {
			return
		}
		err := b.nodes(in.Lineage, func(e Event) bool { return yield(e, nil) })
		switch {
		case errors.Is(err, errStop):
		case err != nil:
			yield(Event{}, err)
		default:
			yield(b.end(), nil)
		}
	}
}

func newBuilder(o Options, in Input) *builder {
	o.Producer = cmp.Or(o.Producer, DefaultProducer)
	b := &builder{options: o, run: in.Run.bounded(), history: in.History, index: &index{}}
	if b.history == nil {
		b.history = NewHistory()
	}
	return b
}

// nodes gives the events of all nodes to yield, and returns errStop when that returns false.
func (b *builder) nodes(open Open, yield func(Event) bool) error {
	index, err := readIndex(open)
	if err != nil {
		return err
	}
	b.index, b.adapter = index, index.adapter(b.history.Adapter())
	b.namespace = b.datasetNamespace()
	told := map[string]bool{}
	tell := func(n dbt.LineageNode) error {
		for _, x := range b.history.Node(n.ID) {
			if !b.execution(n, x, yield) {
				return errStop
			}
		}
		return nil
	}
	if _, err := each(open, func(n dbt.LineageNode) error {
		if len(b.history.Node(n.ID)) == 0 || told[n.ID] {
			return nil
		}
		told[n.ID] = true
		return tell(n)
	}); err != nil {
		return err
	}
	// What ran and is not in the document.
	for _, x := range b.history.Executions() {
		if x.Nth == 0 && !told[x.ID] {
			if err := tell(dbt.LineageNode{ID: x.ID, ResourceType: x.ResourceType, Path: x.Path}); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin is the START of the run. It says nothing that becomes known later: it must be the same when it is built again.
func (b *builder) begin() Event {
	e := b.event(Start, b.run.Start.UnixMilli())
	e.Run = RunRef{ID: RunID(b.run.UID), Facets: Facets{"dbtOperator_run": b.identity(false)}}
	if !b.run.ScheduledTime.IsZero() {
		e.Run.Facets["nominalTime"] = b.facet("nominalTime", Facet{"nominalStartTime": instant(b.run.ScheduledTime.UnixMilli())})
	}
	e.Job = b.job("JOB")
	return e
}

// end is the COMPLETE, FAIL or ABORT of the run.
func (b *builder) end() Event {
	e := b.begin()
	e.Type, e.Time = b.run.Outcome, instant(max(b.run.Start.UnixMilli(), b.run.End.UnixMilli()))
	if e.Type != Complete && e.Type != Abort {
		e.Type = Fail
	}
	e.Run.Facets["dbtOperator_run"] = b.identity(true)
	b.engine(e.Run.Facets)
	b.invocation(e.Run.Facets, b.history.Invoked())
	if e.Type != Complete {
		e.Run.Facets["errorMessage"] = b.failure(b.run.Message)
	}
	return e
}

func (b *builder) event(t Type, milli int64) Event {
	return Event{
		Type: t, Time: instant(milli), Producer: b.options.Producer, SchemaURL: schemaURL,
		Inputs: []Dataset{}, Outputs: []Dataset{},
	}
}

// job returns the run's own job.
func (b *builder) job(kind string) JobRef {
	return JobRef{Namespace: b.jobNamespace(), Name: b.jobName(), Facets: Facets{"jobType": b.jobType(kind)}}
}

// execution gives the two events of one execution to yield, and returns what that returned.
func (b *builder) execution(n dbt.LineageNode, x *journal.Execution, yield func(Event) bool) bool {
	outcome, ran := outcome(x)
	if !ran {
		return true
	}
	n.ResourceType = cmp.Or(n.ResourceType, x.ResourceType, "model")
	if n.ResourceType == "source" {
		// dbt looked at its freshness; who made it is not known.
		return true
	}
	begun, ended := x.Times(b.run.End.UnixMilli())
	e := b.event(Start, begun)
	e.Run = RunRef{ID: NodeRunID(b.run.UID, x.ID, x.Nth), Facets: Facets{"parent": b.parent()}}
	b.engine(e.Run.Facets)
	b.invocation(e.Run.Facets, x.Call)
	e.Job = b.nodeJob(n)
	if !yield(e) {
		return false
	}
	// The last word says all again, and what was read and made: whoever keeps one event of a run keeps this one.
	e.Type, e.Time = outcome, instant(ended)
	e.Run.Facets = clone(e.Run.Facets)
	if outcome != Complete {
		e.Run.Facets["errorMessage"] = b.failure(cmp.Or(x.Message, "the node ended as "+cmp.Or(x.Status, "interrupted")))
	}
	e.Inputs, e.Outputs = b.inputs(n, x), b.outputs(n, x, outcome)
	return yield(e)
}
