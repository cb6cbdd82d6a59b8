package compare

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// Side is one of two runs.
type Side struct {
	Run *v1alpha1.DbtRun
	// Nodes are all nodes of the run by unique_id, nil if they are not known.
	Nodes map[string]journal.Node
}

// Nodes returns the nodes of a journal by unique_id, each with its last word.
func Nodes(s *journal.State) map[string]journal.Node {
	out := map[string]journal.Node{}
	for _, c := range s.Commands() {
		for _, n := range s.Nodes(c.Index) {
			out[n.ID] = n
		}
	}
	return out
}

// Diff is what two runs differ in.
type Diff struct {
	A string `json:"a"`
	B string `json:"b"`
	// Fields are those of the runs that differ, in the order in which a person looks for them.
	Fields []Field `json:"fields"`
	// Nodes are those that differ, sorted by ID. They are not known when Partial is not empty.
	Nodes []Node `json:"nodes"`
	// Same is how many nodes do not.
	Same int `json:"same"`
	// Partial says why the nodes are not compared.
	Partial string `json:"partial,omitempty"`
}

// Field is something of the runs that differs.
type Field struct {
	Name string `json:"name"`
	A    string `json:"a"`
	B    string `json:"b"`
}

// Change says how a node differs.
type Change string

// Changes.
const (
	Added   Change = "added"   // only the second run has it
	Removed Change = "removed" // only the first run has it
	Broken  Change = "broken"  // it ended well and does not any more
	Mended  Change = "mended"  // the reverse
	Result  Change = "result"  // another result, neither worse nor better
	Slower  Change = "slower"
	Faster  Change = "faster"
)

// Node is a node that differs.
type Node struct {
	ID     string `json:"id"`
	Change Change `json:"change"`
	// Status and seconds are empty for the run that has no such node.
	StatusA  string  `json:"statusA,omitempty"`
	StatusB  string  `json:"statusB,omitempty"`
	SecondsA float64 `json:"secondsA"`
	SecondsB float64 `json:"secondsB"`
}

// Runs compares two runs.
func Runs(a, b Side) Diff {
	d := Diff{A: a.Run.Name, B: b.Run.Name, Fields: fields(a.Run, b.Run), Nodes: []Node{}}
	if a.Nodes == nil || b.Nodes == nil {
		d.Partial = "the journal of one of the runs cannot be read"
		return d
	}
	ids := map[string]bool{}
	for _, side := range []Side{a, b} {
		for id := range side.Nodes {
			ids[id] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if n, differs := node(id, a.Nodes, b.Nodes); differs {
			d.Nodes = append(d.Nodes, n)
		} else {
			d.Same++
		}
	}
	return d
}

func node(id string, a, b map[string]journal.Node) (Node, bool) {
	x, inA := a[id]
	y, inB := b[id]
	n := Node{ID: id, StatusA: x.Status, StatusB: y.Status, SecondsA: x.Seconds, SecondsB: y.Seconds}
	switch {
	case !inA:
		n.Change = Added
	case !inB:
		n.Change = Removed
	case dbt.NodeDone(x.Status) && !dbt.NodeDone(y.Status):
		n.Change = Broken
	case !dbt.NodeDone(x.Status) && dbt.NodeDone(y.Status):
		n.Change = Mended
	case x.Status != y.Status:
		n.Change = Result
	case notably(y.Seconds, x.Seconds):
		n.Change = Slower
	case notably(x.Seconds, y.Seconds):
		n.Change = Faster
	default:
		return n, false
	}
	return n, true
}

// notably reports whether one time is so much longer than another that it is no chance: half as much again, and a second.
func notably(longer, shorter float64) bool { return longer > 1.5*shorter && longer-shorter > 1 }

func fields(a, b *v1alpha1.DbtRun) []Field {
	out := []Field{}
	add := func(name, x, y string) {
		if x != y {
			out = append(out, Field{name, x, y})
		}
	}
	add("project", projectOf(a), projectOf(b))
	add("target", a.Spec.Target, b.Spec.Target)
	add("commands", strings.Join(a.Spec.Commands, "; "), strings.Join(b.Spec.Commands, "; "))
	add("vars", varsOf(a), varsOf(b))
	add("phase", string(a.Status.Phase), string(b.Status.Phase))
	x, y := revisionOf(a), revisionOf(b)
	add("source", x.Source, y.Source)
	add("image", x.Image, y.Image)
	add("dbt", x.Dbt, y.Dbt)
	add("adapter", x.Adapter, y.Adapter)
	add("duration", a.Status.Duration, b.Status.Duration)
	p, q := resultsOf(a), resultsOf(b)
	for _, each := range []struct {
		name string
		x, y int32
	}{
		{"success", p.Success, q.Success},
		{"warn", p.Warn, q.Warn},
		{"fail", p.Fail, q.Fail},
		{"error", p.Error, q.Error},
		{"skipped", p.Skipped, q.Skipped},
		{"no-op", p.NoOp, q.NoOp},
		{"reused", p.Reused, q.Reused},
	} {
		add("nodes "+each.name, strconv.Itoa(int(each.x)), strconv.Itoa(int(each.y)))
	}
	return out
}

func projectOf(run *v1alpha1.DbtRun) string {
	switch {
	case run.Spec.ProjectRef == nil:
		return v1alpha1.InlineProject
	case run.Status.Project != nil && run.Status.Project.Generation > 0:
		return run.Spec.ProjectRef.Name + " generation " + strconv.FormatInt(run.Status.Project.Generation, 10)
	}
	return run.Spec.ProjectRef.Name
}

func varsOf(run *v1alpha1.DbtRun) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(run.Spec.Vars)) {
		out = append(out, name+"="+string(run.Spec.Vars[name].Raw))
	}
	return strings.Join(out, " ")
}

func revisionOf(run *v1alpha1.DbtRun) v1alpha1.Revision {
	if run.Status.Revision == nil {
		return v1alpha1.Revision{}
	}
	return *run.Status.Revision
}

func resultsOf(run *v1alpha1.DbtRun) v1alpha1.Results {
	if run.Status.Results == nil {
		return v1alpha1.Results{}
	}
	return *run.Status.Results
}
