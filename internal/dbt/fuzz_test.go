package dbt

import (
	"bytes"
	"os"
	"testing"
)

func FuzzParseEvent(f *testing.F) {
	f.Add([]byte(line1("Q012", "info", "model.a", "success", `"total":8,`)))
	f.Add([]byte(general("Z002", "error", "x", `"exc":"bad"`)))
	f.Add([]byte(`{"info":{"name":"N","level":"info"},"data":[]}`))
	f.Add([]byte(`{"info":{"name":"N\\\\","level":"info","x":[1,"]}",{"a":-1.5e3}]},"data":{"node_info":{"unique_id":"a\\"b","node_relation":null},"total":"1","success":true}} `))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, ok := ParseEvent(line)
		if !ok {
			return
		}
		r := NewRecorder(func(c Change) {
			if c.Node != nil && len(c.Node.Message) > maxErrorBytes {
				t.Errorf("a message of %d bytes", len(c.Node.Message))
			}
		})
		r.Begin()
		r.Observe(e)
		r.Judge("dbt build", Exit{})
	})
}

func FuzzReadManifest(f *testing.F) {
	f.Add([]byte(manifest))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ReadManifest(bytes.NewReader(b))
		if err != nil {
			return
		}
		var ids []string
		for id := range m.Nodes {
			ids = append(ids, id)
		}
		if got := len(m.Lineage(ids).Graph); got != len(m.Nodes) {
			t.Errorf("%d nodes in the graph, %d in the manifest", got, len(m.Nodes))
		}
	})
}

func FuzzWriteLineage(f *testing.F) {
	f.Add([]byte(manifest), []byte(`{"nodes":{"model.s.c":{"columns":{"a":{"type":"int"}}}}}`), []byte(`{"results":[{"unique_id":"source.s.r.a"}]}`))
	for _, engine := range []string{"dbt111", "dbt112", "dbt20"} {
		catalog, sources := []byte(nil), []byte(nil)
		if engine == "dbt111" {
			catalog, sources = read(f, "dbt111-catalog.json"), read(f, "dbt111-sources.json")
		}
		f.Add(read(f, engine+"-manifest.json"), catalog, sources)
	}
	f.Fuzz(func(t *testing.T, manifest, catalog, sources []byte) {
		var doc bytes.Buffer
		problem := WriteLineage(&doc, LineageFiles{
			Manifest: bytes.NewReader(manifest), Catalog: bytes.NewReader(catalog), Sources: bytes.NewReader(sources),
		})
		seen := map[string]bool{}
		h, err := ReadLineage(bytes.NewReader(doc.Bytes()), func(n LineageNode) error {
			if n.ID == "" || seen[n.ID] {
				t.Errorf("node %q is there twice, or has no name", n.ID)
			}
			seen[n.ID] = true
			return nil
		})
		if err != nil || (problem == nil) != (len(h.Incomplete) == 0) {
			t.Errorf("what was written says %v, was %v\n%s", err, problem, doc.Bytes())
		}
	})
}

func FuzzReadLineage(f *testing.F) {
	for _, engine := range []string{"dbt111", "dbt112", "dbt20"} {
		f.Add(read(f, engine+"-lineage.json"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = ReadLineage(bytes.NewReader(b), func(n LineageNode) error {
			if again, err := n.encode(nil); err != nil || len(again) > maxLineageNode {
				t.Errorf("%d bytes, %v", len(again), err)
			}
			return nil
		})
	})
}

func read(f *testing.F, name string) []byte {
	f.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		f.Fatal(err)
	}
	return b
}
