package dbt

import (
	"errors"
	"fmt"
	"io"
)

// Manifest is the part of dbt's manifest.json (schema v12) that lineage is made of.
// https://docs.getdbt.com/reference/artifacts/manifest-json
type Manifest struct {
	// Adapter is the name of the adapter, such as "postgres".
	Adapter string
	// Nodes are models, seeds, snapshots and sources by unique_id: what holds data. Tests, analyses and the like are not.
	Nodes map[string]ManifestNode
}

// ManifestNode is one node of the manifest.
type ManifestNode struct {
	ResourceType string
	Relation     string // full name in the warehouse; empty for what makes none, such as an ephemeral model
	// Ephemeral: a part of the queries of those that read it, and no relation.
	Ephemeral bool
	DependsOn []string
}

type wireManifestNode struct {
	ResourceType string `json:"resource_type"`
	Relation     string `json:"relation_name"`
	DependsOn    struct {
		Nodes []string `json:"nodes"`
	} `json:"depends_on"`
	Config struct {
		Materialized string `json:"materialized"`
	} `json:"config"`
}

// ephemeral is the materialization of a model that is a part of the queries of those that read it. dbt reports no result of
// one.
const ephemeral = "ephemeral"

// holdsData are the resource types that are part of lineage.
var holdsData = map[string]bool{"model": true, "seed": true, "snapshot": true, "source": true}

// maxManifestValue bounds one token of a manifest, and one node where a node is read as a whole. Real nodes are a few
// KiB, the largest with a long query a few hundred.
const maxManifestValue = 8 << 20

var errTooManyNodes = fmt.Errorf("there are more than %d nodes", MaxLineageNodes)

// ReadManifest reads a manifest as a stream: its memory is that of what it returns and of the largest single value,
// not of the file. With an error it returns what it had read until then.
func ReadManifest(r io.Reader) (*Manifest, error) {
	d := newBoundedDecoder(r, maxManifestValue)
	m := &Manifest{Nodes: map[string]ManifestNode{}}
	err := d.document("manifest.json", func(key string) error {
		switch key {
		case "nodes", "sources":
			return m.readNodes(d)
		case "metadata":
			return m.readMetadata(d)
		}
		return d.SkipValue()
	})
	return m, err
}

func (m *Manifest) readMetadata(d *boundedDecoder) error {
	var metadata struct {
		Adapter string `json:"adapter_type"`
	}
	if err := errors.Join(d.value(&metadata)); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	m.Adapter = metadata.Adapter
	return nil
}

func (m *Manifest) readNodes(d *boundedDecoder) error {
	return d.object(func(id string) error {
		var n wireManifestNode
		if err := errors.Join(d.value(&n)); err != nil {
			return fmt.Errorf("node %s: %w", cutText(id), err)
		}
		if !holdsData[n.ResourceType] {
			return nil
		}
		if len(m.Nodes) >= MaxLineageNodes {
			return errTooManyNodes
		}
		m.Nodes[id] = ManifestNode{
			ResourceType: n.ResourceType, Relation: n.Relation, Ephemeral: n.Config.Materialized == ephemeral,
			DependsOn: n.DependsOn.Nodes,
		}
		return nil
	})
}
