package openlineage

import "github.com/dbt-operator/dbt-operator/internal/journal"

// History is what the events are told of what ran.
type History = journal.Timeline

// NewHistory returns the history of an empty journal.
func NewHistory() *History { return journal.NewTimeline() }

// outcome returns what an execution came to, false when the node did not really run.
func outcome(x *journal.Execution) (Type, bool) {
	switch x.Ending() {
	case journal.EndedWell:
		return Complete, true
	case journal.EndedBadly:
		return Fail, true
	case journal.EndedCut:
		return Abort, true
	default:
		return "", false
	}
}
