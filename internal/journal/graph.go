package journal

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
)

// A graph travels as base64 of deflated JSON: a list of [id, relation, parent, parent…], where a parent is the index
// of an earlier node. Names of one project have long common parts, so this is a fifth of plain JSON.

const (
	// maxGraphNodes bounds a graph on both sides.
	maxGraphNodes = 512
	// maxGraphJSON bounds what a packed graph may unpack to.
	maxGraphJSON = 128 << 10
)

// packPrefix packs the longest prefix of the graph that takes at most room bytes, and returns its length.
func packPrefix(graph []GraphNode, room int) (packed string, n int) {
	p := newPacker(graph[:min(len(graph), maxGraphNodes)])
	// One more node makes the packed form longer, nearly always, which is all a binary search needs to end well.
	n = sort.Search(len(p.rows), func(i int) bool { return len(p.pack(i+1)) > room })
	for ; n > 0; n-- {
		if packed = p.pack(n); len(packed) <= room {
			return packed, n
		}
	}
	return "", 0
}

// packer packs prefixes of one graph.
type packer struct {
	// rows are the nodes as they travel, each encoded by itself: a node names only what is before it.
	rows [][]byte
	out  bytes.Buffer
	zip  *flate.Writer
}

func newPacker(graph []GraphNode) *packer {
	p := &packer{}
	p.zip, _ = flate.NewWriter(nil, flate.BestCompression) // only an unknown level is an error
	index := make(map[string]int, len(graph))
	for i, node := range graph {
		row := []any{text.Line(node.ID, maxID), text.Line(node.Relation, maxRelation)}
		seen := make(map[int]bool, len(node.DependsOn))
		for _, parent := range node.DependsOn {
			if at, ok := index[parent]; ok && !seen[at] {
				seen[at] = true
				row = append(row, at)
			}
		}
		index[node.ID] = i
		b, err := json.Marshal(row)
		if err != nil {
			// No string or number can fail.
			panic("journal: " + err.Error())
		}
		p.rows = append(p.rows, b)
	}
	return p
}

// pack packs the first n nodes. Nothing in it can fail: it writes to memory.
func (p *packer) pack(n int) string {
	p.out.Reset()
	enc := base64.NewEncoder(base64.RawStdEncoding, &p.out)
	p.zip.Reset(enc)
	for i, row := range p.rows[:n] {
		_, _ = p.zip.Write([]byte{"[,"[min(i, 1)]})
		_, _ = p.zip.Write(row)
	}
	_, _ = p.zip.Write([]byte("]"))
	_ = p.zip.Close()
	_ = enc.Close()
	return p.out.String()
}

func unpack(packed string) ([]GraphNode, error) {
	r := flate.NewReader(base64.NewDecoder(base64.RawStdEncoding, bytes.NewReader([]byte(packed))))
	raw, err := io.ReadAll(io.LimitReader(r, maxGraphJSON+1))
	if err != nil {
		return nil, fmt.Errorf("unpacking the lineage graph: %w", err)
	}
	if len(raw) > maxGraphJSON {
		return nil, errors.New("unpacking the lineage graph: too large")
	}
	var rows []graphRow
	if err := json.Unmarshal(raw, &rows); err != nil {
		return nil, fmt.Errorf("unpacking the lineage graph: %w", err)
	}
	rows = rows[:min(len(rows), maxGraphNodes)]
	graph := make([]GraphNode, 0, len(rows))
	for i, row := range rows {
		node := GraphNode{ID: text.Line(row.id, maxID), Relation: text.Line(row.relation, maxRelation)}
		for _, p := range row.parents {
			if p < 0 || p >= i {
				return nil, fmt.Errorf("unpacking the lineage graph: node %d names parent %d, which is not before it", i, p)
			}
			node.DependsOn = append(node.DependsOn, graph[p].ID)
		}
		graph = append(graph, node)
	}
	return graph, nil
}

type graphRow struct {
	id, relation string
	parents      []int
}

// UnmarshalJSON reads [id, relation, parent, parent…].
func (g *graphRow) UnmarshalJSON(b []byte) error {
	var cells []json.RawMessage
	if err := json.Unmarshal(b, &cells); err != nil {
		return err
	}
	if len(cells) < 2 {
		return fmt.Errorf("found %d cells, want at least 2", len(cells))
	}
	if err := json.Unmarshal(cells[0], &g.id); err != nil {
		return err
	}
	if err := json.Unmarshal(cells[1], &g.relation); err != nil {
		return err
	}
	g.parents = make([]int, len(cells)-2)
	for i, cell := range cells[2:] {
		if err := json.Unmarshal(cell, &g.parents[i]); err != nil {
			return err
		}
	}
	return nil
}
