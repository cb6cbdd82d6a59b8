package openlineage_test

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/openlineage"
)

// text is a lineage document of these nodes.
func text(nodes ...string) openlineage.Open {
	return func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(`{"lineage":1,"nodes":[` + strings.Join(nodes, ",") + `]}`)), nil
	}
}

func TestInputsGoThroughEphemeralModels(t *testing.T) {
	in := openlineage.Input{
		Run: run(nil),
		Lineage: text(
			`{"id":"model.s.orders","type":"model","relation":{"schema":"d","identifier":"orders"},"materialized":"table","dependsOn":["model.s.mid","model.s.seen","source.s.r.b"]}`,
			`{"id":"model.s.mid","type":"model","materialized":"ephemeral","dependsOn":["model.s.mid","model.s.stg","source.s.r.b"]}`,
			`{"id":"model.s.stg","type":"model","materialized":"ephemeral","dependsOn":["model.s.mid","source.s.r.a"]}`,
			`{"id":"model.s.seen","type":"model","relation":{"schema":"d","identifier":"seen"},"materialized":"view","dependsOn":["source.s.r.c"]}`,
			`{"id":"test.s.unique","type":"test","dependsOn":["model.s.stg"],"test":{"kind":"unique","column":"id","attached":"model.s.stg"}}`,
			`{"id":"test.s.singular","type":"test","dependsOn":["model.s.seen","model.s.stg"],"test":{"severity":"error"}}`,
			`{"id":"unit_test.s.u","type":"unit_test","dependsOn":["model.s.stg"]}`,
			`{"id":"source.s.r.a","type":"source","relation":{"schema":"r","identifier":"a"},"columns":[{"name":"id"}]}`,
			`{"id":"source.s.r.b","type":"source","relation":{"schema":"r","identifier":"b"}}`,
			`{"id":"source.s.r.c","type":"source","relation":{"schema":"r","identifier":"c"}}`),
		History: history(begin("a", 0), result("model.s.orders", "success", 1, 2, ""), result("test.s.unique", "pass", 3, 4, ""),
			result("test.s.singular", "pass", 3, 4, ""), result("unit_test.s.u", "pass", 3, 4, "")),
	}
	var got []string
	for _, e := range collect(t, openlineage.Options{}, in) {
		if e.Type == openlineage.Start || e.Job.Name == "dbtschedule/nightly" {
			continue
		}
		line := e.Job.Name[len("dbtproject/shop/prod/"):]
		for _, d := range e.Inputs {
			line += " " + d.Name
			if d.Facets["schema"] != nil {
				line += "(columns)"
			}
			if d.InputFacets["dataQualityAssertions"] != nil {
				line += "(asserted)"
			}
		}
		got = append(got, line)
	}
	want := []string{
		"model.s.orders d.seen r.b r.a(columns)",
		// What a test says of an ephemeral model it does not say of what that reads.
		"test.s.unique r.a(columns) r.b",
		"test.s.singular d.seen(asserted) r.a(columns) r.b",
		// dbt gives it rows of its own in place of what the model reads.
		"unit_test.s.u",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// 5,000 ephemeral models, each made of the one before and of a source.
func TestInputsOfDeepEphemeralChainsAreBounded(t *testing.T) {
	const depth = 5000
	nodes := []string{fmt.Sprintf(`{"id":"model.s.t","type":"model","dependsOn":["model.s.e%d"]}`, depth-1)}
	for i := range depth {
		nodes = append(nodes,
			fmt.Sprintf(`{"id":"model.s.e%d","type":"model","materialized":"ephemeral","dependsOn":["model.s.e%d","source.s.r.a%d"]}`, i, i-1, i),
			fmt.Sprintf(`{"id":"source.s.r.a%d","type":"source","relation":{"schema":"r","identifier":"a%d"}}`, i, i))
	}
	in := openlineage.Input{Run: run(nil), History: history(begin("a", 0), result("model.s.t", "success", 1, 2, "")), Lineage: text(nodes...)}
	events := collect(t, openlineage.Options{}, in)
	if got := events[2].Inputs; len(got) != 1000 || got[0].Name != "r.a4999" || got[999].Name != "r.a4000" {
		t.Errorf("%d inputs, want those of the 1000 nearest models", len(got))
	}
}

// 1,500 ephemeral models of 500 parents each: 24 MiB, if they were all held.
func TestWhatIsHeldOfEphemeralModelsIsBounded(t *testing.T) {
	var parents []string
	for i := range 500 {
		parents = append(parents, fmt.Sprintf(`"model.s.p%d"`, i))
	}
	h := history(begin("a", 0), result("model.s.t", "success", 1, 2, ""))
	open := func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() {
			_, err := io.WriteString(w, `{"lineage":1,"nodes":[{"id":"model.s.t","type":"model"}`)
			for i := 0; i < 1500 && err == nil; i++ {
				_, err = fmt.Fprintf(w, `,{"id":"model.s.e%d","type":"model","materialized":"ephemeral","dependsOn":[%s]}`, i, strings.Join(parents, ","))
			}
			_, _ = io.WriteString(w, "]}")
			_ = w.Close()
		}()
		return r, nil
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for e, err := range openlineage.Events(openlineage.Options{}, openlineage.Input{Run: run(nil), History: h, Lineage: open}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == openlineage.Complete && e.Job.Name != "dbtschedule/nightly" {
			runtime.GC()
			runtime.ReadMemStats(&after)
		}
	}
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); after.HeapAlloc == 0 || held > 12<<20 {
		t.Errorf("%d MiB in use, want less than 12", held>>20)
	}
}
