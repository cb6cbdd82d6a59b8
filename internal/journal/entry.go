package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
)

// Kind says what an Entry tells.
type Kind string

// Kinds, in the order in which an attempt writes them.
const (
	// KindBegin opens an attempt: Pod. Nodes that an earlier attempt left open were cut off.
	KindBegin Kind = "begin"
	// KindSource pins the revision: Source.
	KindSource Kind = "source"
	// KindCommand begins a command, or goes on with one: Command, Line, and Mode with Note when it is not begun for the
	// first time. What follows belongs to this command.
	KindCommand Kind = "command"
	// KindEngine names dbt and the adapter as dbt said them: Dbt, Adapter.
	KindEngine Kind = "engine"
	// KindInvocation is dbt's own name of the command under way: InvocationID.
	KindInvocation Kind = "invocation"
	// KindTotal is how many nodes the command under way is about, what is done included: Total.
	KindTotal Kind = "total"
	// KindStart is a node that starts: Node without Status.
	KindStart Kind = "start"
	// KindResult is a node that ended, or what became known of its end later: Node.
	KindResult Kind = "result"
	// KindCommandEnd ends the command under way: ExitCode, Outcome, Message.
	KindCommandEnd Kind = "commandEnd"
	// KindEnd ends the attempt: Report, of which Outcome, Message and Lineage count; the rest is in the entries.
	KindEnd Kind = "end"
)

// Mode says how a command came to be begun again.
type Mode string

// Modes.
const (
	// ModeFirst: for the first time.
	ModeFirst Mode = ""
	// ModeResumed: only the nodes that an earlier attempt had left.
	ModeResumed Mode = "resumed"
	// ModeAnew: from the start, though an earlier attempt had begun it; Note says why.
	ModeAnew Mode = "anew"
	// ModeRetry: the nodes that failed, in the same pod, by retry.nodes.
	ModeRetry Mode = "retry"
)

// Entry is one line of a run's journal. Which fields count depends on Kind. Every string is redacted before it leaves
// the pod, and clean and bounded on both sides.
type Entry struct {
	Kind Kind `json:"k"`
	// At is when it happened by the pod's clock, in Unix milliseconds. Nothing is ordered by it.
	At int64 `json:"at,omitempty"`

	Pod          string `json:"pod,omitempty"`
	Source       string `json:"src,omitempty"`
	Dbt          string `json:"dbt,omitempty"`
	Adapter      string `json:"adapter,omitempty"`
	Command      int32  `json:"n,omitempty"` // index in the run's commands; -1 is `dbt deps` before the first
	Line         string `json:"c,omitempty"`
	Mode         Mode   `json:"mode,omitempty"`
	Note         string `json:"note,omitempty"`
	InvocationID string `json:"id,omitempty"`
	Total        int32  `json:"total,omitempty"`
	ExitCode     int32  `json:"x,omitempty"`
	// Outcome of a command: Succeeded, NodesFailed, DbtError, Interrupted or OutOfMemory.
	Outcome Outcome `json:"outcome,omitempty"`
	Message string  `json:"m,omitempty"`
	Node    *Node   `json:"node,omitempty"`
	// Report is encoded by Encode with a limit of MaxEndReport.
	Report json.RawMessage `json:"report,omitempty"`
}

// Node is one dbt node as a command ran it.
type Node struct {
	ID           string `json:"id"`
	ResourceType string `json:"t,omitempty"`
	// Status is dbt's node status in lower case, empty while the node runs.
	Status string `json:"st,omitempty"`
	// Start and End are Unix milliseconds as dbt says them, 0 when it does not.
	Start int64 `json:"s,omitempty"`
	End   int64 `json:"e,omitempty"`
	// Seconds is the execution time as dbt counts it.
	Seconds float64 `json:"sec,omitempty"`
	// Rows is the number of rows the adapter says were affected, -1 or 0 when it does not say; for a test, of rows found.
	Rows int64 `json:"rows,omitempty"`
	// Batches is how many a microbatch model is built in, 0 for others.
	Batches  int32  `json:"b,omitempty"`
	Relation string `json:"rel,omitempty"`
	Path     string `json:"p,omitempty"`
	// Message is why a node did not end well.
	Message string `json:"m,omitempty"`
}

// Limits of entries, in bytes.
const (
	// MaxEntry is the size of a line, its line break not counted. What is longer is no entry.
	MaxEntry = 64 << 10
	// MaxEndReport is the size of the report in an entry of KindEnd: with it a status has all the lineage that it holds.
	MaxEndReport = 32 << 10
)

// EncodeEntry returns the entry as one line, line break included, of at most MaxEntry bytes.
func EncodeEntry(e Entry) []byte {
	e = boundedEntry(e)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		// A Report that is no JSON; no other field can fail.
		e.Report = nil
		b.Reset()
		_ = enc.Encode(e)
	}
	return b.Bytes()
}

// Bounded returns the entry as EncodeEntry writes it and DecodeEntries reads it.
func (e Entry) Bounded() Entry { return boundedEntry(e) }

// DecodeEntries calls each for every entry in r, in order, and returns how many lines were none: a torn last line, a
// line that is too long, bytes that somebody else wrote. It stops at an error of r or of each.
func DecodeEntries(r io.Reader, each func(Entry) error) (skipped int, err error) {
	in := bufio.NewReaderSize(r, MaxEntry+1)
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case err == nil, errors.Is(err, io.EOF) && len(line) > 0:
			e, ok := decodeEntry(line)
			if !ok {
				skipped++
			} else if err := each(e); err != nil {
				return skipped, err
			}
			if err != nil {
				return skipped, nil
			}
		case errors.Is(err, bufio.ErrBufferFull):
			skipped++
			if err := skipLine(in); err != nil {
				return skipped, endOf(err)
			}
		default:
			return skipped, endOf(err)
		}
	}
}

// skipLine reads on to the end of a line that is too long.
func skipLine(in *bufio.Reader) error {
	for {
		if _, err := in.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

func endOf(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("reading the journal: %w", err)
}

func decodeEntry(line []byte) (Entry, bool) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] != '{' {
		return Entry{}, false
	}
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil || !e.Kind.known() {
		return Entry{}, false
	}
	if e.Node == nil && (e.Kind == KindStart || e.Kind == KindResult) {
		return Entry{}, false
	}
	return boundedEntry(e), true
}

func (k Kind) known() bool {
	switch k {
	case KindBegin, KindSource, KindCommand, KindEngine, KindInvocation, KindTotal, KindStart, KindResult, KindCommandEnd, KindEnd:
		return true
	}
	return false
}

const (
	maxPod  = 253
	maxNote = 512
	// maxTotal keeps sums of totals within 32 bits.
	maxTotal = 10_000_000
)

func boundedEntry(e Entry) Entry {
	e.At = min(max(0, e.At), lastMilli)
	e.Pod = text.Line(e.Pod, maxPod)
	e.Source = source(e.Source)
	e.Dbt, e.Adapter = text.Line(e.Dbt, maxVersion), text.Line(e.Adapter, maxAdapter)
	e.Command = min(max(-1, e.Command), maxCommands-2)
	e.Line, e.Note = text.Line(e.Line, maxCommand), text.Line(e.Note, maxNote)
	e.InvocationID = text.Line(e.InvocationID, maxUID)
	e.Total = min(max(0, e.Total), maxTotal)
	e.Message = text.Line(e.Message, maxMessage)
	if e.Outcome != "" && !e.Outcome.known() {
		e.Outcome = DbtError
	}
	switch e.Mode {
	case ModeFirst, ModeResumed, ModeAnew, ModeRetry:
	default:
		e.Mode = ModeFirst
	}
	if len(e.Report) > MaxEndReport {
		e.Report = nil
	}
	if e.Node != nil {
		n := boundedNode(*e.Node)
		e.Node = &n
	}
	return e
}

func boundedNode(n Node) Node {
	n.ID = text.Line(n.ID, maxID)
	n.ResourceType = text.Line(n.ResourceType, maxType)
	n.Status = text.Line(n.Status, maxStatus)
	n.Relation = text.Line(n.Relation, maxRelation)
	n.Path = text.Line(n.Path, maxPath)
	n.Message = text.Line(n.Message, maxMessage)
	n.Start, n.End = min(max(0, n.Start), lastMilli), min(max(0, n.End), lastMilli)
	n.Seconds = boundedTime(NodeTime{Seconds: n.Seconds}).Seconds
	n.Rows = max(-1, n.Rows)
	n.Batches = min(max(0, n.Batches), maxTotal)
	return n
}
