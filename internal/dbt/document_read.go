package dbt

import (
	"errors"
	"fmt"
	"io"
)

// ErrNotLineage is returned for bytes that are no lineage document, or one of another version.
var ErrNotLineage = errors.New("not a lineage document")

// ReadLineage reads a lineage document and calls each for every node, in order. Its memory is that of the largest
// single node, at most a few MiB. The bytes come from a pod that may be hostile: every string is cut and cleaned, and
// there are at most MaxLineageNodes nodes.
//
// It returns what the document says of itself, with an error also as far as it was read. It stops at an error of r or
// of each.
func ReadLineage(r io.Reader, each func(LineageNode) error) (LineageHeader, error) {
	d := newBoundedDecoder(r, maxLineageNode+1)
	var h LineageHeader
	nodes, version := 0, 0
	err := d.document("lineage.json", func(key string) error {
		if version == 0 && key != "lineage" {
			return fmt.Errorf("%w: it does not begin with its version", ErrNotLineage)
		}
		switch key {
		case "lineage":
			if err := errors.Join(d.value(&version)); err != nil || version != DocumentVersion {
				return fmt.Errorf("%w of version %d", ErrNotLineage, DocumentVersion)
			}
			return nil
		case "dbt":
			incomplete := h.Incomplete
			err := errors.Join(d.value(&h))
			h.Incomplete = incomplete
			return err
		case "incomplete":
			return errors.Join(d.value(&h.Incomplete))
		case "nodes":
			return d.array(func() error {
				if nodes++; nodes > MaxLineageNodes {
					return errTooManyNodes
				}
				var n LineageNode
				if err := errors.Join(d.value(&n)); err != nil {
					return fmt.Errorf("node %d: %w", nodes, err)
				}
				return each(n.bounded(nil))
			})
		}
		return d.SkipValue()
	})
	if err == nil && version == 0 {
		err = fmt.Errorf("reading lineage.json: %w: it is empty", ErrNotLineage)
	}
	return h.bounded(nil), err
}
