package dbt

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Recorder folds the events of a run's commands, in order, into what the run came to. Its memory is bounded by the
// number of nodes: what an event says at length is kept for the first failures only. It is not safe for concurrent use.
type Recorder struct {
	nodes map[string]*node
	order []*node // by first appearance

	dbt, adapter string
	commands     int // begun so far
	command      command
}

// command is what is known of the command under way.
type command struct {
	invocation string
	total      int32 // nodes it set out to run, as far as dbt said
	seen       int32 // nodes it came to so far
	open       int   // nodes started and not ended
	errors     []string
	success    *bool
	unhandled  bool // dbt does not know the command
}

type node struct {
	id, resourceType, path, relation string
	status                           string
	class                            class
	seconds                          float64
	message                          string
	started                          bool
	command                          int // the last one that came to it
}

// Limits of what is kept.
const (
	maxNodes      = 200_000
	maxErrors     = 5
	maxErrorBytes = 4 << 10
)

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder { return &Recorder{nodes: map[string]*node{}} }

// Begin says that the next events come from another command.
func (r *Recorder) Begin() {
	r.commands++
	r.command = command{}
	for _, n := range r.order {
		n.started = false
	}
}

// Observe takes one event in. Events of another invocation than the command's first are not the command's own: a
// hook that calls dbt, or text made to look like an event.
func (r *Recorder) Observe(e Event) {
	c := &r.command
	if c.invocation == "" {
		c.invocation = e.InvocationID
	}
	if e.InvocationID != c.invocation {
		return
	}
	switch e.Code {
	case "A001":
		r.dbt = firstNonEmpty(e.Data.Version, r.dbt)
	case "E034":
		r.adapter = strings.TrimSuffix(e.Data.AdapterName+"="+e.Data.AdapterVersion, "=")
	case "Q039":
		if e.Data.Success != nil {
			c.success = e.Data.Success
		}
	}
	r.observeNode(e)
	r.observeError(e)
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
		r.command.total = max(r.command.total, e.Data.Total)
		if n := r.node(e.Node); n != nil && !n.started {
			n.started = true
			r.command.open++
		}
	case results[e.Code]:
		r.command.total = max(r.command.total, e.Data.Total)
		r.finish(e)
	case e.Level == "error" || e.Level == "warn":
		r.explain(e)
	}
}

// finish records a node's result; the last one of several commands counts.
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
	n.status, n.class, n.seconds = e.Node.Status, k, e.Data.Seconds
	if n.message == "" && (k == failed || k == errored) {
		n.message = failureText(e.Data)
	}
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
	n, known := r.nodes[e.Node.UniqueID]
	if !known {
		if e.Level != "error" {
			return
		}
		// A hook, or a node that failed before it started: dbt reports it only here.
		if n = r.node(e.Node); n == nil {
			return
		}
		n.status, n.class = "error", errored
	}
	if e.Data.Path != "" && e.Code == "Z022" {
		n.path = e.Data.Path
	}
	switch text := firstNonEmpty(e.Data.Message, e.Data.Exception); {
	case e.Level != "error":
	case e.Code == "Z024" && text != "":
		n.message = essence(text)
	case n.message == "" && e.Code != "Z022":
		n.message = essence(firstNonEmpty(text, e.Message))
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
	n, known := r.nodes[from.UniqueID]
	if !known {
		if len(r.order) >= maxNodes {
			return nil
		}
		n = &node{id: strings.Clone(from.UniqueID), resourceType: strings.Clone(from.ResourceType)}
		r.nodes[n.id] = n
		r.order = append(r.order, n)
	}
	if n.command != r.commands {
		n.command, n.message = r.commands, ""
		r.command.seen++
	}
	n.path = firstNonEmpty(n.path, from.Path)
	n.relation = firstNonEmpty(from.Relation, n.relation)
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

// Version returns dbt's version, empty when dbt has not said.
func (r *Recorder) Version() string { return r.dbt }

// Adapter returns the adapter as "name=version", empty when dbt has not said.
func (r *Recorder) Adapter() string { return r.adapter }

// InvocationID returns that of the command under way.
func (r *Recorder) InvocationID() string { return r.command.invocation }

// Statuses returns the status of each node that has ended in the command under way, by unique_id.
func (r *Recorder) Statuses() map[string]string {
	ended := map[string]string{}
	for _, n := range r.order {
		if n.command == r.commands && n.class != unfinished && !n.started {
			ended[n.id] = n.status
		}
	}
	return ended
}

// Counts returns the nodes by status, over all commands.
func (r *Recorder) Counts() Counts {
	var c Counts
	for _, n := range r.order {
		c.add(n.class)
	}
	return c
}

// Selected returns the number of nodes that the commands so far set out to run.
func (r *Recorder) Selected() int32 {
	return int32(len(r.order)) - r.command.seen + max(r.command.seen, r.command.total)
}

// Failure is a node that did not end well.
type Failure struct {
	UniqueID, ResourceType, Status, Message, Path string
}

// Failures returns the first limit nodes that did not end well, in the order in which dbt came to them.
func (r *Recorder) Failures(limit int) []Failure {
	var out []Failure
	for _, n := range r.order {
		if len(out) == limit {
			break
		}
		if n.class == failed || n.class == errored {
			out = append(out, Failure{n.id, n.resourceType, n.status, n.message, n.path})
		}
	}
	return out
}

// NodeTime is how long a node took.
type NodeTime struct {
	UniqueID string
	Seconds  float64
}

// Slowest returns the limit nodes that took longest, longest first.
func (r *Recorder) Slowest(limit int) []NodeTime {
	var all []NodeTime
	for _, n := range r.order {
		if n.seconds > 0 {
			all = append(all, NodeTime{n.id, n.seconds})
		}
	}
	slices.SortFunc(all, func(a, b NodeTime) int {
		return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.UniqueID, b.UniqueID))
	})
	return all[:min(len(all), limit)]
}

// Made returns the unique_ids of the nodes that ended well, in order.
func (r *Recorder) Made() []string {
	var out []string
	for _, n := range r.order {
		if n.class.done() {
			out = append(out, n.id)
		}
	}
	return out
}
