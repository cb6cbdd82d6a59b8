package dbt

import (
	"cmp"
	"fmt"
	"strings"
)

// Recorder follows the events of a run's commands, in order, and tells what changed. It knows the command under way
// well enough to judge it; what the run came to over all its commands is for whoever is told. Its memory is bounded by
// the number of nodes. It is not safe for concurrent use.
type Recorder struct {
	tell func(Change)

	dbt, adapter string
	command      command
}

// Change is one thing that an event told. Its first member that is not empty says which.
type Change struct {
	// Dbt and Adapter ("postgres=1.11.0") are the engine's versions, each empty until dbt has said it.
	Dbt, Adapter string
	// InvocationID is dbt's name of the command under way.
	InvocationID string
	// Total is how many nodes the command under way says it is about.
	Total int32
	// Node is a node that started (its Status is empty), that ended, or of whose end more became known.
	Node *NodeState
}

// NodeState is what is known of a node of the command under way.
type NodeState struct {
	ID, ResourceType, Path, Relation string
	// Status is dbt's node status, empty while the node runs.
	Status string
	// Start and End are Unix milliseconds, 0 when dbt has not said.
	Start, End int64
	Seconds    float64
	// Rows is how many rows the adapter says were affected, or a test found; 0 also when nobody says.
	Rows int64
	// Batches is how many a microbatch model is built in, 0 for others.
	Batches int32
	// Message is why the node did not end well, at most 4 KiB.
	Message string
}

// command is what is known of the command under way.
type command struct {
	nodes      map[string]*node
	order      []*node // by first appearance
	invocation string
	total      int32 // nodes it set out to run, as far as dbt said
	open       int   // nodes started and not ended
	errors     []string
	success    *bool
	unhandled  bool // dbt does not know the command
}

type node struct {
	NodeState
	class   class
	started bool
}

// Limits of what is kept.
const (
	maxNodes      = 200_000
	maxErrors     = 5
	maxErrorBytes = 4 << 10
)

// NewRecorder returns a recorder that calls tell for each change; tell may be nil.
func NewRecorder(tell func(Change)) *Recorder {
	if tell == nil {
		tell = func(Change) {}
	}
	r := &Recorder{tell: tell}
	r.Begin()
	return r
}

// Begin says that the next events come from another command.
func (r *Recorder) Begin() { r.command = command{nodes: map[string]*node{}} }

// Observe takes one event in. Events of another invocation than the command's first are not the command's own: a
// hook that calls dbt, or text made to look like an event.
func (r *Recorder) Observe(e Event) {
	c := &r.command
	if c.invocation == "" && e.InvocationID != "" {
		c.invocation = strings.Clone(e.InvocationID)
		r.tell(Change{InvocationID: c.invocation})
	}
	if e.InvocationID != c.invocation {
		return
	}
	switch e.Code {
	case "A001":
		r.engine(e.Data.Version, "")
	case "E034":
		r.engine("", strings.TrimSuffix(e.Data.AdapterName+"="+e.Data.AdapterVersion, "="))
	case "Q039":
		if e.Data.Success != nil {
			c.success = e.Data.Success
		}
	}
	r.observeNode(e)
	r.observeError(e)
}

func (r *Recorder) engine(dbt, adapter string) {
	dbt, adapter = firstNonEmpty(dbt, r.dbt), firstNonEmpty(adapter, r.adapter)
	if dbt != r.dbt || adapter != r.adapter {
		r.dbt, r.adapter = strings.Clone(dbt), strings.Clone(adapter)
		r.tell(Change{Dbt: r.dbt, Adapter: r.adapter})
	}
}

// results are the events that carry a node's final status. Q045 and Q046 are batches of a node, whose own result
// follows; Q032 and Q033 are hooks, which dbt counts apart.
var results = map[string]bool{
	"Q007": true, "Q012": true, "Q015": true, "Q016": true, "Q018": true, "Q019": true, "Q034": true, "Q047": true,
}

func (r *Recorder) observeNode(e Event) {
	if e.Node.UniqueID == "" {
		return
	}
	switch {
	case e.Code == "Q011":
		r.total(e.Data.Total)
		r.start(e)
	case results[e.Code]:
		r.total(e.Data.Total)
		r.finish(e)
	case e.Code == "Q045":
		r.batch(e)
	case e.Level == "error" || e.Level == "warn":
		r.explain(e)
	}
}

func (r *Recorder) total(n int32) {
	if n > r.command.total {
		r.command.total = n
		r.tell(Change{Total: n})
	}
}

func (r *Recorder) start(e Event) {
	n := r.node(e.Node)
	if n == nil || n.started {
		return
	}
	n.started = true
	n.Start = cmp.Or(millis(e.Node.StartedAt), millis(e.Time))
	r.command.open++
	r.told(n)
}

// batch records that a batch of a node starts.
func (r *Recorder) batch(e Event) {
	n := r.node(e.Node)
	if n == nil || n.Batches == e.Data.Batches || n.Status != "" {
		return
	}
	n.Batches = e.Data.Batches
	r.told(n)
}

// told tells what is known of a node.
func (r *Recorder) told(n *node) {
	state := n.NodeState
	r.tell(Change{Node: &state})
}

// finish records a node's result.
func (r *Recorder) finish(e Event) {
	k, known := classes[e.Node.Status]
	if !known {
		return
	}
	n := r.node(e.Node)
	if n == nil {
		return
	}
	if n.started {
		n.started = false
		r.command.open--
	}
	n.Status, n.class, n.Seconds = strings.Clone(e.Node.Status), k, e.Data.Seconds
	n.Start, n.End = cmp.Or(millis(e.Node.StartedAt), n.Start), cmp.Or(millis(e.Node.FinishedAt), millis(e.Time))
	n.Rows = rows(e)
	if n.Message == "" && (k == failed || k == errored) {
		n.Message = failureText(e.Data)
	}
	r.told(n)
}

// failureText returns what a result itself says of a failure: of a test, how many rows it found. dbt 2.x says no more.
func failureText(d Data) string {
	if d.Message == "" && d.Failures > 0 {
		return fmt.Sprintf("Got %d results", d.Failures)
	}
	return keep(d.Message)
}

// explain keeps why a node failed. dbt 1.x says it after all results (Z022 names the file, Z024 gives the text); dbt
// 2.x just before the node's result, in an event without a code.
func (r *Recorder) explain(e Event) {
	n, known := r.command.nodes[e.Node.UniqueID]
	if !known {
		if e.Level != "error" {
			return
		}
		// A hook, or a node that failed before it started: dbt reports it only here.
		if n = r.node(e.Node); n == nil {
			return
		}
		n.Status, n.class = "error", errored
	}
	before := n.NodeState
	if e.Data.Path != "" && e.Code == "Z022" {
		n.Path = strings.Clone(e.Data.Path)
	}
	switch text := firstNonEmpty(e.Data.Message, e.Data.Exception); {
	case e.Level != "error":
	case e.Code == "Z024" && text != "":
		n.Message = essence(text)
	case n.Message == "" && e.Code != "Z022":
		n.Message = essence(firstNonEmpty(text, e.Message))
	}
	if n.Status != "" && (n.NodeState != before || !known) {
		r.told(n)
	}
}

// observeError keeps what went wrong with the command as a whole.
func (r *Recorder) observeError(e Event) {
	if e.Node.UniqueID != "" || len(r.command.errors) == maxErrors {
		return
	}
	if e.Level == "warn" && strings.Contains(e.Message, "Unhandled command") {
		// dbt 2.0 alpha says so, does nothing, and exits 0.
		r.command.errors = append(r.command.errors, essence(e.Message))
		r.command.unhandled = true
	}
	if e.Level != "error" {
		return
	}
	text := firstNonEmpty(e.Data.Exception, e.Message)
	if e.Code == "Z002" {
		// The error that ended dbt. What was said before it are its circumstances.
		r.command.errors = append([]string{essence(text)}, r.command.errors...)
		return
	}
	if strings.TrimSpace(text) != "" && !strings.HasPrefix(text, "Traceback ") {
		r.command.errors = append(r.command.errors, essence(text))
	}
}

func (r *Recorder) node(from Node) *node {
	c := &r.command
	n, known := c.nodes[from.UniqueID]
	if !known {
		if len(c.order) >= maxNodes {
			return nil
		}
		n = &node{NodeState: NodeState{ID: strings.Clone(from.UniqueID), ResourceType: strings.Clone(from.ResourceType)}}
		c.nodes[n.ID] = n
		c.order = append(c.order, n)
	}
	if n.Path == "" {
		n.Path = strings.Clone(from.Path)
	}
	if from.Relation != "" && from.Relation != n.Relation {
		n.Relation = strings.Clone(from.Relation)
	}
	return n
}

// essence returns the part of an error that is for people. Behind it dbt 1.x puts where a file lies that is gone with
// the pod, dbt 2.x the query and a backtrace. Lines that only underline another mean nothing once lines are joined.
func essence(s string) string {
	s = strings.TrimPrefix(strings.TrimSpace(s), "[error] ")
	for _, behind := range []string{"\n  compiled code at ", "\n   0: ", "\nQuery was:", "\n  Query was:"} {
		if i := strings.Index(s, behind); i > 0 {
			s = s[:i]
		}
	}
	var b strings.Builder
	for line := range strings.Lines(s[:min(len(s), maxErrorBytes)]) {
		if strings.Trim(line, "^ \t\r\n") != "" || strings.TrimSpace(line) == "" {
			b.WriteString(line)
		}
	}
	return strings.TrimRight(b.String(), " \t\r\n")
}

// keep returns a copy of s that holds on to at most maxErrorBytes.
func keep(s string) string { return strings.Clone(s[:min(len(s), maxErrorBytes)]) }

// Nodes returns how many nodes the command under way came to.
func (r *Recorder) Nodes() int { return len(r.command.order) }

// counts returns the nodes of the command under way by status.
func (r *Recorder) counts() Counts {
	var c Counts
	for _, n := range r.command.order {
		c.add(n.class)
	}
	return c
}

// failure returns the first node of the command under way that did not end well.
func (r *Recorder) failure() NodeState {
	for _, n := range r.command.order {
		if n.class == failed || n.class == errored {
			return n.NodeState
		}
	}
	return NodeState{}
}
