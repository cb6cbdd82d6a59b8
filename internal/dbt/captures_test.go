package dbt

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// capture is what the recorder must make of one file of testdata; its README.md says how they were made.
type capture struct {
	engine, name string
	exit         int
	ending       Ending
	counts       Counts
	failed       string // unique_id of the one failed node
	message      string // a part of the message
}

func captures() []capture {
	v1 := []string{"dbt111", "dbt112", "dbt111-duckdb"}
	const orders, noOrder = "model.shop.orders", "test.shop.no_order_is_returned"
	c := []capture{
		{engine: "dbt20", name: "build-ok", ending: EndedWell, counts: Counts{Success: 25}},
		{engine: "dbt20", name: "test-warns", ending: EndedWell, counts: Counts{Success: 15, Warn: 1}},
		{engine: "dbt20", name: "test-fails", exit: 1, ending: NodesFailed, counts: Counts{Success: 12, Fail: 1, Skipped: 3}, failed: noOrder, message: "1 of 16 nodes failed: test.shop.no_order_is_returned (fail): Got 25 results"},
		{engine: "dbt20", name: "model-error", exit: 1, ending: NodesFailed, counts: Counts{Success: 9, Error: 1, Skipped: 5}, failed: orders, message: "ERROR: column orders.no_such_column does not exist"},
		{engine: "dbt20", name: "parse-error", exit: 1, ending: DbtError, message: "syntax error: unexpected end of variable block, expected `,` (in models/marts/weekly_revenue.sql:3:29)"},
		{engine: "dbt20", name: "missing-profile", exit: 1, ending: DbtError, message: "Profile 'no_such_profile' not found in profiles.yml"},
		{engine: "dbt20", name: "no-connection", exit: 1, ending: DbtError, message: `connection to server at "127.0.0.1", port 1 failed: Connection refused`},
		{engine: "dbt20", name: "slow-model", exit: 1, ending: NodesFailed, counts: Counts{Success: 15, Error: 1}, failed: "model.shop.slow", message: "Cancelled: SQL statement execution was cancelled"},
	}
	for _, engine := range v1 {
		column, refused := "column orders.no_such_column does not exist", `connection to server at "127.0.0.1", port 1 failed: Connection refused`
		if engine == "dbt111-duckdb" {
			column, refused = `Values list "orders" does not have a column named "no_such_column"`, "Cannot open file"
		}
		c = append(c,
			capture{engine: engine, name: "build-ok", ending: EndedWell, counts: Counts{Success: 25, NoOp: 1}},
			capture{engine: engine, name: "test-warns", ending: EndedWell, counts: Counts{Success: 15, Warn: 1, NoOp: 1}},
			capture{engine: engine, name: "test-fails", exit: 1, ending: NodesFailed, counts: Counts{Success: 12, Fail: 1, Skipped: 4}, failed: noOrder, message: "1 of 17 nodes failed: test.shop.no_order_is_returned (fail): Got 25 results, configured to fail if != 0"},
			capture{engine: engine, name: "model-error", exit: 1, ending: NodesFailed, counts: Counts{Success: 9, Error: 1, Skipped: 6}, failed: orders, message: column},
			capture{engine: engine, name: "parse-error", exit: 2, ending: DbtError, message: "unexpected '}', expected ')'"},
			capture{engine: engine, name: "missing-profile", exit: 2, ending: DbtError, message: "Could not find profile named 'no_such_profile'"},
			capture{engine: engine, name: "no-connection", exit: 2, ending: DbtError, message: refused},
		)
	}
	c = append(c, capture{engine: "dbt111-duckdb", name: "microbatch", exit: 1, ending: NodesFailed, counts: Counts{Success: 1, Error: 1}, failed: "model.mb.ev", message: "Could not convert string"})
	for _, engine := range v1[:2] {
		c = append(c,
			capture{engine: engine, name: "freshness", ending: EndedWell, counts: Counts{Success: 4}},
			capture{engine: engine, name: "slow-model", exit: 2, ending: NodesFailed, counts: Counts{Success: 15, Error: 1, NoOp: 1}, failed: "model.shop.slow"},
		)
	}
	return c
}

func TestCaptures(t *testing.T) {
	seen := map[string]bool{}
	for _, want := range captures() {
		file := "testdata/" + want.engine + "-" + want.name + ".jsonl"
		seen[file] = true
		t.Run(want.engine+"/"+want.name, func(t *testing.T) { replay(t, file, want) })
	}
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !seen[f] {
			t.Errorf("%s is not replayed: add what it must come to", f)
		}
	}
}

func replay(t *testing.T, file string, want capture) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{}
	r := NewRecorder(w.tell)
	for line := range bytes.Lines(b) {
		e, ok := ParseEvent(bytes.TrimSpace(line))
		if !ok {
			t.Fatalf("no event: %.200s", line)
		}
		r.Observe(e)
	}
	ending, message := r.Judge("dbt build", Exit{Code: want.exit})
	if ending != want.ending || !strings.Contains(message, want.message) {
		t.Errorf("got %s %q, want %s with %q", ending, message, want.ending, want.message)
	}
	if strings.Contains(message, "/workspace") || strings.Contains(message, "<unknown>") || strings.HasSuffix(message, "^") {
		t.Errorf("the message holds what is of no use once the pod is gone: %q", message)
	}
	if diff := cmp.Diff(want.counts, w.counts(t)); diff != "" {
		t.Errorf("counts: -want +got\n%s", diff)
	}
	if f := w.failed(); (len(f) == 1) != (want.failed != "") || len(f) == 1 && f[0].ID != want.failed {
		t.Errorf("failures: got %+v, want %q", f, want.failed)
	}
	if w.dbt == "" || w.invocation == "" || strings.HasPrefix(want.engine, "dbt11") && want.counts.Success > 0 && w.adapter == "" {
		t.Errorf("version %q, adapter %q, invocation %q", w.dbt, w.adapter, w.invocation)
	}
	if n := int32(len(w.nodes)); w.total > 0 && w.total != n && want.name != "slow-model" {
		t.Errorf("a total of %d, %d nodes", w.total, n)
	}
	for _, n := range w.nodes {
		if n.Status != "skipped" && (n.Start < 1.7e12 || n.End < n.Start) || n.Path == "" && n.ResourceType == "model" || n.Relation == "" && n.ResourceType == "seed" {
			t.Errorf("a node without times, path or relation: %+v", n)
		}
	}
}

// watch keeps what a recorder tells.
type watch struct {
	dbt, adapter, invocation string
	total                    int32
	nodes                    []NodeState
	started                  []string
}

func (w *watch) tell(c Change) {
	switch {
	case c.Dbt != "" || c.Adapter != "":
		w.dbt, w.adapter = c.Dbt, c.Adapter
	case c.InvocationID != "":
		w.invocation = c.InvocationID
	case c.Total != 0:
		w.total = c.Total
	case c.Node.Status == "":
		w.started = append(w.started, c.Node.ID)
	default:
		i := slices.IndexFunc(w.nodes, func(n NodeState) bool { return n.ID == c.Node.ID })
		if i < 0 {
			w.nodes = append(w.nodes, *c.Node)
		} else {
			w.nodes[i] = *c.Node
		}
	}
}

func (w *watch) counts(t *testing.T) Counts {
	var c Counts
	for _, n := range w.nodes {
		if !c.Count(n.Status) {
			t.Errorf("node %s has status %q", n.ID, n.Status)
		}
	}
	return c
}

func (w *watch) failed() []NodeState {
	return slices.DeleteFunc(slices.Clone(w.nodes), func(n NodeState) bool { return !NodeFailed(n.Status) })
}
