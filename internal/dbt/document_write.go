package dbt

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
)

// LineageFiles are the artifacts of dbt that a lineage document is made of.
type LineageFiles struct {
	Manifest io.Reader // manifest.json
	Catalog  io.Reader // catalog.json, nil when there is none
	Sources  io.Reader // sources.json, nil when there is none
	// Graph, unless nil, is filled with what ReadManifest would have returned, so that the manifest is read once.
	Graph *Manifest
	// Redact takes out of a string what must not be shown; nil takes nothing out.
	Redact func(string) string
}

// WriteLineage writes lineage.json, node by node in the order of the manifest. Its memory is that of the catalog's
// columns (at most 16 MiB), of a number for each node, and of the largest single node, not of the files.
//
// What cannot be read is left out: the document is whole JSON all the same, says what it lacks, and has all that was
// read before. The error then says so too. Only when w fails is the document not to be used; errors.Is finds w's error.
func WriteLineage(w io.Writer, files LineageFiles) error {
	d := &lineageWriter{out: w, redact: files.Redact, graph: files.Graph, seen: map[uint64]struct{}{}, seed: maphash.MakeSeed()}
	d.problem(d.extras.readCatalog(files.Catalog))
	d.problem(d.extras.readSources(files.Sources))
	d.printf("{\"lineage\":%d", DocumentVersion)
	err := d.manifest(files.Manifest)
	d.problem(err)
	d.endNodes()
	if d.failed != nil {
		return fmt.Errorf("writing lineage.json: %w", d.failed)
	}
	return errors.Join(d.problems...)
}

type lineageWriter struct {
	out    io.Writer
	failed error // of out: the first one
	redact func(string) string
	extras lineageExtras
	graph  *Manifest

	header   bool // written
	meta     LineageHeader
	nodes    int
	seed     maphash.Seed
	seen     map[uint64]struct{}
	problems []error
	dropped  int // problems beyond those that are told
}

func (d *lineageWriter) printf(format string, args ...any) {
	if d.failed == nil {
		_, d.failed = fmt.Fprintf(d.out, format, args...)
	}
}

// problem remembers what is not in the document.
func (d *lineageWriter) problem(err error) {
	switch {
	case err == nil:
	case len(d.problems) < maxLineageProblems-1:
		d.problems = append(d.problems, err)
	default:
		d.dropped++
	}
}

func (d *lineageWriter) manifest(r io.Reader) error {
	in := newBoundedDecoder(r, maxManifestValue)
	return in.document("manifest.json", func(key string) error {
		switch key {
		case "metadata":
			return d.readHeader(in)
		case "nodes", "sources", "exposures", "unit_tests", "functions":
			return in.object(func(id string) error { return d.node(in, key, id) })
		}
		return in.SkipValue()
	})
}

type wireMetadata struct {
	Dbt          string `json:"dbt_version"`
	Adapter      string `json:"adapter_type"`
	Project      string `json:"project_name"`
	InvocationID string `json:"invocation_id"`
	GeneratedAt  string `json:"generated_at"`
}

func (d *lineageWriter) readHeader(in *boundedDecoder) error {
	var m wireMetadata
	wrong, err := in.value(&m)
	if err != nil {
		return err
	}
	if wrong != nil {
		d.problem(fmt.Errorf("reading manifest.json: metadata: %w", wrong))
	}
	d.meta = LineageHeader{Dbt: m.Dbt, Adapter: m.Adapter, Project: m.Project, InvocationID: m.InvocationID, GeneratedAt: m.GeneratedAt}
	if d.graph != nil {
		d.graph.Adapter = m.Adapter
	}
	return nil
}

// writeHeader writes what is known of the header: before the first node when dbt says it first, as it does.
func (d *lineageWriter) writeHeader() {
	if d.header || d.meta.empty() {
		return
	}
	d.header = true
	d.printf(",\n\"dbt\":%s", mustMarshal(d.meta.bounded(d.redact)))
}

func (h LineageHeader) empty() bool {
	return h.Dbt == "" && h.Adapter == "" && h.Project == "" && h.InvocationID == "" && h.GeneratedAt == ""
}

// node reads and writes one node of a section of the manifest. One that has an unexpected shape is left out.
func (d *lineageWriter) node(in *boundedDecoder, section, id string) error {
	raw, err := in.ReadValue()
	if err != nil {
		return fmt.Errorf("%s %s: %w", section, cutText(id), err)
	}
	n, keep, err := parseLineageNode(raw, section, id)
	if err != nil {
		d.problem(fmt.Errorf("reading manifest.json: %s %s is left out: %w", section, cutText(id), err))
		return nil
	}
	if !keep {
		return nil
	}
	return d.write(n)
}

func (d *lineageWriter) write(n LineageNode) error {
	d.extras.add(&n)
	b, err := n.encode(d.redact)
	if err != nil {
		d.problem(fmt.Errorf("reading manifest.json: %s is left out: %w", cutText(n.ID), err))
		return nil
	}
	hash := maphash.String(d.seed, n.ID)
	if _, twice := d.seen[hash]; twice {
		d.problem(fmt.Errorf("reading manifest.json: %s is there more than once: the first one counts", cutText(n.ID)))
		return nil
	}
	if len(d.seen) >= MaxLineageNodes {
		return errTooManyNodes
	}
	d.seen[hash] = struct{}{}
	d.remember(n)
	if d.nodes == 0 {
		d.writeHeader()
		d.printf(",\n\"nodes\":[")
	}
	d.printf("%s\n%s", ","[:min(1, d.nodes)], b)
	d.nodes++
	return d.failed
}

// remember adds the node to the graph.
func (d *lineageWriter) remember(n LineageNode) {
	if d.graph == nil || !holdsData[n.ResourceType] {
		return
	}
	if d.graph.Nodes == nil {
		d.graph.Nodes = map[string]ManifestNode{}
	}
	relation := ""
	if n.Relation != nil {
		relation = n.Relation.Name
	}
	d.graph.Nodes[n.ID] = ManifestNode{ResourceType: n.ResourceType, Relation: relation, Ephemeral: n.Ephemeral(), DependsOn: n.DependsOn}
}

// endNodes ends the document.
func (d *lineageWriter) endNodes() {
	if d.nodes > 0 {
		d.printf("\n]")
	}
	d.writeHeader()
	if d.dropped > 0 {
		d.problems = append(d.problems, fmt.Errorf("reading manifest.json: and %d more of that kind", d.dropped))
	}
	if len(d.problems) > 0 {
		h := LineageHeader{}
		for _, err := range d.problems {
			h.Incomplete = append(h.Incomplete, err.Error())
		}
		d.printf(",\n\"incomplete\":%s", mustMarshal(h.bounded(d.redact).Incomplete))
	}
	d.printf("}\n")
}

// mustMarshal encodes clean strings, which cannot fail.
func mustMarshal(v any) []byte {
	b, err := json.Marshal(v, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic("dbt: " + text.Line(err.Error(), maxLineageProblem))
	}
	return b
}
