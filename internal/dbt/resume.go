package dbt

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A command that was cut off is gone on with by `dbt retry`, on a run_results.json that lists every node the command
// selects: what is done with its status, the rest as skipped. docs/resume.md has what was measured of it.

// PlannedNode is a node that a command selects, as `dbt ls` names it.
type PlannedNode struct {
	ID           string `json:"unique_id"`
	ResourceType string `json:"resource_type"`
	// Status is that of a node that is done; empty for one that is left.
	Status string `json:"-"`
}

// runs are the resource types that a command runs; only these commands can be gone on with.
var runs = map[string][]string{
	"build":    {"model", "test", "unit_test", "seed", "snapshot", "function"},
	"run":      {"model"},
	"test":     {"test", "unit_test"},
	"seed":     {"seed"},
	"snapshot": {"snapshot"},
}

// carry says what becomes of a flag when a command is gone on with.
type carry int

const (
	refuse carry = iota
	// selects is told to `dbt ls` alone: what `dbt retry` runs is in run_results.json.
	selects
	// both is told to both, retries to `dbt retry` alone, drops to neither.
	both
	retries
	drops
)

// carried are the flags with which a command can be gone on with. Any other may change what a node is made into, and
// `dbt retry` takes it on no engine, or on some only.
var carried = map[string]carry{
	"--select": selects, "-s": selects, "--models": selects, "-m": selects, "--exclude": selects, "--selector": selects,
	"--resource-type": selects, "--resource-types": selects, "--exclude-resource-type": selects, "--exclude-resource-types": selects,
	"--indirect-selection": selects,
	"--vars":               both,
	"--threads":            retries, "--fail-fast": retries, "-x": retries,
	"--partial-parse": drops, "--no-partial-parse": drops,
}

// Resumable returns why a command cannot be gone on with, as words without the leading "dbt"; empty when it can.
func Resumable(words []string) string {
	if _, ok := runs[words[0]]; !ok {
		return "dbt " + words[0] + " cannot be gone on with"
	}
	why := ""
	eachFlag(words[1:], func(flag string, _ []string) {
		if carried[flag] == refuse && why == "" {
			why = fmt.Sprintf("the flag %s cannot be handed to dbt retry", cutText(flag))
		}
	})
	return why
}

// eachFlag calls f with each flag and the words that belong to it, itself included: those up to the next flag.
func eachFlag(words []string, f func(flag string, words []string)) {
	for i := 0; i < len(words); {
		end := i + 1
		for end < len(words) && !strings.HasPrefix(words[end], "-") {
			end++
		}
		flag, _, _ := strings.Cut(words[i], "=")
		f(flag, words[i:end])
		i = end
	}
}

func keptFor(words []string, kinds ...carry) []string {
	var out []string
	eachFlag(words, func(flag string, group []string) {
		if slices.Contains(kinds, carried[flag]) {
			out = append(out, group...)
		}
	})
	return out
}

// PlanWords returns the `dbt ls` command that names the nodes a command selects, for ParsePlanned.
func PlanWords(words []string) []string {
	out := []string{"ls", "--output", "json", "--output-keys", "unique_id resource_type"}
	return append(out, keptFor(words[1:], selects, both)...)
}

// maxPlannedLine bounds a line that may name a node.
const maxPlannedLine = 64 << 10

// ParsePlanned returns the node that a line of `dbt ls` names, if it is of a kind that the command runs. dbt 1.x prints
// a node as it is, with a JSON log as the message of an event; 2.x as an event.
func ParsePlanned(words []string, line []byte) (PlannedNode, bool) {
	if len(line) > maxPlannedLine {
		return PlannedNode{}, false
	}
	n := PlannedNode{}
	if json.Unmarshal(line, &n) != nil || n.ID == "" {
		var e struct {
			Info struct {
				Message string `json:"msg"`
			} `json:"info"`
		}
		if json.Unmarshal(line, &e) != nil || json.Unmarshal([]byte(e.Info.Message), &n) != nil {
			return PlannedNode{}, false
		}
	}
	return n, n.ID != "" && slices.Contains(runs[words[0]], n.ResourceType)
}

// RetryWords returns the `dbt retry` command that goes on with a command by the run_results.json and manifest.json in
// dir. version is dbt's.
func RetryWords(words []string, dir, version string) []string {
	out := append([]string{"retry", "--state", dir}, keptFor(words[1:], both, retries)...)
	if strings.HasPrefix(version, "2.") && words[0] != "build" && words[0] != "test" {
		// dbt 2.0 alpha runs the tests of what it retries, whatever the command was.
		out = append(out, "--exclude", "resource_type:test", "resource_type:unit_test")
	}
	return out
}

type wireRunResult struct {
	Status          string         `json:"status"`
	Timing          []any          `json:"timing"`
	ThreadID        string         `json:"thread_id"`
	ExecutionTime   float64        `json:"execution_time"`
	AdapterResponse map[string]any `json:"adapter_response"`
	Message         *string        `json:"message"`
	Failures        *int           `json:"failures"`
	UniqueID        string         `json:"unique_id"`
	Compiled        *bool          `json:"compiled"`
	CompiledCode    *string        `json:"compiled_code"`
	RelationName    *string        `json:"relation_name"`
	BatchResults    *string        `json:"batch_results"`
}

// WriteRunResults writes the run_results.json (schema v6) that RetryWords' command reads. dbt 1.x takes the target and
// --fail-fast from it and not from its command line; dbt 2.x does not read it without a version.
func WriteRunResults(w io.Writer, words []string, planned []PlannedNode, target, version string) error {
	results := make([]wireRunResult, 0, len(planned))
	for _, n := range planned {
		status := n.Status
		if status == "" {
			status = "skipped"
		}
		results = append(results, wireRunResult{Status: status, Timing: []any{}, AdapterResponse: map[string]any{}, UniqueID: n.ID})
	}
	args := map[string]any{"which": words[0], "command": words[0]}
	if target != "" {
		args["target"] = target
	}
	if slices.Contains(words, "--fail-fast") || slices.Contains(words, "-x") {
		args["fail_fast"] = true
	}
	if version == "" {
		version = "1.11.0"
	}
	// The moment and the invocation are of no matter to dbt retry, but must be there.
	const moment = "2026-01-01T00:00:00.000000Z"
	err := json.NewEncoder(w).Encode(map[string]any{
		"metadata": map[string]any{
			"dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json", "dbt_version": version,
			"generated_at": moment, "invocation_id": "00000000-0000-4000-8000-000000000000", "invocation_started_at": moment,
			"env": map[string]any{},
		},
		"results": results, "elapsed_time": 0, "args": args,
	})
	if err != nil {
		return fmt.Errorf("writing the run_results.json for dbt retry: %w", err)
	}
	return nil
}
