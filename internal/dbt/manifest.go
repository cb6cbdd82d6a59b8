package dbt

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
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
	DependsOn    []string
}

type wireManifestNode struct {
	ResourceType string `json:"resource_type"`
	Relation     string `json:"relation_name"`
	DependsOn    struct {
		Nodes []string `json:"nodes"`
	} `json:"depends_on"`
}

// holdsData are the resource types that are part of lineage.
var holdsData = map[string]bool{"model": true, "seed": true, "snapshot": true, "source": true}

// ReadManifest reads a manifest as a stream: its memory is that of what it returns and of the largest single node,
// not of the file.
func ReadManifest(r io.Reader) (*Manifest, error) {
	d := jsontext.NewDecoder(r, lenient)
	m := &Manifest{Nodes: map[string]ManifestNode{}}
	if err := object(d, func(key string) error {
		switch key {
		case "nodes", "sources":
			return m.readNodes(d)
		case "metadata":
			return m.readMetadata(d)
		}
		return d.SkipValue()
	}); err != nil {
		return nil, fmt.Errorf("reading manifest.json: %w", err)
	}
	return m, nil
}

func (m *Manifest) readMetadata(d *jsontext.Decoder) error {
	var metadata struct {
		Adapter string `json:"adapter_type"`
	}
	if err := json.UnmarshalDecode(d, &metadata, lenient); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	m.Adapter = metadata.Adapter
	return nil
}

func (m *Manifest) readNodes(d *jsontext.Decoder) error {
	return object(d, func(id string) error {
		var n wireManifestNode
		if err := json.UnmarshalDecode(d, &n, lenient); err != nil {
			return fmt.Errorf("node %s: %w", cutText(id), err)
		}
		if holdsData[n.ResourceType] {
			m.Nodes[id] = ManifestNode{ResourceType: n.ResourceType, Relation: n.Relation, DependsOn: n.DependsOn.Nodes}
		}
		return nil
	})
}

// object reads a JSON object and calls value for each of its keys, which has to consume the value.
func object(d *jsontext.Decoder, value func(key string) error) error {
	open, err := d.ReadToken()
	if err != nil {
		return err
	}
	if open.Kind() != '{' {
		return errors.New("found no JSON object where one was expected")
	}
	for d.PeekKind() == '"' {
		key, err := d.ReadToken()
		if err != nil {
			return err
		}
		if err := value(key.String()); err != nil {
			return err
		}
	}
	_, err = d.ReadToken()
	return err
}
