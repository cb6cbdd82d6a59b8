package openlineage

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
)

// Open opens the lineage document of a run for reading from its beginning.
type Open func() (io.ReadCloser, error)

// index is what is known of all nodes at once: a name for each, of ephemeral models what they read, and for sources, which
// no job makes, what their columns are. Its memory is bounded by the number of nodes, by maxEphemeral and by maxDetails.
type index struct {
	header    dbt.LineageHeader
	relations map[string]*dbt.Relation
	ephemeral map[string][]string // parents
	sources   map[string]dbt.LineageNode
	exposures map[string][]dbt.LineageNode // by what they depend on
	held      int                          // bytes, about ephemeral models
	details   int                          // bytes, about sources and exposures
}

const (
	// maxDetails bounds the bytes that an index holds about sources and exposures.
	maxDetails = 8 << 20
	// maxEphemeral bounds those that it holds about ephemeral models.
	maxEphemeral = 8 << 20
	// maxThrough bounds how many parents of ephemeral models are looked at for one node: as many as a node itself has.
	maxThrough = 2000
)

// errStop is how reading a document is stopped when nobody wants more.
var errStop = errors.New("stop")

// each calls f for every node of the document. What is broken in the document itself ends it early and is no error:
// what was read counts. That it could not be read is one, since it may be read later.
func each(open Open, f func(dbt.LineageNode) error) (dbt.LineageHeader, error) {
	if open == nil {
		return dbt.LineageHeader{}, nil
	}
	r, err := open()
	if err != nil {
		return dbt.LineageHeader{}, fmt.Errorf("opening the lineage document: %w", err)
	}
	defer func() { _ = r.Close() }()
	in := &reader{in: r}
	var stopped error
	h, _ := dbt.ReadLineage(in, func(n dbt.LineageNode) error {
		stopped = f(n)
		return stopped
	})
	if in.failed != nil {
		return h, fmt.Errorf("reading the lineage document: %w", in.failed)
	}
	return h, stopped
}

// reader remembers why it could not read.
type reader struct {
	in     io.Reader
	failed error
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.failed = err
	}
	return n, err
}

func readIndex(open Open) (*index, error) {
	x := &index{
		relations: map[string]*dbt.Relation{}, ephemeral: map[string][]string{},
		sources: map[string]dbt.LineageNode{}, exposures: map[string][]dbt.LineageNode{},
	}
	h, err := each(open, func(n dbt.LineageNode) error {
		switch {
		case n.Ephemeral():
			x.pass(n)
		case n.Relation != nil:
			x.relations[n.ID] = n.Relation
		}
		switch n.ResourceType {
		case "source":
			if x.room(n) {
				n.SQL, n.DependsOn, n.Tags, n.Meta = nil, nil, nil, nil
				x.sources[n.ID] = n
			}
		case "exposure":
			if x.room(n) {
				for _, parent := range n.DependsOn {
					x.exposures[parent] = append(x.exposures[parent], dbt.LineageNode{ID: n.ID, Name: n.Name, Exposure: n.Exposure})
				}
			}
		}
		return nil
	})
	x.header = h
	return x, err
}

// pass remembers what an ephemeral model reads, if there is room for it.
func (x *index) pass(n dbt.LineageNode) {
	size := 96 + len(n.ID)
	for _, parent := range n.DependsOn {
		size += 24 + len(parent)
	}
	if x.held+size <= maxEphemeral {
		x.held += size
		x.ephemeral[n.ID] = n.DependsOn
	}
}

// reads returns what a node reads: its parents and, behind them, the parents of those that are ephemeral, the nearest first.
func (x *index) reads(n dbt.LineageNode) []string {
	ids := slices.Clone(n.DependsOn)
	if n.ResourceType == "unit_test" {
		// It has rows of its own for what its model reads.
		return ids
	}
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		seen[id] = true
	}
	looked := 0
	for i := 0; i < len(ids); i++ {
		for _, parent := range x.ephemeral[ids[i]] {
			if looked++; looked > maxThrough {
				return ids
			}
			if !seen[parent] {
				seen[parent] = true
				ids = append(ids, parent)
			}
		}
	}
	return ids
}

// room reports whether there is room for what is known of a source or exposure.
func (x *index) room(n dbt.LineageNode) bool {
	x.details += 512 + len(n.Description)
	for _, c := range n.Columns {
		x.details += 64 + len(c.Name) + len(c.Type) + len(c.Description)
	}
	for _, parent := range n.DependsOn {
		x.details += 128 + len(parent)
	}
	return x.details <= maxDetails
}

// relation returns where a node's data lies: as the document says, else as the journal does.
func (x *index) relation(id, journaled string) *dbt.Relation {
	if r := x.relations[id]; r != nil || journaled == "" {
		return r
	}
	return &dbt.Relation{Name: journaled}
}

// adapter returns the adapter's name: the journal has it as name=version.
func (x *index) adapter(journaled string) string {
	name := journaled
	for i, c := range name {
		if c == '=' {
			name = name[:i]
			break
		}
	}
	return cmp.Or(x.header.Adapter, name)
}
