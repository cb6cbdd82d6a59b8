package dbt

import "strings"

// Event is one line of dbt's JSON log, as far as it matters here. Strings are as dbt wrote them: not cleaned, not
// bounded, not redacted.
type Event struct {
	Code         string // such as "Q012"; dbt 2.x leaves it empty for what it has no code for
	Name         string // such as "LogModelResult"
	Level        string // debug, info, warn or error
	Time         string // RFC 3339, UTC
	Message      string
	InvocationID string
	Node         Node
	Data         Data
}

// Node is the node an event is about; UniqueID is empty when it is about none.
type Node struct {
	UniqueID     string
	Status       string // dbt's node status in lower case, empty when the event says none
	ResourceType string
	Path         string // of the node's file, relative to the folder of its kind
	Relation     string
	// StartedAt and FinishedAt are as dbt wrote them: RFC 3339, UTC also without a zone (1.x), or empty.
	StartedAt, FinishedAt string
}

// Data is the part of an event's data that is read. A field that an event lacks is zero.
type Data struct {
	Version        string
	AdapterName    string
	AdapterVersion string
	Total          int32   // nodes of the command
	Seconds        float64 // execution time
	Message        string  // the text of a failure
	Path           string
	Exception      string
	Failures       int32  // rows that a test found
	Batches        int32  // of a microbatch model
	Success        *bool  // how a command of dbt 2.x says it ended
	Adapter        string // the adapter's own word on what a statement did, such as "SELECT 100"
}

// ParseEvent returns the event on a line of dbt's output, or false when the line holds none. An event whose data has
// an unexpected shape is returned without data.
func ParseEvent(line []byte) (Event, bool) {
	if len(line) == 0 || line[0] != '{' {
		return Event{}, false
	}
	p := parsers.Get().(*parser)
	defer p.release()
	return p.parse(line)
}

// nodeStatus returns a node status in lower case. dbt 1.x writes Python's "None" where it has none.
func nodeStatus(s string) string {
	s = strings.ToLower(s)
	if s == "none" {
		return ""
	}
	return s
}

func firstNonEmpty(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
