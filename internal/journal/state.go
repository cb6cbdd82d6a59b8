package journal

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
)

// State is what the entries of a run's journal, over all its attempts and in order, come to. The operator, the runner
// that goes on where another stopped, and tools all fold with it. It is not safe for concurrent use.
type State struct {
	attempts     []AttemptState
	source       string
	dbt, adapter string
	commands     []*CommandState // by index
	current      *CommandState   // the command under way
	nodes        map[string]*nodeState
	order        []*nodeState // by first appearance; those that were forgotten lie in it until it is tidied
	open         map[*nodeState]struct{}
	byCommand    map[int32][]*nodeState // those that appeared in a command; some have moved on to another since
	hooks        map[int32][]*nodeState // those of byCommand that are hooks
	seq          int
	lineage      *Lineage
	// text is how many bytes the strings of nodes have.
	text int
}

// AttemptState is one pod of the run.
type AttemptState struct {
	Pod string
	// Begin and End are Unix milliseconds by the pod's clock; End is 0 while it has not said that it ended.
	Begin, End int64
	// Outcome is empty while the attempt has not said how it ended.
	Outcome Outcome
	Message string
}

// CommandState is one command of the run.
type CommandState struct {
	// Index is that in the run's commands; -1 is `dbt deps` before the first.
	Index        int32
	Line         string
	Mode         Mode
	Note         string
	InvocationID string
	// Start is that of the first attempt at it, End that of the last one; 0 while it is under way, and when it was cut off.
	Start, End int64
	ExitCode   int32
	// Outcome is empty while it is under way, and when it was cut off.
	Outcome Outcome
	Message string
	// Total is the number of nodes it is about, 0 when unknown.
	Total int32
	// seen is how many nodes it came to.
	seen int32
}

type nodeState struct {
	Node
	command int32
	// seq orders nodes by first appearance.
	seq       int
	open      bool
	forgotten bool
	// cut is the pod in which the node was cut off.
	cut string
}

// Hook reports whether the node is a hook of a project, on-run-start or on-run-end.
func (n Node) Hook() bool { return strings.HasPrefix(n.ID, "operation.") }

// StatusInterrupted is the status of a node that was cut off: it started, and its pod or its dbt ended before it did.
// dbt has no word for it.
const StatusInterrupted = "interrupted"

// Failed reports whether the node did not end well, by what dbt said of it or as it was cut off. A skipped one is not among
// them.
func (n Node) Failed() bool { return dbt.NodeFailed(n.Status) || n.Status == StatusInterrupted }

// What bounds a State's memory, whatever a journal holds. The time that an entry takes does not grow with what came
// before it: the pod that wrote the journal is hostile.
const (
	maxStateNodes    = 100_000
	maxStateAttempts = 1000
	// maxStateText is of the strings of all nodes: of what would go beyond it only ids and statuses are held.
	maxStateText = 32 << 20
)

// nodeCost is about what a node takes in memory beside its strings, with its places in the maps and lists, in bytes.
const nodeCost = 400

// Size returns about how many bytes of memory the state takes.
func (s *State) Size() int { return s.text + len(s.order)*nodeCost }

// NewState returns the state of an empty journal.
func NewState() *State {
	return &State{nodes: map[string]*nodeState{}, open: map[*nodeState]struct{}{}, byCommand: map[int32][]*nodeState{}, hooks: map[int32][]*nodeState{}}
}

// Apply folds in the next entry.
func (s *State) Apply(e Entry) {
	switch e.Kind {
	case KindBegin:
		s.cutOpen()
		s.current = nil
		// No Job makes as many pods; the newest takes the place of the one before it.
		s.attempts = append(s.attempts[:min(len(s.attempts), maxStateAttempts-1)], AttemptState{Pod: e.Pod, Begin: e.At})
	case KindSource:
		s.source = e.Source
	case KindEngine:
		s.dbt, s.adapter = keep(e.Dbt, s.dbt), keep(e.Adapter, s.adapter)
	case KindCommand:
		s.begin(e)
	case KindStart:
		s.start(*e.Node)
	case KindResult:
		s.result(*e.Node)
	case KindEnd:
		s.end(e)
	case KindInvocation, KindTotal, KindCommandEnd:
		s.underWay(e)
	}
}

func keep(value, before string) string { return cmp.Or(value, before) }

// pod returns the name of the pod whose entries come now.
func (s *State) pod() string {
	if len(s.attempts) == 0 {
		return ""
	}
	return s.attempts[len(s.attempts)-1].Pod
}

// cutOpen marks the nodes that started and will not end.
func (s *State) cutOpen() {
	for n := range s.open {
		n.open, n.cut = false, cmp.Or(s.pod(), "a pod that is gone")
	}
	clear(s.open)
}

func (s *State) begin(e Entry) {
	s.cutOpen()
	i, found := slices.BinarySearchFunc(s.commands, e.Command, func(c *CommandState, index int32) int { return cmp.Compare(c.Index, index) })
	if !found {
		s.commands = slices.Insert(s.commands, i, &CommandState{Index: e.Command})
	}
	c := s.commands[i]
	c.Line, c.Mode, c.Note = e.Line, e.Mode, cmp.Or(e.Note, c.Note)
	c.Start, c.End, c.ExitCode, c.Outcome, c.Message = cmp.Or(c.Start, e.At), 0, 0, "", ""
	s.current = c
	if e.Mode == ModeAnew {
		c.Total, c.seen = 0, 0
		s.forget(c.Index)
	}
}

// forget drops the nodes of a command that is begun anew: what became of them before does not count.
func (s *State) forget(command int32) {
	s.drop(command, s.byCommand[command])
	delete(s.byCommand, command)
	delete(s.hooks, command)
}

// drop forgets those of some nodes that are of a command, and returns how many they were.
func (s *State) drop(command int32, nodes []*nodeState) (n int32) {
	for _, x := range nodes {
		if x.command == command && !x.forgotten {
			x.forgotten = true
			s.text -= x.text()
			delete(s.nodes, x.ID)
			delete(s.open, x)
			n++
		}
	}
	if len(s.order) > 2*len(s.nodes) {
		s.order = slices.DeleteFunc(s.order, func(n *nodeState) bool { return n.forgotten })
	}
	return n
}

// starts takes in that dbt itself has started with a command. Its hooks run each time, and dbt says of one only that it failed:
// what became of them before does not count.
func (s *State) starts(c *CommandState) {
	c.seen -= s.drop(c.Index, s.hooks[c.Index])
	delete(s.hooks, c.Index)
}

// all returns the nodes by first appearance.
func (s *State) all() iter.Seq[*nodeState] {
	return func(yield func(*nodeState) bool) {
		for _, n := range s.order {
			if !n.forgotten && !yield(n) {
				return
			}
		}
	}
}

// underWay takes in what is said of the command under way.
func (s *State) underWay(e Entry) {
	c := s.current
	if c == nil {
		return
	}
	switch e.Kind {
	case KindInvocation:
		c.InvocationID = e.InvocationID
		s.starts(c)
	case KindTotal:
		c.Total = max(c.Total, e.Total)
	case KindCommandEnd:
		s.cutOpen()
		c.End, c.ExitCode, c.Outcome, c.Message = e.At, e.ExitCode, e.Outcome, e.Message
	default:
	}
}

// node returns the state of a node, nil when there are too many.
func (s *State) node(n Node) *nodeState {
	known := s.nodes[n.ID]
	came := known == nil
	if came {
		if n.ID == "" || len(s.nodes) >= maxStateNodes {
			return nil
		}
		s.seq++
		known = &nodeState{Node: Node{ID: n.ID}, seq: s.seq}
		s.text += len(n.ID)
		s.nodes[n.ID] = known
		s.order = append(s.order, known)
		s.byCommand[known.command] = append(s.byCommand[known.command], known)
	}
	c := s.current
	moved := c != nil && (came || known.command != c.Index)
	if moved {
		if known.command != c.Index {
			s.byCommand[c.Index] = append(s.byCommand[c.Index], known)
		}
		known.command = c.Index
		c.seen++
	}
	if moved && n.Hook() {
		s.hooks[c.Index] = append(s.hooks[c.Index], known)
	}
	s.hold(&known.ResourceType, keep(n.ResourceType, known.ResourceType))
	s.hold(&known.Path, keep(n.Path, known.Path))
	s.hold(&known.Relation, keep(n.Relation, known.Relation))
	return known
}

// hold sets a string of a node, if there is room for it.
func (s *State) hold(to *string, value string) {
	if grows := len(value) - len(*to); grows <= 0 || s.text+grows <= maxStateText {
		s.text += grows
		*to = value
	}
}

// status sets a node's status, for which there is always room: it is short.
func (s *State) status(of *nodeState, status string) {
	s.text += len(status) - len(of.Status)
	of.Status = status
}

func (n *nodeState) text() int {
	return len(n.ID) + len(n.ResourceType) + len(n.Path) + len(n.Relation) + len(n.Status) + len(n.Message)
}

func (s *State) start(n Node) {
	known := s.node(n)
	if known == nil {
		return
	}
	known.open, known.cut = true, ""
	s.open[known] = struct{}{}
	s.status(known, "")
	s.hold(&known.Message, "")
	known.Start, known.End, known.Seconds, known.Rows, known.Batches = n.Start, 0, 0, 0, n.Batches
}

func (s *State) result(n Node) {
	known := s.node(n)
	if known == nil {
		return
	}
	known.open, known.cut = false, ""
	delete(s.open, known)
	if known.Status == n.Status {
		n.Message = keep(n.Message, known.Message)
	}
	s.status(known, n.Status)
	s.hold(&known.Message, n.Message)
	known.Start, known.End = cmp.Or(n.Start, known.Start), n.End
	known.Seconds, known.Rows, known.Batches = n.Seconds, n.Rows, cmp.Or(n.Batches, known.Batches)
}

func (s *State) end(e Entry) {
	s.cutOpen()
	r, err := Decode(e.Report)
	if err != nil || len(s.attempts) == 0 {
		return
	}
	a := &s.attempts[len(s.attempts)-1]
	a.End, a.Outcome, a.Message = e.At, r.Outcome, r.Message
	if r.Lineage != nil {
		s.lineage = r.Lineage
	}
}

// Attempts returns the attempts, oldest first.
func (s *State) Attempts() []AttemptState { return slices.Clone(s.attempts) }

// Source returns the revision that the last attempt which had one pinned, empty when none has: where an attempt could not
// have that of the one before, it began anew and said so.
func (s *State) Source() string { return s.source }

// Commands returns the commands that were begun, in order.
func (s *State) Commands() []CommandState {
	out := make([]CommandState, 0, len(s.commands))
	for _, c := range s.commands {
		out = append(out, *c)
	}
	return out
}

// Command returns the command with this index, false when it was not begun.
func (s *State) Command(index int32) (CommandState, bool) {
	for _, c := range s.commands {
		if c.Index == index {
			return *c, true
		}
	}
	return CommandState{}, false
}

// Nodes returns the nodes whose last word comes from the command with this index, in order of appearance. One that was
// cut off has StatusInterrupted, one that runs has no status.
func (s *State) Nodes(command int32) []Node {
	var out []Node
	for n := range s.all() {
		if n.command == command {
			out = append(out, n.shown())
		}
	}
	return out
}

func (n *nodeState) shown() Node {
	out := n.Node
	if n.cut != "" {
		out.Status = StatusInterrupted
		out.Message = "cut off when pod " + n.cut + " ended"
	}
	return out
}

// Running returns the nodes that run, the longest first; at most limit.
func (s *State) Running(limit int) []string {
	open := slices.Collect(maps.Keys(s.open))
	slices.SortFunc(open, func(a, b *nodeState) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.seq, b.seq))
	})
	var out []string
	for _, n := range open[:min(len(open), limit)] {
		out = append(out, n.ID)
	}
	return out
}

// Made returns the unique_ids of the nodes that ran and ended well, in order. A source, whose freshness dbt looks at, is
// made by nobody.
func (s *State) Made() []string {
	var out []string
	for n := range s.all() {
		if n.cut == "" && n.ResourceType != "source" && dbt.NodeRan(n.Status) {
			out = append(out, n.ID)
		}
	}
	return out
}

// Report returns what all attempts came to so far. Outcome and Message are those of the last attempt, empty while it
// is at work.
func (s *State) Report(runUID string) Report {
	r := Report{Version: Version, RunUID: runUID, Source: s.source, Dbt: s.dbt, Adapter: s.adapter, Lineage: s.lineage}
	if n := len(s.attempts); n > 0 {
		r.Outcome, r.Message = s.attempts[n-1].Outcome, s.attempts[n-1].Message
	}
	for _, c := range s.commands {
		r.Commands = append(r.Commands, Command{
			Command: c.Line, InvocationID: c.InvocationID, Start: c.Start, End: c.End, ExitCode: exitCode(c), Note: c.Note,
		})
	}
	s.count(&r)
	r.Running = s.Running(maxRunning)
	return r
}

// maxRunning is how many running nodes a report names.
const maxRunning = 10

func exitCode(c *CommandState) int32 {
	if c.Outcome == "" {
		return -1
	}
	return c.ExitCode
}

// count counts the nodes and lists those that matter.
func (s *State) count(r *Report) {
	var counts dbt.Counts
	var slowest []NodeTime
	for n := range s.all() {
		if n.Seconds > 0 {
			slowest = append(slowest, NodeTime{n.ID, n.Seconds})
		}
		if n.cut == "" {
			counts.Count(n.Status)
		}
		if shown := n.shown(); len(r.Failures) < MaxFailures && (n.cut != "" || dbt.NodeFailed(n.Status)) {
			r.Failures = append(r.Failures, Failure{shown.ID, shown.ResourceType, shown.Status, shown.Message, shown.Path})
		}
	}
	slices.SortFunc(slowest, func(a, b NodeTime) int {
		return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.UniqueID, b.UniqueID))
	})
	r.Slowest = slowest[:min(len(slowest), MaxSlowest)]
	r.Results = Results{
		Success: counts.Success, Warn: counts.Warn, Fail: counts.Fail, Error: counts.Error,
		Skipped: counts.Skipped, NoOp: counts.NoOp, Reused: counts.Reused,
	}
	r.Finished = counts.Finished()
	r.Selected = int32(len(s.nodes))
	for _, c := range s.commands {
		r.Selected += max(0, c.Total-c.seen)
	}
}
