package dbt

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// line1 is an event of dbt 1.x about a node, in the shape that dbt 1.11 writes.
func line1(code, level, id, status, data string) string {
	return fmt.Sprintf(`{"data": {%s"node_info": {"node_path": "x.sql", "node_relation": {"relation_name": "\"db\".\"s\".\"x\""}, "node_status": %q, "resource_type": "model", "unique_id": %q}}, "info": {"code": %q, "name": "N", "level": %q, "msg": "m", "invocation_id": "i1", "ts": "2026-11-24T00:09:33.7Z"}}`,
		data, status, id, code, level)
}

func general(code, level, message, data string) string {
	return fmt.Sprintf(`{"info":{"code":%q,"name":"N","level":%q,"msg":%q,"invocation_id":"i1"},"data":{%s}}`, code, level, message, data)
}

func record(t *testing.T, r *Recorder, lines ...string) {
	t.Helper()
	r.Begin()
	for _, l := range lines {
		e, ok := ParseEvent([]byte(l))
		if !ok {
			t.Fatalf("ParseEvent(%s): no event", l)
		}
		r.Observe(e)
	}
}

func TestParseEvent(t *testing.T) {
	cases := map[string]struct {
		reason, line string
		want         Event
		ok           bool
	}{
		"Version": {
			reason: "the version comes with an equals sign, which is no part of it",
			line:   `{"data":{"log_version":3,"version":"=1.11.16"},"info":{"code":"A001","level":"info","name":"MainReportVersion","msg":"hi","ts":"t","invocation_id":"i"}}`,
			want:   Event{Code: "A001", Level: "info", Name: "MainReportVersion", Message: "hi", Time: "t", InvocationID: "i", Data: Data{Version: "1.11.16"}},
			ok:     true,
		},
		"NoneStatus": {
			reason: "dbt 1.x writes Python's None where a node has no status",
			line:   line1("Z024", "error", "model.a", "None", ""),
			want:   Event{Code: "Z024", Level: "error", Name: "N", Message: "m", Time: "2026-11-24T00:09:33.7Z", InvocationID: "i1", Node: Node{UniqueID: "model.a", ResourceType: "model", Path: "x.sql", Relation: `"db"."s"."x"`}},
			ok:     true,
		},
		"DataOfAnotherShape": {
			reason: "an event is not lost because its data is not as expected",
			line:   `{"info":{"code":"X","name":"N","level":"INFO","msg":"m"},"data":{"total":"many"}}`,
			want:   Event{Code: "X", Name: "N", Level: "info", Message: "m"},
			ok:     true,
		},
		"InvalidUTF8":   {reason: "adapters pass on what a server sent", line: "{\"info\":{\"name\":\"N\",\"level\":\"info\",\"msg\":\"\xff\"}}", want: Event{Name: "N", Level: "info", Message: "\uFFFD"}, ok: true},
		"Text":          {reason: "a hook may print anything", line: "Installing collected packages"},
		"OtherJSON":     {reason: "JSON that is no event is text", line: `{"level":"info","message":"hello"}`},
		"Truncated":     {reason: "a line cut short is no event", line: `{"info":{"name":"N","level":"in`},
		"NullInfo":      {reason: "null where an object was expected", line: `{"info":null,"data":null}`},
		"Empty":         {reason: "nothing is no event", line: ""},
		"DeepNesting":   {reason: "nesting is bounded by the decoder", line: strings.Repeat(`{"a":`, 20000)},
		"InfoIsAString": {reason: "an object was expected", line: `{"info":"x"}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, ok := ParseEvent([]byte(tc.line))
			if ok != tc.ok {
				t.Fatalf("%s: ok = %v", tc.reason, ok)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.reason, diff)
			}
		})
	}
}

// TestUnitTests holds lines as dbt 1.11 and 1.12 print them of a unit test: the node's status stays None, and only the
// result's own status says how it ended.
func TestUnitTests(t *testing.T) {
	const id = "unit_test.rs.m7.ut_m7"
	cases := map[string]struct {
		reason string
		lines  []string
		exit   int
		want   Counts
		ending Ending
		says   string
	}{
		"Passes": {
			reason: "a unit test that passed has ended, and is a success",
			lines:  []string{line1("Q011", "info", id, "started", `"total":1,`), line1("Q007", "info", id, "None", `"status":"pass","num_models":1,`)},
			want:   Counts{Success: 1}, ending: EndedWell,
		},
		"Fails": {
			reason: "its failure is that of a node, with the difference as its text",
			lines: []string{
				line1("Q011", "info", id, "started", `"total":1,`), line1("Q007", "error", id, "None", `"status":"fail","num_failures":1,"num_models":1,`),
				line1("Z022", "error", id, "None", `"path":"models/s.yml",`), line1("Z024", "error", id, "None", `"msg":"actual differs from expected",`),
			},
			exit: 1, want: Counts{Fail: 1}, ending: NodesFailed, says: id + " (fail): actual differs from expected",
		},
		"StatusOfTheServer": {
			reason: "the status of a result can be what the server said, which is no node status",
			lines:  []string{line1("Q007", "info", id, "None", `"status":"SELECT 3",`)},
			ending: EndedWell,
		},
		"StatusIsNoString": {
			reason: "the rest of the event's data is not lost",
			lines:  []string{line1("Q007", "info", "test.a", "pass", `"status":{"x":1},`)},
			want:   Counts{Success: 1}, ending: EndedWell,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := &watch{}
			r := NewRecorder(w.tell)
			record(t, r, tc.lines...)
			if diff := cmp.Diff(tc.want, w.counts(t)); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.reason, diff)
			}
			ending, message := r.Judge("dbt build", Exit{Code: tc.exit})
			if ending != tc.ending || !strings.Contains(message, tc.says) {
				t.Errorf("%s: got %s %q, want %s with %q", tc.reason, ending, message, tc.ending, tc.says)
			}
		})
	}
}

func TestRecorderTells(t *testing.T) {
	w := &watch{}
	r := NewRecorder(w.tell)
	record(t, r,
		general("A001", "info", "", `"version":"=1.11.16"`),
		general("E034", "info", "", `"adapter_name":"duckdb","adapter_version":"=1.11.1"`),
		line1("Q011", "info", "model.a", "started", `"total":8,`),
		line1("Q012", "info", "model.a", "success", `"total":8,"execution_time":1.5,"status":"SELECT 100",`),
		line1("Q007", "info", "test.b", "pass", `"num_models":8,"execution_time":2.5,"status":"pass",`),
		line1("Q007", "warn", "test.w", "warn", `"num_failures":3,`),
		line1("Q007", "error", "test.f", "fail", `"num_failures":2,`),
		line1("Q012", "error", "model.e", "error", ""),
		line1("Q012", "error", "model.p", "partial success", ""),
		line1("Q034", "info", "model.s", "skipped", ""),
		line1("Q019", "info", "exposure.x", "no-op", ""),
		line1("Q025", "debug", "model.a", "success", ""),
		line1("Q033", "info", "operation.h", "success", `"total":1,`),
		line1("Z022", "error", "model.e", "None", `"path":"models/e.sql",`),
		line1("Z024", "error", "model.e", "None", `"msg":"Runtime Error in model e",`),
	)
	const at = 1795478973700 // the time of line1
	node := func(id, status string, more NodeState) NodeState {
		more.ID, more.Status, more.ResourceType, more.Relation, more.End = id, status, "model", `"db"."s"."x"`, at
		more.Path = firstNonEmpty(more.Path, "x.sql")
		return more
	}
	want := []NodeState{
		node("model.a", "success", NodeState{Start: at, Seconds: 1.5, Rows: 100}),
		node("test.b", "pass", NodeState{Seconds: 2.5}),
		node("test.w", "warn", NodeState{Rows: 3}),
		node("test.f", "fail", NodeState{Rows: 2, Message: "Got 2 results"}),
		node("model.e", "error", NodeState{Message: "Runtime Error in model e", Path: "models/e.sql"}),
		node("model.p", "partial success", NodeState{}),
		node("model.s", "skipped", NodeState{}),
		node("exposure.x", "no-op", NodeState{}),
	}
	if diff := cmp.Diff(want, w.nodes); diff != "" {
		t.Errorf("each node once, hooks not at all, and what became known later: -want +got\n%s", diff)
	}
	if w.dbt != "1.11.16" || w.adapter != "duckdb=1.11.1" || w.total != 8 || w.invocation != "i1" {
		t.Errorf("dbt %q, adapter %q, total %d, invocation %q", w.dbt, w.adapter, w.total, w.invocation)
	}
	if diff := cmp.Diff([]string{"model.a"}, w.started); diff != "" {
		t.Errorf("started: -want +got\n%s", diff)
	}
}

func TestRecorderSecondCommand(t *testing.T) {
	w := &watch{}
	r := NewRecorder(w.tell)
	record(t, r, line1("Q012", "error", "model.b", "error", `"total":2,`))
	record(t, r, line1("Q011", "info", "model.b", "started", `"total":3,`), line1("Q012", "info", "model.b", "success", `"total":3,`))
	if ending, why := r.Judge("dbt run", Exit{}); ending != EndedWell {
		t.Errorf("a command is judged by its own nodes: got %s %q", ending, why)
	}
	if w.nodes[0].Status != "success" || w.nodes[0].Message != "" {
		t.Errorf("what a command before said of a node is over: %+v", w.nodes[0])
	}
}

func TestRecorderIgnoresOtherInvocations(t *testing.T) {
	w := &watch{}
	r := NewRecorder(w.tell)
	fake := strings.Replace(line1("Q012", "info", "model.fake", "success", ""), `"i1"`, `"i2"`, 1)
	record(t, r, line1("Q012", "error", "model.a", "error", ""), fake)
	if diff := cmp.Diff(Counts{Error: 1}, w.counts(t)); diff != "" {
		t.Errorf("an event of another invocation is not the command's own: -want +got\n%s", diff)
	}
}

func TestRows(t *testing.T) {
	tests := map[string]struct {
		reason, status string
		want           int64
	}{
		"Select":   {"a table made by a query, on PostgreSQL", "SELECT 100", 100},
		"Insert":   {"an incremental model", "INSERT 0 7", 7},
		"Seed":     {"dbt's own word for a seed", "INSERT 5", 5},
		"Merge":    {"a merge", "MERGE 12", 12},
		"View":     {"a view has no rows", "CREATE VIEW", 0},
		"OK":       {"DuckDB says nothing", "OK", 0},
		"BigQuery": {"BigQuery in words", "CREATE TABLE (12.0 rows, 2.0 MiB processed)", 12},
		"Rounded":  {"a rounded number is none", "CREATE TABLE (1.2k rows, 2.0 MiB processed)", 0},
		"Success":  {"Snowflake counts its own answer", "SUCCESS 1", 0},
		"Hostile":  {"text that only begins so", "SELECT 1 from x", 0},
		"Huge":     {"more digits than a number has", "SELECT 99999999999999999999", 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := rows(Event{Data: Data{Adapter: tc.status}}); got != tc.want {
				t.Errorf("%s: %q is %d rows, want %d", tc.reason, tc.status, got, tc.want)
			}
		})
	}
}

func TestMillis(t *testing.T) {
	for in, want := range map[string]int64{
		"2026-11-24T02:12:25.210271": 1795486345210, "2026-11-24T02:12:25.210271Z": 1795486345210, "2026-11-24T03:12:25.210+01:00": 1795486345210,
		"": 0, "yesterday": 0, "1969-12-31T23:59:59Z": 0,
	} {
		if got := millis(in); got != want {
			t.Errorf("millis(%q) = %d, want %d", in, got, want)
		}
	}
}

func TestRecorderDbt2(t *testing.T) {
	generic := `{"info":{"code":"","name":"Generic","level":"error","msg":"[error] [DbSyntaxInvalid (dbt1302)]: Database Error in model orders\n  column does not exist\nQuery was: select 1\n   0: <unknown>","invocation_id":"i1"},"data":{"node_info":{"unique_id":"model.o"}}}`
	r := NewRecorder(nil)
	record(t, r,
		line1("Q011", "info", "model.o", "started", ""),
		generic,
		line1("Q012", "info", "model.o", "error", ""),
		general("Q039", "info", "", `"success":false`))
	ending, message := r.Judge("dbt build", Exit{Code: 1})
	const want = "1 of 1 nodes failed: model.o (error): [DbSyntaxInvalid (dbt1302)]: Database Error in model orders column does not exist"
	if ending != NodesFailed || message != want {
		t.Errorf("dbt 2.x explains a failure before it reports it: got %s %q, want %q", ending, message, want)
	}
}

func TestJudge(t *testing.T) {
	started := line1("Q011", "info", "model.a", "started", "")
	ended := line1("Q012", "info", "model.a", "success", "")
	cases := map[string]struct {
		reason  string
		lines   []string
		exit    Exit
		want    Ending
		message string
	}{
		"Well": {reason: "exit code 0 and every node ended", lines: []string{started, ended}, want: EndedWell},
		"ZeroButFailed": {
			reason: "an exit code of 0 does not make a failed node good",
			lines:  []string{line1("Q012", "error", "model.a", "error", "")}, want: NodesFailed, message: "1 of 1 nodes failed: model.a (error)",
		},
		"ZeroButUnfinished": {
			reason: "a node that started and never ended is not success", lines: []string{started},
			want: DbtError, message: "dbt build ended with exit code 0, but 1 of the nodes it started never ended",
		},
		"ZeroButUnhandled": {
			reason: "dbt 2.0 alpha exits 0 for commands it does not know",
			lines:  []string{general("", "warn", "[warning] Unhandled command: Source", "")},
			want:   DbtError, message: "dbt build did nothing: [warning] Unhandled command: Source",
		},
		"SuccessButNonZero": {
			reason: "events alone do not make a run good", lines: []string{started, ended}, exit: Exit{Code: 2},
			want: DbtError, message: "dbt build ended with exit code 2: it did not say why; see the log of the pod",
		},
		"MainError": {
			reason: "the error that ended dbt goes before others",
			lines:  []string{general("", "error", "first", ""), general("Z002", "error", "x", `"exc":"Parsing Error\n  bad"`), general("", "error", "Traceback (most recent call last)", "")},
			exit:   Exit{Code: 2}, want: DbtError, message: "dbt build ended with exit code 2: Parsing Error bad",
		},
		"Usage": {
			reason: "click writes usage errors to standard error", exit: Exit{Code: 2, Stderr: "Usage: dbt build [OPTIONS]\nTry 'dbt build -h' for help.\n\nError: No such option '--bogus'."},
			want: DbtError, message: "dbt build ended with exit code 2: No such option '--bogus'.",
		},
		"Killed":   {reason: "dbt never kills itself", exit: Exit{Code: -1, Signal: syscall.SIGKILL}, want: Killed, message: "dbt build was killed by signal 9"},
		"Segfault": {reason: "a crash has its own words", exit: Exit{Code: -1, Signal: syscall.SIGSEGV}, want: DbtError, message: "dbt build was ended by signal 11 (segmentation fault)"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := NewRecorder(nil)
			record(t, r, tc.lines...)
			got, message := r.Judge("dbt build", tc.exit)
			if got != tc.want || message != tc.message {
				t.Errorf("%s: got %s %q, want %s %q", tc.reason, got, message, tc.want, tc.message)
			}
		})
	}
}

// What dbt 1.11 says of a microbatch model of which one batch of 21 failed.
func TestRecorderCountsBatches(t *testing.T) {
	b, err := os.ReadFile("testdata/dbt111-duckdb-microbatch.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]NodeState{}
	var begun []int32
	r := NewRecorder(func(c Change) {
		if c.Node != nil {
			states[c.Node.ID] = *c.Node
			if c.Node.Status == "" {
				begun = append(begun, c.Node.Batches)
			}
		}
	})
	record(t, r, strings.Split(strings.TrimSpace(string(b)), "\n")...)
	if got := states["model.mb.ev"]; got.Batches != 21 || got.Status != "partial success" {
		t.Errorf("got %+v", got)
	}
	// It is known before the first batch has ended, and told once.
	if diff := cmp.Diff([]int32{0, 0, 21}, begun); diff != "" {
		t.Errorf("starts (-want +got):\n%s", diff)
	}
}
