package dbt

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// lineageExtras is what other files than the manifest say of its nodes. Its memory is bounded by maxExtras.
type lineageExtras struct {
	// columns are a node's columns as the warehouse has them: name, NUL, type, NUL, and so on in order.
	columns map[string]string
	fresh   map[string]Freshness
	bytes   int
}

// maxExtras bounds what is kept of catalog.json and sources.json.
const maxExtras = 16 << 20

var errExtras = errors.New("it says too much: what is behind is left out")

// take counts bytes against the bound.
func (x *lineageExtras) take(n int) error {
	const entry = 128 // of a map, about
	if x.bytes += n + entry; x.bytes > maxExtras {
		return errExtras
	}
	return nil
}

// readCatalog reads catalog.json v1: nodes and sources, each with columns.
func (x *lineageExtras) readCatalog(r io.Reader) error {
	if r == nil {
		return nil
	}
	x.columns = map[string]string{}
	d := newBoundedDecoder(r, maxManifestValue)
	return d.document("catalog.json", func(key string) error {
		if key != "nodes" && key != "sources" {
			return d.SkipValue()
		}
		return d.object(func(id string) error {
			var w wireCatalogNode
			if err := errors.Join(d.value(&w)); err != nil {
				return fmt.Errorf("%s: %w", cutText(id), err)
			}
			columns := w.packed()
			x.columns[id] = columns
			return x.take(len(id) + len(columns))
		})
	})
}

type wireCatalogNode struct {
	Columns map[string]struct {
		Name  string  `json:"name"`
		Type  string  `json:"type"`
		Index float64 `json:"index"`
	} `json:"columns"`
}

func (w wireCatalogNode) packed() string {
	type column struct {
		name, kind string
		index      float64
	}
	columns := make([]column, 0, len(w.Columns))
	for key, c := range w.Columns {
		columns = append(columns, column{cmp.Or(c.Name, key), c.Type, c.Index})
	}
	slices.SortFunc(columns, func(a, b column) int {
		return cmp.Or(cmp.Compare(a.index, b.index), cmp.Compare(a.name, b.name))
	})
	var b strings.Builder
	clean := strings.NewReplacer("\x00", "")
	for _, c := range columns[:min(len(columns), maxLineageColumns+1)] {
		b.WriteString(clean.Replace(c.name))
		b.WriteByte(0)
		b.WriteString(clean.Replace(c.kind))
		b.WriteByte(0)
	}
	return b.String()
}

// readSources reads sources.json v3: what `dbt source freshness` found.
func (x *lineageExtras) readSources(r io.Reader) error {
	if r == nil {
		return nil
	}
	x.fresh = map[string]Freshness{}
	d := newBoundedDecoder(r, maxManifestValue)
	return d.document("sources.json", func(key string) error {
		if key != "results" {
			return d.SkipValue()
		}
		return d.array(func() error {
			var w struct {
				ID            string `json:"unique_id"`
				Status        string `json:"status"`
				MaxLoadedAt   string `json:"max_loaded_at"`
				SnapshottedAt string `json:"snapshotted_at"`
				Error         string `json:"error"`
			}
			if err := errors.Join(d.value(&w)); err != nil {
				return fmt.Errorf("a result: %w", err)
			}
			c := &cutter{}
			x.fresh[w.ID] = Freshness{
				Status: strings.ToLower(w.Status), MaxLoadedAt: w.MaxLoadedAt, SnapshottedAt: w.SnapshottedAt, Message: keep(w.Error),
			}.bounded(c)
			return x.take(len(w.ID) + maxLineageColumnText)
		})
	})
}

// add completes a node. The warehouse knows a column's type best, the project its meaning.
func (x *lineageExtras) add(n *LineageNode) {
	if f, ok := x.fresh[n.ID]; ok {
		n.Freshness = &f
	}
	packed := x.columns[n.ID]
	if packed == "" {
		return
	}
	described := make(map[string]Column, len(n.Columns))
	for _, c := range n.Columns {
		described[strings.ToLower(c.Name)] = c
	}
	parts := strings.Split(packed, "\x00")
	columns := make([]Column, 0, len(parts)/2)
	for i := 0; i+1 < len(parts); i += 2 {
		project := described[strings.ToLower(parts[i])]
		columns = append(columns, Column{Name: parts[i], Type: cmp.Or(parts[i+1], project.Type), Description: project.Description})
	}
	n.Columns = columns
}
