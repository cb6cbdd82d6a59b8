package dbt

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

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
	Failures       int32 // rows that a test found
	Success        *bool // how a command of dbt 2.x says it ended
}

type wireEvent struct {
	Info struct {
		Code         string `json:"code"`
		Name         string `json:"name"`
		Level        string `json:"level"`
		Time         string `json:"ts"`
		Message      string `json:"msg"`
		InvocationID string `json:"invocation_id"`
	} `json:"info"`
	Data jsontext.Value `json:"data"`
}

type wireNode struct {
	UniqueID     string `json:"unique_id"`
	Status       string `json:"node_status"`
	ResourceType string `json:"resource_type"`
	Path         string `json:"node_path"`
	Relation     struct {
		Name string `json:"relation_name"`
	} `json:"node_relation"`
}

type wireData struct {
	Version        string   `json:"version"`
	AdapterName    string   `json:"adapter_name"`
	AdapterVersion string   `json:"adapter_version"`
	Total          int32    `json:"total"`
	TotalTests     int32    `json:"num_models"` // what dbt 1.x calls the total in results of tests
	TotalNodes     int32    `json:"node_count"`
	Seconds        float64  `json:"execution_time"`
	Message        string   `json:"msg"`
	Result         string   `json:"result_message"`
	Path           string   `json:"path"`
	Exception      string   `json:"exc"`
	Failures       int32    `json:"num_failures"`
	Success        *bool    `json:"success"`
	Node           wireNode `json:"node_info"`
	// Status is what the adapter says, of any shape; of a test it is the node's status.
	Status jsontext.Value `json:"status"`
}

// lenient accepts what dbt and its adapters are known to write: text that is not UTF-8, the same name twice.
var lenient = json.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))

// ParseEvent returns the event on a line of dbt's output, or false when the line holds none. An event whose data has
// an unexpected shape is returned without data.
func ParseEvent(line []byte) (Event, bool) {
	if len(line) == 0 || line[0] != '{' {
		return Event{}, false
	}
	var w wireEvent
	if err := json.Unmarshal(line, &w, lenient); err != nil || w.Info.Name == "" || w.Info.Level == "" {
		return Event{}, false
	}
	e := Event{
		Code: w.Info.Code, Name: w.Info.Name, Level: strings.ToLower(w.Info.Level), Time: w.Info.Time,
		Message: w.Info.Message, InvocationID: w.Info.InvocationID,
	}
	var d wireData
	if len(w.Data) == 0 || json.Unmarshal(w.Data, &d, lenient) != nil {
		return e, true
	}
	e.Data = Data{
		Version: strings.TrimPrefix(d.Version, "="), AdapterName: d.AdapterName,
		AdapterVersion: strings.TrimPrefix(d.AdapterVersion, "="), Total: max(d.Total, d.TotalTests, d.TotalNodes),
		Seconds: d.Seconds, Message: firstNonEmpty(d.Message, d.Result), Path: d.Path, Exception: d.Exception,
		Failures: d.Failures, Success: d.Success,
	}
	e.Node = Node{
		UniqueID: d.Node.UniqueID, Status: nodeStatus(d.Node.Status), ResourceType: d.Node.ResourceType,
		Path: d.Node.Path, Relation: d.Node.Relation.Name,
	}
	if e.Node.Status == "" && e.Code == "Q007" {
		e.Node.Status = testStatus(d.Status)
	}
	return e, true
}

// testStatus returns the node status in the result of a test. dbt 1.x says how a unit test ended only there: its
// node_status stays None.
func testStatus(v jsontext.Value) string {
	var s string
	if len(v) == 0 || json.Unmarshal(v, &s, lenient) != nil {
		return ""
	}
	if _, known := classes[strings.ToLower(s)]; !known {
		return ""
	}
	return strings.ToLower(s)
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
