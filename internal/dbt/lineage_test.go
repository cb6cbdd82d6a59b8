package dbt

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const manifest = `{"metadata":{"env":{},"adapter_type":"postgres"},"nodes":{
 "model.s.c":{"resource_type":"model","relation_name":"\"d\".\"c\"","depends_on":{"macros":[],"nodes":["model.s.b","model.s.b"]},"raw_code":"x"},
 "model.s.b":{"resource_type":"model","relation_name":"\"d\".\"b\"","depends_on":{"nodes":["source.s.r.a","seed.s.z"]}},
 "model.s.other":{"resource_type":"model","relation_name":null,"depends_on":{"nodes":["source.s.r.unused"]}},
 "seed.s.z":{"resource_type":"seed","relation_name":"\"d\".\"z\""},
 "test.s.t":{"resource_type":"test","depends_on":{"nodes":["model.s.c"]}}},
 "sources":{"source.s.r.a":{"resource_type":"source","relation_name":"\"r\".\"a\""},"source.s.r.unused":{"resource_type":"source","relation_name":"\"r\".\"unused\""}},
 "disabled":{"model.s.off":[{"resource_type":"model"}]},"parent_map":{}}`

func TestLineage(t *testing.T) {
	m, err := ReadManifest(strings.NewReader(manifest))
	if err != nil {
		t.Fatal(err)
	}
	if m.Adapter != "postgres" {
		t.Errorf("Adapter = %q", m.Adapter)
	}
	want := Lineage{
		Nodes: 6, Edges: 4,
		Inputs:  []string{`"r"."a"`},
		Outputs: []string{`"d"."b"`, `"d"."c"`},
		Graph: []GraphNode{
			{ID: "seed.s.z", Relation: `"d"."z"`},
			{ID: "source.s.r.a", Relation: `"r"."a"`},
			{ID: "model.s.b", Relation: `"d"."b"`, DependsOn: []string{"seed.s.z", "source.s.r.a"}},
			{ID: "model.s.c", Relation: `"d"."c"`, DependsOn: []string{"model.s.b"}},
			{ID: "source.s.r.unused", Relation: `"r"."unused"`},
			{ID: "model.s.other", DependsOn: []string{"source.s.r.unused"}},
		},
	}
	if diff := cmp.Diff(want, m.Lineage([]string{"model.s.b", "model.s.c", "test.s.t", "model.gone"})); diff != "" {
		t.Errorf("what the run made and comes from goes first, tests are no part of it: -want +got\n%s", diff)
	}
}

func TestLineageMakesNoSources(t *testing.T) {
	m, err := ReadManifest(strings.NewReader(manifest))
	if err != nil {
		t.Fatal(err)
	}
	if l := m.Lineage([]string{"source.s.r.a", "seed.s.z"}); len(l.Inputs) != 0 || len(l.Outputs) != 1 || l.Outputs[0] != `"d"."z"` {
		t.Errorf("a source whose freshness was looked at was neither made nor read: inputs %q, outputs %q", l.Inputs, l.Outputs)
	}
}

// throughEphemeral is a manifest in which orders is made of two sources, each by an ephemeral model of its own, one of which
// reads the other and itself.
const throughEphemeral = `{"metadata":{"adapter_type":"postgres"},"nodes":{
 "model.s.orders":{"resource_type":"model","relation_name":"\"d\".\"orders\"","config":{"materialized":"table"},"depends_on":{"nodes":["model.s.mid","model.s.seen"]}},
 "model.s.mid":{"resource_type":"model","relation_name":null,"config":{"materialized":"ephemeral"},"depends_on":{"nodes":["model.s.mid","model.s.stg","source.s.r.b"]}},
 "model.s.stg":{"resource_type":"model","relation_name":null,"config":{"materialized":"ephemeral"},"depends_on":{"nodes":["model.s.mid","source.s.r.a"]}},
 "model.s.seen":{"resource_type":"model","relation_name":"\"d\".\"seen\"","config":{"materialized":"view"},"depends_on":{"nodes":["source.s.r.c"]}}},
 "sources":{"source.s.r.a":{"resource_type":"source","relation_name":"\"r\".\"a\""},"source.s.r.b":{"resource_type":"source","relation_name":"\"r\".\"b\"","config":{"enabled":true}},"source.s.r.c":{"resource_type":"source","relation_name":"\"r\".\"c\""}}}`

func TestLineageGoesThroughEphemeralModels(t *testing.T) {
	read := map[string]func(t *testing.T) *Manifest{
		"ReadManifest": func(t *testing.T) *Manifest {
			m, err := ReadManifest(strings.NewReader(throughEphemeral))
			if err != nil {
				t.Fatal(err)
			}
			return m
		},
		"WriteLineage": func(t *testing.T) *Manifest {
			m := &Manifest{}
			if err := WriteLineage(io.Discard, LineageFiles{Manifest: strings.NewReader(throughEphemeral), Graph: m}); err != nil {
				t.Fatal(err)
			}
			return m
		},
	}
	for name, manifest := range read {
		t.Run(name, func(t *testing.T) {
			l := manifest(t).Lineage([]string{"model.s.orders"})
			if diff := cmp.Diff([]string{`"r"."a"`, `"r"."b"`}, l.Inputs); diff != "" {
				t.Errorf("what an ephemeral model reads is read by what is made of it; a view was read as it is: -want +got\n%s", diff)
			}
			if diff := cmp.Diff([]string{`"d"."orders"`}, l.Outputs); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// 20,000 ephemeral models, each made of the one before, and each read by a table: every one is looked at once.
func TestLineageOfDeepEphemeralChain(t *testing.T) {
	const depth = 20_000
	m := &Manifest{Nodes: map[string]ManifestNode{"source.s.r.a": {ResourceType: "source", Relation: "a"}}}
	var made []string
	last := "source.s.r.a"
	for i := range depth {
		id, table := fmt.Sprint("model.s.e", i), fmt.Sprint("model.s.t", i)
		m.Nodes[id] = ManifestNode{ResourceType: "model", Ephemeral: true, DependsOn: []string{last}}
		m.Nodes[table] = ManifestNode{ResourceType: "model", Relation: table, DependsOn: []string{id}}
		made, last = append(made, table), id
	}
	if got := m.Lineage(made[depth-1:]).Inputs; len(got) != 1 {
		t.Errorf("the source is at the end of the chain: got %q", got)
	}
	if got := m.Lineage(made); len(got.Inputs) != 1 || len(got.Outputs) != depth {
		t.Errorf("%d inputs, %d outputs", len(got.Inputs), len(got.Outputs))
	}
}

func TestLineageOfCycleEnds(t *testing.T) {
	m := &Manifest{Nodes: map[string]ManifestNode{
		"a": {ResourceType: "model", DependsOn: []string{"b"}}, "b": {ResourceType: "model", DependsOn: []string{"a"}},
	}}
	if got := len(m.Lineage([]string{"a"}).Graph); got != 2 {
		t.Errorf("each node of a cycle appears once: got %d nodes", got)
	}
}

func TestReadManifestRefuses(t *testing.T) {
	for reason, s := range map[string]string{
		"a truncated file":         manifest[:200],
		"an empty file":            "",
		"an array":                 "[]",
		"a node that is no object": `{"nodes":{"model.a":1}}`,
	} {
		if _, err := ReadManifest(strings.NewReader(s)); err == nil || !strings.HasPrefix(err.Error(), "reading manifest.json: ") {
			t.Errorf("%s: got %v", reason, err)
		}
	}
}

func TestMissingPackages(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	asks := file("packages:\n- package: a/b\n  version: 1.0.0\n")
	cases := map[string]struct {
		reason  string
		project fstest.MapFS
		want    bool
	}{
		"None":       {reason: "no file asks", project: fstest.MapFS{"dbt_project.yml": file("name: x")}},
		"Empty":      {reason: "an empty list asks for nothing", project: fstest.MapFS{"packages.yml": file("packages: []")}},
		"Missing":    {reason: "asked and not there", project: fstest.MapFS{"packages.yml": asks}, want: true},
		"There":      {reason: "installed already", project: fstest.MapFS{"packages.yml": asks, "dbt_packages/b/dbt_project.yml": file("")}},
		"OtherPlace": {reason: "the project names its folder", project: fstest.MapFS{"dependencies.yml": asks, "dbt_project.yml": file("packages-install-path: lib"), "lib/b/x": file("")}},
		"NotYAML":    {reason: "dbt says best what is wrong with a file", project: fstest.MapFS{"packages.yml": file("{{{")}, want: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := MissingPackages(tc.project)
			if err != nil || got != tc.want {
				t.Errorf("%s: got %v, %v", tc.reason, got, err)
			}
		})
	}
	if _, err := MissingPackages(fstest.MapFS{"packages.yml": asks, "dbt_project.yml": file("packages-install-path: ../../etc")}); err == nil {
		t.Error("a packages folder outside the project is refused")
	}
}
