package dbt

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// toDo is the status in run_results.json of a node that is still to be run. RetryWords selects by it.
const toDo = "skipped"

// RunResults is what dbt is told of a command that was cut off.
type RunResults struct {
	Command      string // in one word, such as "build"
	Version      string // of dbt, empty when it has not said
	InvocationID string // of the attempt that was cut off, empty when it has not said
	Time         time.Time
	Results      []Result
}

// Result is a node and the status it has come to, empty for none.
type Result struct {
	UniqueID, Status string
}

type wireRunResults struct {
	Metadata struct {
		Schema       string            `json:"dbt_schema_version"`
		Version      string            `json:"dbt_version"`
		GeneratedAt  string            `json:"generated_at"`
		InvocationID string            `json:"invocation_id"`
		StartedAt    string            `json:"invocation_started_at"`
		Env          map[string]string `json:"env"`
	} `json:"metadata"`
	Results []wireResult      `json:"results"`
	Elapsed float64           `json:"elapsed_time"`
	Args    map[string]string `json:"args"`
}

// wireResult has all fields that dbt 1.x asks for, also those that say nothing.
type wireResult struct {
	UniqueID        string            `json:"unique_id"`
	Status          string            `json:"status"`
	Timing          []jsontext.Value  `json:"timing"`
	Thread          string            `json:"thread_id"`
	Seconds         float64           `json:"execution_time"`
	AdapterResponse map[string]string `json:"adapter_response"`
	Message         *string           `json:"message"`
	Failures        *int              `json:"failures"`
	Compiled        *bool             `json:"compiled"`
	CompiledCode    *string           `json:"compiled_code"`
	Relation        *string           `json:"relation_name"`
}

// WriteRunResults writes a run_results.json (schema v6) that dbt 1.11, 1.12 and 2.0 read. It knows two kinds of nodes,
// those that are done and those that are not, whatever their status was: each dbt refuses a document with a status it
// does not know ("cancelled", "reused"). The command's flags are not in it: they can hold what nobody should read.
// https://docs.getdbt.com/reference/artifacts/run-results-json
func WriteRunResults(w io.Writer, r RunResults) error {
	var doc wireRunResults
	at := r.Time.UTC().Format("2006-01-02T15:04:05.000000Z")
	doc.Metadata.Schema = "https://schemas.getdbt.com/dbt/run-results/v6.json"
	doc.Metadata.Version, doc.Metadata.InvocationID = r.Version, r.InvocationID
	doc.Metadata.GeneratedAt, doc.Metadata.StartedAt, doc.Metadata.Env = at, at, map[string]string{}
	doc.Args = map[string]string{"which": r.Command, "command": r.Command}
	doc.Results = make([]wireResult, 0, len(r.Results))
	for _, n := range r.Results {
		doc.Results = append(doc.Results, wireResult{
			UniqueID: n.UniqueID, Status: writtenStatus(n), Timing: []jsontext.Value{}, AdapterResponse: map[string]string{},
		})
	}
	if err := json.MarshalWrite(w, doc, json.Deterministic(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return fmt.Errorf("writing run_results.json: %w", err)
	}
	return nil
}

func writtenStatus(n Result) string {
	switch {
	case !NodeDone(n.Status):
		return toDo
	case strings.HasPrefix(n.UniqueID, "test."), strings.HasPrefix(n.UniqueID, "unit_test."):
		return "pass"
	}
	return "success"
}
