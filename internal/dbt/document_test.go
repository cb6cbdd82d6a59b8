package dbt

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what was got into testdata")

func open(t testing.TB, name string) io.Reader {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b)
}

// lineage writes a document and reads it back.
func lineage(t testing.TB, files LineageFiles) (string, LineageHeader, []LineageNode, error) {
	t.Helper()
	var b bytes.Buffer
	err := WriteLineage(&b, files)
	doc := b.String()
	var nodes []LineageNode
	h, readErr := ReadLineage(&b, func(n LineageNode) error {
		nodes = append(nodes, n)
		return nil
	})
	if readErr != nil {
		t.Fatalf("what was written cannot be read: %v\n%s", readErr, doc)
	}
	return doc, h, nodes, err
}

// What each engine really leaves comes out as it was looked at by a person.
func TestWriteLineageOfRealManifests(t *testing.T) {
	for _, engine := range []string{"dbt111", "dbt112", "dbt20"} {
		t.Run(engine, func(t *testing.T) {
			files := LineageFiles{Manifest: open(t, engine+"-manifest.json")}
			if engine == "dbt111" {
				files.Catalog, files.Sources = open(t, "dbt111-catalog.json"), open(t, "dbt111-sources.json")
			}
			doc, _, _, err := lineage(t, files)
			if err != nil {
				t.Fatal(err)
			}
			golden := "testdata/" + engine + "-lineage.json"
			if *update {
				if err := os.WriteFile(golden, []byte(doc), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), doc); diff != "" {
				t.Errorf("%s (-want +got; -update writes it):\n%s", golden, diff)
			}
		})
	}
}

// One pass over the manifest gives the document and the graph.
func TestWriteLineageFillsTheGraph(t *testing.T) {
	for _, engine := range []string{"dbt111", "dbt112", "dbt20"} {
		want, err := ReadManifest(open(t, engine+"-manifest.json"))
		if err != nil {
			t.Fatal(err)
		}
		var got Manifest
		if err := WriteLineage(io.Discard, LineageFiles{Manifest: open(t, engine+"-manifest.json"), Graph: &got}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, &got, emptyIsNil); diff != "" || len(got.Nodes) < 5 {
			t.Errorf("%s (-ReadManifest +Graph):\n%s", engine, diff)
		}
	}
}

func TestWriteLineageSaysEverythingOfANode(t *testing.T) {
	_, h, nodes, err := lineage(t, LineageFiles{
		Manifest: strings.NewReader(`{"nodes":{"model.s.a":{"resource_type":"model","name":"a","package_name":"s","original_file_path":"models/a.sql",
 "database":"d","schema":"x","alias":"a1","relation_name":"\"d\".\"x\".\"a1\"","description":"A.","language":"sql","raw_code":"select {{ 1 }}","compiled_code":"select 1",
 "depends_on":{"nodes":["source.s.r.b","model.s.z","model.s.z"]},"group":"finance","tags":["t"],"meta":{"owner":"team-a","pii":true},
 "columns":{"ID":{"name":"ID","data_type":"int","description":"key"},"gone":{"name":"gone"}},"config":{"materialized":"table"}},
 "operation.s.h":{"resource_type":"operation"}},
 "unit_tests":{"unit_test.s.a.u":{"name":"u","depends_on":{"nodes":["model.s.a"]}}},
 "metadata":{"dbt_version":"1.12.6","adapter_type":"postgres","project_name":"s"}}`),
		Catalog: strings.NewReader(`{"nodes":{"model.s.a":{"columns":{"b":{"name":"b","type":"text","index":2},"id":{"name":"id","type":"bigint","index":1}}}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(LineageHeader{Dbt: "1.12.6", Adapter: "postgres", Project: "s"}, h); diff != "" {
		t.Errorf("header, which came last (-want +got):\n%s", diff)
	}
	want := []LineageNode{{
		ID: "model.s.a", ResourceType: "model", Name: "a", Package: "s", Path: "models/a.sql", Materialized: "table",
		Relation:  &Relation{Database: "d", Schema: "x", Identifier: "a1", Name: `"d"."x"."a1"`},
		DependsOn: []string{"model.s.z", "source.s.r.b"}, Description: "A.", Tags: []string{"t"}, Group: "finance", Owner: "team-a",
		Columns: []Column{{Name: "id", Type: "bigint", Description: "key"}, {Name: "b", Type: "text"}},
		Meta:    []byte(`{"owner":"team-a","pii":true}`), SQL: &SQL{Code: "select 1", Compiled: true},
	}, {ID: "unit_test.s.a.u", ResourceType: "unit_test", Name: "u", DependsOn: []string{"model.s.a"}}}
	if diff := cmp.Diff(want, nodes, emptyIsNil); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

var emptyIsNil = cmp.FilterValues(func(a, b []string) bool { return len(a) == 0 && len(b) == 0 }, cmp.Ignore())

// nested is JSON nested deeper than any dbt writes.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func TestWriteLineageOfBrokenManifests(t *testing.T) {
	const good = `"model.s.a":{"resource_type":"model","name":"a"}`
	cases := map[string]struct {
		reason   string
		manifest string
		want     []string // nodes that stay
		problem  string
	}{
		"Truncated":     {"what is before the cut stays", `{"nodes":{` + good + `,"model.s.b":{"resource_ty`, []string{"model.s.a"}, "cut off after"},
		"Empty":         {"an empty file is cut off", ``, nil, "cut off after 0 bytes"},
		"NotAnObject":   {"another document", `[1]`, nil, "found array where a JSON object was expected"},
		"Null":          {"another document", `null`, nil, "found null"},
		"NotJSON":       {"a log in its place", "Traceback (most recent call last)", nil, "invalid character 'T'"},
		"WrongNode":     {"one node of another shape does not take the others with it", `{"nodes":{"model.s.x":{"resource_type":"model","depends_on":[1]},` + good + `}}`, []string{"model.s.a"}, "model.s.x is left out"},
		"WrongSection":  {"sections are objects", `{"nodes":{` + good + `},"sources":"x"}`, []string{"model.s.a"}, "found string where a JSON object"},
		"WrongMetadata": {"nodes are worth more than the header", `{"metadata":[],"nodes":{` + good + `}}`, []string{"model.s.a"}, "metadata"},
		"Deep":          {"a nesting of 10,001 is refused by the decoder, before the stack is", `{"docs":` + nested(10_001) + `,"nodes":{` + good + `}}`, nil, "depth"},
		"DeepNode":      {"the same inside of a node", `{"nodes":{` + good + `,"model.s.x":` + nested(10_001) + `}}`, []string{"model.s.a"}, "depth"},
		"JustDeep":      {"what the decoder takes is skipped", `{"docs":` + nested(9_990) + `,"nodes":{` + good + `}}`, []string{"model.s.a"}, ""},
		"Twice":         {"the first of two nodes of one name counts", `{"nodes":{` + good + `,` + good + `}}`, []string{"model.s.a"}, "more than once"},
		"TwiceInside":   {"the last of two members counts, as in dbt's own reader", `{"nodes":{"model.s.a":{"name":"z","resource_type":"test","resource_type":"model"}}}`, []string{"model.s.a"}, ""},
		"InvalidUTF8":   {"bytes that are no text are replaced", "{\"nodes\":{\"model.s.\xff\":{\"resource_type\":\"model\",\"description\":\"\xc3\x28\"}}}", []string{"model.s.\uFFFD"}, ""},
		"Control":       {"a name with an escape sequence is cleaned", `{"nodes":{"model.s.\u001b[31ma":{"resource_type":"model"}}}`, []string{"model.s.a"}, ""},
		"Trailing":      {"two documents in one file", `{"nodes":{` + good + `}}{}`, []string{"model.s.a"}, "something follows"},
		"NullParts":     {"dbt writes null for what is not there", `{"nodes":{"model.s.a":{"resource_type":"model","columns":null,"depends_on":null,"config":null,"meta":null,"relation_name":null}},"sources":null}`, []string{"model.s.a"}, ""},
		"Huge":          {"a value that would fill the memory", `{"nodes":{` + good + `,"model.s.x":{"raw_code":"` + strings.Repeat("x", maxManifestValue+1<<16) + `"}}}`, []string{"model.s.a"}, "too large"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, h, nodes, err := lineage(t, LineageFiles{Manifest: strings.NewReader(tc.manifest)})
			var got []string
			for _, n := range nodes {
				got = append(got, n.ID)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: nodes (-want +got):\n%s", tc.reason, diff)
			}
			if said := fmt.Sprint(err); (tc.problem == "") != (err == nil) || !strings.Contains(said, tc.problem) {
				t.Errorf("%s: error %v, want one with %q", tc.reason, err, tc.problem)
			}
			if said := strings.Join(h.Incomplete, "\n"); (tc.problem == "") != (said == "") || !strings.Contains(said, tc.problem) {
				t.Errorf("%s: the document says %q, want %q in it", tc.reason, said, tc.problem)
			}
		})
	}
}

func TestBoundedDecoderHoldsNoMoreThanItsLimit(t *testing.T) {
	for length, fits := range map[int]bool{90: true, 110: false, 1000: false} {
		d := newBoundedDecoder(strings.NewReader(`{"a":"`+strings.Repeat("x", length)+`"}`), 100)
		err := d.document("x.json", func(string) error { return d.SkipValue() })
		if fits != (err == nil) || !fits && !errors.Is(err, errTooLarge) {
			t.Errorf("a string of %d bytes with a limit of 100: %v", length, err)
		}
	}
}

func TestWriteLineageWithBrokenExtras(t *testing.T) {
	_, h, nodes, err := lineage(t, LineageFiles{
		Manifest: strings.NewReader(`{"nodes":{"model.s.a":{"resource_type":"model"}}}`),
		Catalog:  strings.NewReader(`{"nodes":{"model.s.a":{"columns":{"c":{"type":"text","index":1}}},"model`),
		Sources:  strings.NewReader(`{"results":[{"unique_id":1}]}`),
	})
	if len(nodes) != 1 || len(nodes[0].Columns) != 1 {
		t.Errorf("the manifest stands by itself, and what was read of the catalog counts: %+v", nodes)
	}
	if len(h.Incomplete) != 2 || err == nil || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("both are told: %q, %v", h.Incomplete, err)
	}
}

func TestWriteLineageTellsWhenItCannotWrite(t *testing.T) {
	if err := WriteLineage(failing{}, LineageFiles{Manifest: strings.NewReader(`{}`)}); !errors.Is(err, errDisk) {
		t.Errorf("got %v", err)
	}
}

var errDisk = errors.New("the disk is full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errDisk }

func TestWriteLineageRedactsBeforeItCuts(t *testing.T) {
	secret := "hunter2hunter2"
	code := strings.Repeat("x", MaxLineageSQL-5) + secret
	doc, _, _, err := lineage(t, LineageFiles{
		Manifest: strings.NewReader(`{"nodes":{"model.s.a":{"resource_type":"model","raw_code":"` + code + `","description":"hunter2\u001b[0mhunter2","meta":{"k":"` + secret + `"},"depends_on":"` + secret + `"},
 "model.s.b":{"resource_type":"model","raw_code":"` + code + `","description":"hunter2\u001b[0mhunter2","meta":{"k":"` + secret + `"}}}}`),
		Redact: func(s string) string { return strings.ReplaceAll(s, secret, "***") },
	})
	if err == nil {
		t.Error("a node of another shape is told")
	}
	if strings.Contains(doc, "hunter2") || !strings.Contains(doc, "***") {
		t.Error("a secret is in the document")
	}
}

func TestLineageNodeIsBounded(t *testing.T) {
	long := strings.Repeat("é", 100_000)
	n := LineageNode{ID: long, ResourceType: "model", Description: long, SQL: &SQL{Code: long}, Meta: []byte(`{"a":"` + long + `"}`)}
	for i := range 5000 {
		n.Columns = append(n.Columns, Column{Name: fmt.Sprint(long, i), Type: long, Description: long})
		n.DependsOn = append(n.DependsOn, fmt.Sprint("model.", i))
	}
	b, err := n.encode(nil)
	if err != nil || len(b) > maxLineageNode {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if got := n.bounded(nil); !got.Cut || len(got.SQL.Code) > MaxLineageSQL || got.Meta != nil || len(got.DependsOn) != maxLineageParents {
		t.Errorf("not bounded: cut %v, SQL %d, parents %d", got.Cut, len(got.SQL.Code), len(got.DependsOn))
	}
}

func TestReadLineageRefuses(t *testing.T) {
	cases := map[string]struct {
		reason, in, want string
		nodes            int
	}{
		"Empty":      {"no bytes", ``, "cut off", 0},
		"Other":      {"another JSON file", `{"metadata":{}}`, "does not begin with its version", 0},
		"EmptyJSON":  {"another JSON file", `{}`, "it is empty", 0},
		"Version":    {"a later one may mean something else", `{"lineage":2,"nodes":[]}`, "not a lineage document of version 1", 0},
		"Truncated":  {"what is before the cut was given", `{"lineage":1,"nodes":[{"id":"a","type":"model"},{"id"`, "cut off after", 1},
		"WrongTypes": {"a node is an object", `{"lineage":1,"nodes":[{"id":"a"},7]}`, "node 2", 1},
		"Huge":       {"a node larger than any that is written", `{"lineage":1,"nodes":[{"id":"a"},{"dependsOn":["` + strings.Repeat(`","`, maxLineageNode) + `"]}]}`, "too large", 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			nodes := 0
			_, err := ReadLineage(strings.NewReader(tc.in), func(LineageNode) error { nodes++; return nil })
			if err == nil || !strings.Contains(err.Error(), tc.want) || nodes != tc.nodes {
				t.Errorf("%s: %d nodes, error %v, want %d and %q", tc.reason, nodes, err, tc.nodes, tc.want)
			}
		})
	}
	stop := errors.New("enough")
	if _, err := ReadLineage(strings.NewReader(`{"lineage":1,"nodes":[{"id":"a"}]}`), func(LineageNode) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("it stops at the caller's error, got %v", err)
	}
}

// manyNodes is a manifest of about size bytes, which is made while it is read.
func manyNodes(size int) io.Reader {
	const node = `"model.s.m%d":{"resource_type":"model","name":"m","relation_name":"\"d\".\"s\".\"m%d\"","raw_code":"%s","compiled_code":"%s","depends_on":{"nodes":["model.s.m1"]},"columns":{"a":{"name":"a","description":"A column.","meta":{},"config":{"tags":[]}},"b":{"name":"b","description":"A column."}},"unrendered_config":{"materialized":"table","tags":["x"]}}`
	code := strings.Repeat("select a, b from some_table join other using (x)\\n", 40)
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, `{"metadata":{"adapter_type":"postgres"},"nodes":{`)
		for i, n := 0, 0; n < size; i++ {
			s := fmt.Sprintf(node, i, i, code, code)
			n += len(s)
			if _, err := io.WriteString(w, s+",\n"); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, `"model.s.last":{}},"parent_map":{}}`)
		_ = w.Close()
	}()
	return r
}

// The budget is 64 MiB for a manifest of 100 MB. What the heap holds is looked at while a third of that goes through:
// it does not grow with the file.
func TestLineageMemoryDoesNotGrowWithTheFile(t *testing.T) {
	watch := &watcher{}
	if err := WriteLineage(watch, LineageFiles{Manifest: manyNodes(32 << 20)}); err != nil {
		t.Fatal(err)
	}
	if watch.peak > 32<<20 {
		t.Errorf("%d MiB in use for a manifest of 32 MiB, want less than 32", watch.peak>>20)
	}
}

// watcher notes the largest live heap, collected every MiB that is written to it.
type watcher struct {
	written int
	peak    uint64
}

func (w *watcher) Write(p []byte) (int, error) {
	if w.written>>20 != (w.written+len(p))>>20 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		w.peak = max(w.peak, m.HeapAlloc)
	}
	w.written += len(p)
	return len(p), nil
}

func BenchmarkReadManifest(b *testing.B) {
	benchmarkManifest(b, func(r io.Reader) error { _, err := ReadManifest(r); return err })
}

func BenchmarkWriteLineage(b *testing.B) {
	benchmarkManifest(b, func(r io.Reader) error { return WriteLineage(io.Discard, LineageFiles{Manifest: r}) })
}

// benchmarkManifest reads a manifest of 100 MB.
func benchmarkManifest(b *testing.B, read func(io.Reader) error) {
	raw, err := io.ReadAll(manyNodes(100_000_000))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if err := read(bytes.NewReader(raw)); err != nil {
			b.Fatal(err)
		}
	}
}
