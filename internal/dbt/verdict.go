package dbt

import (
	"fmt"
	"strings"
	"syscall"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
)

// Exit is how dbt's process ended.
type Exit struct {
	// Code is the exit code, -1 when a signal ended the process.
	Code int
	// Signal is that signal, 0 for none.
	Signal syscall.Signal
	// Stderr are the last lines of its standard error.
	Stderr string
}

// Ending says what a command came to.
type Ending string

// Endings.
const (
	EndedWell   Ending = "EndedWell"
	NodesFailed Ending = "NodesFailed"
	DbtError    Ending = "DbtError"
	Killed      Ending = "Killed" // by a signal that dbt was not sent by its runner
)

const maxReason = 700

// Judge returns what the command under way came to, and for anything but EndedWell one sentence on why. name is the
// command in words, "dbt build" for one. An exit code of 0 alone is not believed: nodes that failed, or started and
// never ended, say otherwise. Nor are events alone: any other exit code is a failure.
func (r *Recorder) Judge(name string, exit Exit) (Ending, string) {
	counts := r.counts()
	switch {
	case exit.Signal == syscall.SIGKILL:
		return Killed, name + " was killed by signal 9"
	case exit.Signal != 0:
		return DbtError, fmt.Sprintf("%s was ended by signal %d (%s)", name, exit.Signal, exit.Signal)
	case counts.Failed() > 0:
		return NodesFailed, FailedNodes(counts.Failed(), max(r.command.total, int32(len(r.command.order))), r.failure())
	case exit.Code != 0:
		return DbtError, fmt.Sprintf("%s ended with exit code %d: %s", name, exit.Code, r.reason(exit))
	case r.command.open > 0:
		return DbtError, fmt.Sprintf("%s ended with exit code 0, but %d of the nodes it started never ended", name, r.command.open)
	case r.command.unhandled:
		return DbtError, fmt.Sprintf("%s did nothing: %s", name, r.reason(exit))
	case r.command.success != nil && !*r.command.success:
		return DbtError, fmt.Sprintf("%s ended with exit code 0, but called itself failed: %s", name, r.reason(exit))
	}
	return EndedWell, ""
}

// FailedNodes returns a sentence on so many failed nodes of so many, of which first is one.
func FailedNodes(failed, of int32, first NodeState) string {
	why := text.Line(first.Message, maxReason)
	out := fmt.Sprintf("%d of %d nodes failed", failed, max(failed, of))
	if failed > 1 {
		out += ", the first was "
	} else {
		out += ": "
	}
	if why == "" {
		return out + fmt.Sprintf("%s (%s)", first.ID, first.Status)
	}
	return out + fmt.Sprintf("%s (%s): %s", first.ID, first.Status, why)
}

// reason returns the first error that dbt logged, or else what it wrote to standard error last.
func (r *Recorder) reason(exit Exit) string {
	for _, e := range r.command.errors {
		if line := text.Line(e, maxReason); line != "" {
			return line
		}
	}
	if line := text.Line(usage(exit.Stderr), maxReason); line != "" {
		return line
	}
	return "it did not say why; see the log of the pod"
}

// usage returns the part of dbt's standard error that says what is wrong: click prints how to call it first.
func usage(stderr string) string {
	if i := strings.LastIndex(stderr, "\nError: "); i >= 0 {
		return stderr[i+len("\nError: "):]
	}
	return stderr
}
