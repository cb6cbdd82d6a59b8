package openlineage_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/openlineage"
	"github.com/dbt-operator/dbt-operator/internal/testutil/olschema"
)

var update = flag.Bool("update", false, "write what was got into testdata")

var (
	begun = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
	ended = begun.Add(time.Hour)
)

const uid = "5b0c5a1e-6f0a-4a0e-9d4c-2f6f1a2b3c4d"

// run is a finished run of the shop.
func run(change func(*openlineage.Run)) openlineage.Run {
	r := openlineage.Run{
		Namespace: "shop", Name: "nightly-29400120", UID: uid, Project: "shop", Target: "prod", Schedule: "nightly",
		ScheduledTime: begun, Trigger: "Schedule", Requester: "jane@example.com",
		Revision: "4b825dc642cb6eb9a060e54bf8d69288fbee4904", Image: "dbt@sha256:1", Start: begun, End: ended,
		Outcome: openlineage.Complete,
	}
	if change != nil {
		change(&r)
	}
	return r
}

// at returns Unix milliseconds some seconds after the begin.
func at(seconds int64) int64 { return begun.UnixMilli() + seconds*1000 }

func begin(pod string, second int64) []journal.Entry {
	return []journal.Entry{
		{Kind: journal.KindBegin, Pod: pod, At: at(second)},
		{Kind: journal.KindCommand, Line: "dbt build", At: at(second + 1)},
		{Kind: journal.KindInvocation, InvocationID: "0f1e2d3c-0000-4000-8000-00000000000" + fmt.Sprint(second%10)},
		{Kind: journal.KindEngine, Dbt: "1.12.6", Adapter: "duckdb=1.11.1"},
	}
}

func start(id string, second int64) journal.Entry {
	kind, _, _ := strings.Cut(id, ".")
	return journal.Entry{Kind: journal.KindStart, At: at(second), Node: &journal.Node{ID: id, ResourceType: kind, Start: at(second)}}
}

func result(id, status string, first, last int64, message string) journal.Entry {
	kind, _, _ := strings.Cut(id, ".")
	return journal.Entry{Kind: journal.KindResult, At: at(last), Node: &journal.Node{
		ID: id, ResourceType: kind, Status: status, Start: at(first), End: at(last), Rows: 7, Message: message,
		Relation: `"warehouse"."analytics"."` + id[strings.LastIndexByte(id, '.')+1:] + `"`,
	}}
}

func ends(outcome journal.Outcome, second int64) []journal.Entry {
	return []journal.Entry{
		{Kind: journal.KindCommandEnd, At: at(second), Outcome: outcome},
		{Kind: journal.KindEnd, At: at(second), Report: journal.Encode(journal.Report{Outcome: outcome}, journal.MaxEndReport)},
	}
}

func history(parts ...any) *openlineage.History {
	h := openlineage.NewHistory()
	for _, part := range parts {
		switch p := part.(type) {
		case journal.Entry:
			h.Apply(p)
		case []journal.Entry:
			for _, e := range p {
				h.Apply(e)
			}
		}
	}
	return h
}

// document is the lineage document of the shop, as dbt 1.11 left it.
func document(t testing.TB) openlineage.Open {
	t.Helper()
	b, err := os.ReadFile("../dbt/testdata/dbt111-lineage.json")
	if err != nil {
		t.Fatal(err)
	}
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// collect returns the events, each checked against the schemas.
func collect(t testing.TB, o openlineage.Options, in openlineage.Input) []openlineage.Event {
	t.Helper()
	check := olschema.New(t)
	var out []openlineage.Event
	for e, err := range openlineage.Events(o, in) {
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := check.Check(body); err != nil {
			t.Errorf("not valid: %v\n%s", err, body)
		}
		out = append(out, e)
	}
	return out
}

// brief says what an event is in a line.
func brief(e openlineage.Event) string {
	s := fmt.Sprintf("%s %s %s", e.Time[11:19], e.Type, e.Job.Name)
	for _, list := range [][]openlineage.Dataset{e.Inputs, e.Outputs} {
		s += " |"
		for _, d := range list {
			s += " " + d.Name
		}
	}
	if f, ok := e.Run.Facets["errorMessage"]; ok {
		s += fmt.Sprint(" ! ", f["message"])
	}
	return s
}

const (
	orders  = "model.shop.orders"
	revenue = "model.shop.daily_revenue"
	unique  = "test.shop.unique_orders_order_id.fed79b3a6e"
)

func TestEvents(t *testing.T) {
	success := history(begin("a", 0),
		start(orders, 5), result(orders, "success", 5, 9, ""),
		start(unique, 10), result(unique, "pass", 10, 11, ""),
		start(revenue, 10), result(revenue, "success", 10, 15, ""),
		result("model.shop.off", "skipped", 0, 15, ""), ends(journal.Succeeded, 20))
	tests := map[string]struct {
		reason string
		in     openlineage.Input
		want   []string
	}{
		"NotStarted": {
			reason: "a run that waits has nothing to say",
			in:     openlineage.Input{Run: run(func(r *openlineage.Run) { r.Start, r.End = time.Time{}, time.Time{} })},
		},
		"Running": {
			reason: "what a journal says is sent once it is final",
			in:     openlineage.Input{Run: run(func(r *openlineage.Run) { r.End = time.Time{} }), History: success},
			want:   []string{"06:00:00 START dbtschedule/nightly | |"},
		},
		"Success": {
			reason: "parents and children, in the order of the document; what was skipped did not run",
			in:     openlineage.Input{Run: run(nil), History: success, Lineage: document(t)},
			want: []string{
				"06:00:00 START dbtschedule/nightly | |",
				"06:00:05 START dbtproject/shop/prod/model.shop.orders | |",
				"06:00:09 COMPLETE dbtproject/shop/prod/model.shop.orders | warehouse.analytics.order_totals warehouse.analytics.stg_payments | warehouse.analytics.orders",
				"06:00:10 START dbtproject/shop/prod/model.shop.daily_revenue | |",
				"06:00:15 COMPLETE dbtproject/shop/prod/model.shop.daily_revenue | warehouse.analytics.orders | warehouse.analytics.daily_revenue",
				"06:00:10 START dbtproject/shop/prod/test.shop.unique_orders_order_id.fed79b3a6e | |",
				"06:00:11 COMPLETE dbtproject/shop/prod/test.shop.unique_orders_order_id.fed79b3a6e | warehouse.analytics.orders |",
				"07:00:00 COMPLETE dbtschedule/nightly | |",
			},
		},
		"Failure": {
			reason: "dbt says later why a node failed",
			in: openlineage.Input{
				Run: run(func(r *openlineage.Run) { r.Outcome, r.Message, r.Schedule = openlineage.Fail, "1 node failed.", "" }),
				History: history(begin("a", 0), start(orders, 5), result(orders, "error", 5, 9, ""),
					journal.Entry{Kind: journal.KindResult, At: at(19), Node: &journal.Node{ID: orders, Status: "error", Message: "Binder Error: no column x"}}, start(unique, 6), result(unique, "fail", 6, 7, "Got 7 results"), ends(journal.NodesFailed, 20)),
				Lineage: document(t),
			},
			want: []string{
				"06:00:00 START dbtproject/shop/prod | |",
				"06:00:05 START dbtproject/shop/prod/model.shop.orders | |",
				"06:00:09 FAIL dbtproject/shop/prod/model.shop.orders | warehouse.analytics.order_totals warehouse.analytics.stg_payments | warehouse.analytics.orders ! Binder Error: no column x",
				"06:00:06 START dbtproject/shop/prod/test.shop.unique_orders_order_id.fed79b3a6e | |",
				"06:00:07 FAIL dbtproject/shop/prod/test.shop.unique_orders_order_id.fed79b3a6e | warehouse.analytics.orders | ! Got 7 results",
				"07:00:00 FAIL dbtproject/shop/prod | | ! 1 node failed.",
			},
		},
		"Cancelled": {
			reason: "what ran when the run was cancelled is aborted, and so is the run",
			in: openlineage.Input{
				Run: run(func(r *openlineage.Run) {
					r.Outcome, r.Message, r.Project, r.Schedule, r.Target = openlineage.Abort, "Cancelled.", "", "", ""
				}),
				History: history(begin("a", 0), start(orders, 5), ends(journal.Interrupted, 9)),
			},
			want: []string{
				"06:00:00 START dbtrun/nightly-29400120 | |",
				"06:00:05 START dbtrun/nightly-29400120/model.shop.orders | |",
				"06:00:09 ABORT dbtrun/nightly-29400120/model.shop.orders | | ! cut off when pod a ended",
				"07:00:00 ABORT dbtrun/nightly-29400120 | | ! Cancelled.",
			},
		},
		"Killed": {
			reason: "a journal that just ends: what was open ended with the run at the latest",
			in: openlineage.Input{
				Run:     run(func(r *openlineage.Run) { r.Outcome, r.Message = openlineage.Fail, "The pod was lost." }),
				History: history(begin("a", 0), start(orders, 5)), Lineage: document(t),
			},
			want: []string{
				"06:00:00 START dbtschedule/nightly | |",
				"06:00:05 START dbtproject/shop/prod/model.shop.orders | |",
				"07:00:00 ABORT dbtproject/shop/prod/model.shop.orders | warehouse.analytics.order_totals warehouse.analytics.stg_payments | warehouse.analytics.orders ! the node ended as interrupted",
				"07:00:00 FAIL dbtschedule/nightly | | ! The pod was lost.",
			},
		},
		"Resumed": {
			reason: "a node that was cut off in one attempt and made in the next ran twice",
			in: openlineage.Input{
				Run: run(nil),
				History: history(begin("a", 0), start(revenue, 4), result(revenue, "success", 4, 5, ""), start(orders, 5),
					begin("b", 100), start(orders, 105), result(orders, "success", 105, 109, ""), ends(journal.Succeeded, 120)),
			},
			want: []string{
				"06:00:00 START dbtschedule/nightly | |",
				"06:00:04 START dbtproject/shop/prod/model.shop.daily_revenue | |",
				"06:00:05 COMPLETE dbtproject/shop/prod/model.shop.daily_revenue | | warehouse.analytics.daily_revenue",
				"06:00:05 START dbtproject/shop/prod/model.shop.orders | |",
				"06:01:40 ABORT dbtproject/shop/prod/model.shop.orders | | ! cut off when pod a ended",
				"06:01:45 START dbtproject/shop/prod/model.shop.orders | |",
				"06:01:49 COMPLETE dbtproject/shop/prod/model.shop.orders | | warehouse.analytics.orders",
				"07:00:00 COMPLETE dbtschedule/nightly | |",
			},
		},
		"Freshness": {
			reason: "a source that was looked at is no job, whether the document has it or not",
			in: openlineage.Input{
				Run: run(nil), Lineage: document(t),
				History: history(begin("a", 0), start("source.shop.web_shop.orders", 5), result("source.shop.web_shop.orders", "pass", 5, 6, ""),
					result("source.shop.web_shop.gone", "error", 5, 6, ""), result(orders, "success", 7, 9, ""), ends(journal.NodesFailed, 20)),
			},
			want: []string{
				"06:00:00 START dbtschedule/nightly | |",
				"06:00:07 START dbtproject/shop/prod/model.shop.orders | |",
				"06:00:09 COMPLETE dbtproject/shop/prod/model.shop.orders | warehouse.analytics.order_totals warehouse.analytics.stg_payments | warehouse.analytics.orders",
				"07:00:00 COMPLETE dbtschedule/nightly | |",
			},
		},
		"NoJournal": {
			reason: "a run that never got to dbt has its own two events",
			in:     openlineage.Input{Run: run(func(r *openlineage.Run) { r.Outcome = openlineage.Fail })},
			want:   []string{"06:00:00 START dbtschedule/nightly | |", "07:00:00 FAIL dbtschedule/nightly | | ! the run did not end well"},
		},
		"ClockWentBack": {
			reason: "nothing ends before it starts",
			in: openlineage.Input{
				Run:     run(func(r *openlineage.Run) { r.End = begun.Add(-time.Hour) }),
				History: history(begin("a", 0), result(orders, "success", 9, 5, "")),
			},
			want: []string{
				"06:00:00 START dbtschedule/nightly | |",
				"06:00:09 START dbtproject/shop/prod/model.shop.orders | |",
				"06:00:09 COMPLETE dbtproject/shop/prod/model.shop.orders | | warehouse.analytics.orders",
				"06:00:00 COMPLETE dbtschedule/nightly | |",
			},
		},
		"BrokenDocument": {
			reason: "a document that is no document costs facets, not events",
			in: openlineage.Input{
				Run: run(nil), History: history(begin("a", 0), result(orders, "success", 5, 9, "")),
				Lineage: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(`{"lineage":1,"nodes":[{`)), nil },
			},
			want: []string{
				"06:00:00 START dbtschedule/nightly | |",
				"06:00:05 START dbtproject/shop/prod/model.shop.orders | |",
				"06:00:09 COMPLETE dbtproject/shop/prod/model.shop.orders | | warehouse.analytics.orders",
				"07:00:00 COMPLETE dbtschedule/nightly | |",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			ids := map[string]map[openlineage.Type]int{}
			for _, e := range collect(t, openlineage.Options{}, tc.in) {
				got = append(got, brief(e))
				if ids[e.Run.ID] == nil {
					ids[e.Run.ID] = map[openlineage.Type]int{}
				}
				ids[e.Run.ID][e.Type]++
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			for id, types := range ids {
				if last := types[openlineage.Complete] + types[openlineage.Fail] + types[openlineage.Abort]; types[openlineage.Start] != 1 || last > 1 {
					t.Errorf("run %s has %v, want one START and one end", id, types)
				}
			}
		})
	}
}

// All that events say, as it was looked at by a person.
func TestGoldenEvents(t *testing.T) {
	in := openlineage.Input{
		Run: run(func(r *openlineage.Run) { r.Outcome, r.Message = openlineage.Fail, "1 node failed." }), Lineage: document(t),
		History: history(begin("a", 0),
			start(orders, 5), result(orders, "success", 5, 9, ""),
			start("model.shop.stg_payments", 5), result("model.shop.stg_payments", "error", 5, 6, "Runtime Error"),
			start(unique, 10), result(unique, "warn", 10, 11, "Got 7 results"),
			start(revenue, 10), ends(journal.Interrupted, 15)),
	}
	events := collect(t, openlineage.Options{Cluster: "prod-eu", DatasetNamespace: "duckdb:///data/warehouse.duckdb"}, in)
	got, err := json.MarshalIndent(events, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/events.json"
	if *update {
		if err := os.WriteFile(golden, append(got, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", golden, diff)
	}
}

func TestStartSaysNothingThatBecomesKnownLater(t *testing.T) {
	early := run(func(r *openlineage.Run) { r.End, r.Revision, r.Image, r.Outcome = time.Time{}, "", "", "" })
	a := collect(t, openlineage.Options{}, openlineage.Input{Run: early})
	b := collect(t, openlineage.Options{}, openlineage.Input{Run: run(nil), History: history(begin("a", 0)), Lineage: document(t)})
	if diff := cmp.Diff(a[0], b[0]); diff != "" {
		t.Errorf("START is not the same when it is built again (-early +late):\n%s", diff)
	}
}

func TestEventsCanBeStoppedAnywhere(t *testing.T) {
	in := openlineage.Input{Run: run(nil), Lineage: document(t), History: history(begin("a", 0), result(orders, "success", 5, 9, ""), result("model.x.y", "success", 5, 9, ""))}
	for stop := 1; stop <= 6; stop++ {
		n := 0
		for _, err := range openlineage.Events(openlineage.Options{}, in) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == stop {
				break
			}
		}
		if n != stop {
			t.Errorf("stopped after %d events, want %d", n, stop)
		}
	}
}

// A store that is away is no reason to send less than there is.
func TestEventsTellWhenTheDocumentCannotBeRead(t *testing.T) {
	away := errors.New("the store is away")
	for name, open := range map[string]openlineage.Open{
		"Opening": func() (io.ReadCloser, error) { return nil, away },
		"Reading": func() (io.ReadCloser, error) { return io.NopCloser(iotest.ErrReader(away)), nil },
	} {
		t.Run(name, func(t *testing.T) {
			var last error
			n := 0
			for _, err := range openlineage.Events(openlineage.Options{}, openlineage.Input{Run: run(nil), Lineage: open}) {
				n, last = n+1, err
			}
			if n != 2 || !errors.Is(last, away) {
				t.Errorf("%d events, then %v; want START, then the error", n, last)
			}
		})
	}
}

func TestNames(t *testing.T) {
	tests := map[string]struct {
		reason, adapter, relation, configured, namespace, name string
	}{
		"Postgres":        {"the server is not known: nobody else must have the name", "postgres=1.11.0", `"db"."s"."t"`, "", "postgres://shop.shop", "db.s.t"},
		"Configured":      {"what is configured counts", "postgres=1.11.0", `"db"."s"."t"`, "postgres://pg:5432", "postgres://pg:5432", "db.s.t"},
		"BigQuery":        {"the specification says all", "bigquery=1.10", "`p`.`d`.`t`", "", "bigquery", "p.d.t"},
		"BigQueryOneName": {"one pair of quotes around all of it", "bigquery=1.10", "`p.d.t`", "", "bigquery", "p.d.t"},
		"Snowflake":       {"unquoted", "snowflake", "DB.S.T", "", "snowflake://shop.shop", "DB.S.T"},
		"SQLServer":       {"brackets, and another scheme", "sqlserver=1", "[db].[s].[t]", "", "mssql://shop.shop", "db.s.t"},
		"DotInName":       {"a dot inside of quotes", "duckdb", `"my.db"."s"."t"`, "", "duckdb://shop.shop", "my.db.s.t"},
		"Open":            {"a quote that is not closed", "duckdb", `"db`, "", "duckdb://shop.shop", `"db`},
		"Unknown":         {"no adapter said its name", "", `"t"`, "", "dbt://shop.shop", "t"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			entry := result("model.a.b", "success", 1, 2, "")
			entry.Node.Relation = tc.relation
			events := collect(t, openlineage.Options{}, openlineage.Input{
				Run:     run(func(r *openlineage.Run) { r.DatasetNamespace = tc.configured }),
				History: history(journal.Entry{Kind: journal.KindEngine, Adapter: tc.adapter}, entry),
			})
			out := events[2].Outputs[0]
			if out.Namespace != tc.namespace || out.Name != tc.name {
				t.Errorf("%s: got %s %s, want %s %s", tc.reason, out.Namespace, out.Name, tc.namespace, tc.name)
			}
		})
	}
}

func TestRunID(t *testing.T) {
	if got := openlineage.RunID(uid); got != uid {
		t.Errorf("a UID that is a UUID is the run: got %s", got)
	}
	if a, b := openlineage.RunID("x"), openlineage.RunID("y"); a == b || len(a) != 36 {
		t.Errorf("other UIDs make a UUID each: %s, %s", a, b)
	}
	if a, b := openlineage.NodeRunID(uid, orders, 0), openlineage.NodeRunID(uid, orders, 1); a == b || a != openlineage.NodeRunID(uid, orders, 0) {
		t.Error("each execution has its own, always the same")
	}
}

// 2,000 nodes with 64 KiB of SQL each: 128 MiB, if they were all held.
func TestEventsOfLargeRunsAreMadeOneByOne(t *testing.T) {
	const nodes = 2000
	h := history(begin("a", 0))
	for i := range nodes {
		h.Apply(result(fmt.Sprintf("model.big.m%04d", i), "success", 1, 2, ""))
	}
	sql := strings.Repeat("x", 64<<10)
	open := func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() {
			_, err := io.WriteString(w, `{"lineage":1,"nodes":[`)
			for i := 0; i < nodes && err == nil; i++ {
				_, err = fmt.Fprintf(w, `%s{"id":"model.big.m%04d","type":"model","sql":{"code":"%s"},"relation":{"schema":"s","identifier":"m%d"}}`, []string{"", ","}[min(i, 1)], i, sql, i)
			}
			if err == nil {
				_, _ = io.WriteString(w, "]}")
			}
			_ = w.Close()
		}()
		return r, nil
	}
	n, peak := 0, uint64(0)
	for _, err := range openlineage.Events(openlineage.Options{}, openlineage.Input{Run: run(nil), History: h, Lineage: open}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n%500 == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	}
	if n != 2*nodes+2 {
		t.Errorf("%d events, want %d", n, 2*nodes+2)
	}
	if peak > 32<<20 {
		t.Errorf("%d MiB in use, want less than 32", peak>>20)
	}
}

func FuzzEvents(f *testing.F) {
	for _, e := range append(begin("a", 0), start(orders, 5), result(orders, "success", 5, 9, "")) {
		f.Add(journal.EncodeEntry(e), []byte(`{"lineage":1,"nodes":[{"id":"model.shop.orders","type":"model","relation":{"name":"a"}}]}`))
	}
	check := olschema.New(f)
	f.Fuzz(func(t *testing.T, lines, doc []byte) {
		h := openlineage.NewHistory()
		_, _ = journal.DecodeEntries(bytes.NewReader(lines), func(e journal.Entry) error { h.Apply(e); return nil })
		in := openlineage.Input{Run: run(nil), History: h, Lineage: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(doc)), nil }}
		for e, err := range openlineage.Events(openlineage.Options{}, in) {
			if err != nil {
				t.Fatal(err)
			}
			body, err := json.Marshal(e)
			if err == nil {
				err = check.Check(body)
			}
			if err != nil {
				t.Errorf("%v\n%s", err, body)
			}
		}
	})
}
