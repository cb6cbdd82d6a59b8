package dbt

import (
	"bytes"
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
