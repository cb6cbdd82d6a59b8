package dbt

import (
	"cmp"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// wireLineageNode is a node of manifest.json v12, of any kind, as far as it is kept.
type wireLineageNode struct {
	ResourceType string `json:"resource_type"`
	Name         string `json:"name"`
	Package      string `json:"package_name"`
	Path         string `json:"original_file_path"`
	Database     string `json:"database"`
	Schema       string `json:"schema"`
	Alias        string `json:"alias"`
	Identifier   string `json:"identifier"` // of a source
	Relation     string `json:"relation_name"`
	Description  string `json:"description"`
	Language     string `json:"language"`
	RawCode      string `json:"raw_code"`
	CompiledCode string `json:"compiled_code"`
	Group        string `json:"group"`
	DependsOn    struct {
		Nodes []string `json:"nodes"`
	} `json:"depends_on"`
	Columns lineageColumns `json:"columns"`
	Tags    []string       `json:"tags"`
	Meta    jsontext.Value `json:"meta"`
	Config  struct {
		Materialized string         `json:"materialized"`
		Severity     string         `json:"severity"`
		Group        string         `json:"group"`
		Meta         jsontext.Value `json:"meta"`
	} `json:"config"`

	Column   string `json:"column_name"` // of a test
	Attached string `json:"attached_node"`
	Metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"test_metadata"`

	Type     string         `json:"type"` // of an exposure
	Label    string         `json:"label"`
	URL      string         `json:"url"`
	Maturity string         `json:"maturity"`
	Owner    jsontext.Value `json:"owner"`
}

// lineageColumns reads an object of columns by name, keeping its order.
type lineageColumns []Column

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (c *lineageColumns) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	in := &boundedDecoder{Decoder: d}
	return in.object(func(name string) error {
		var w struct {
			Name        string `json:"name"`
			Type        string `json:"data_type"`
			Description string `json:"description"`
		}
		if err := json.UnmarshalDecode(d, &w, lenient); err != nil {
			return err
		}
		if len(*c) <= maxLineageColumns { // one more, so that the cut shows
			*c = append(*c, Column{Name: cmp.Or(w.Name, name), Type: w.Type, Description: w.Description})
		}
		return nil
	})
}

// sectionTypes are the resource types of sections whose nodes may leave it out.
var sectionTypes = map[string]string{"sources": "source", "exposures": "exposure", "unit_tests": "unit_test", "functions": "function"}

// inDocument are the resource types that a lineage document has.
var inDocument = map[string]bool{
	"model": true, "seed": true, "snapshot": true, "source": true, "function": true,
	"test": true, "unit_test": true, "exposure": true,
}

// parseLineageNode returns a node of a section of the manifest, and whether it is of a kind that is kept.
func parseLineageNode(raw jsontext.Value, section, id string) (n LineageNode, keep bool, err error) {
	var w wireLineageNode
	if err := json.Unmarshal(raw, &w, lenient); err != nil {
		return LineageNode{}, false, err
	}
	resource := cmp.Or(w.ResourceType, sectionTypes[section])
	if id == "" || !inDocument[resource] {
		return LineageNode{}, false, nil
	}
	n = LineageNode{
		ID: id, ResourceType: resource, Name: w.Name, Package: w.Package, Path: w.Path, Description: w.Description,
		Materialized: w.Config.Materialized, DependsOn: w.DependsOn.Nodes, Columns: w.Columns, Tags: w.Tags,
		Group: cmp.Or(w.Group, w.Config.Group), Meta: w.meta(), SQL: w.code(),
	}
	n.Owner = metaOwner(n.Meta)
	if w.Relation != "" {
		n.Relation = &Relation{
			Database: w.Database, Schema: w.Schema, Identifier: cmp.Or(w.Identifier, w.Alias, w.Name), Name: w.Relation,
		}
	}
	switch resource {
	case "test":
		n.Materialized = ""
		n.Test = &Test{Kind: w.testKind(), Column: w.Column, Attached: w.Attached, Severity: strings.ToLower(w.Config.Severity)}
	case "exposure":
		var email string
		n.Owner, email = w.owner()
		n.Exposure = &Exposure{Kind: w.Type, Label: w.Label, URL: w.URL, Maturity: w.Maturity, OwnerEmail: email}
	}
	return n, true, nil
}

// meta returns the node's meta: what is at the node in dbt 1.x, in its config in 2.x.
func (w *wireLineageNode) meta() jsontext.Value {
	if len(w.Meta) > len("{}") && w.Meta.Kind() == '{' {
		return w.Meta
	}
	return w.Config.Meta
}

func (w *wireLineageNode) code() *SQL {
	s := SQL{Code: w.RawCode, Language: strings.ToLower(w.Language)}
	if w.CompiledCode != "" {
		s.Code, s.Compiled = w.CompiledCode, true
	}
	if s.Language == "sql" {
		s.Language = ""
	}
	return &s
}

// testKind returns a generic test's name, with its package when that is not dbt's own.
func (w *wireLineageNode) testKind() string {
	if w.Metadata.Namespace == "" || w.Metadata.Name == "" {
		return w.Metadata.Name
	}
	return w.Metadata.Namespace + "." + w.Metadata.Name
}

// owner returns an exposure's owner: an object with a name and an e-mail address, each a string or, in some projects, a
// list of them, of which the first counts.
func (w *wireLineageNode) owner() (name, email string) {
	var owner struct {
		Name  jsontext.Value `json:"name"`
		Email jsontext.Value `json:"email"`
	}
	if len(w.Owner) == 0 || json.Unmarshal(w.Owner, &owner, lenient) != nil {
		return "", ""
	}
	return firstString(owner.Name), firstString(owner.Email)
}

func firstString(v jsontext.Value) string {
	var one string
	if json.Unmarshal(v, &one, lenient) == nil {
		return one
	}
	var many []string
	if json.Unmarshal(v, &many, lenient) == nil && len(many) > 0 {
		return many[0]
	}
	return ""
}

// metaOwner returns meta's owner: dbt has no field for one, and this is where projects put it.
func metaOwner(meta jsontext.Value) string {
	if len(meta) == 0 || len(meta) > 64<<10 || meta.Kind() != '{' {
		return ""
	}
	var m struct {
		Owner jsontext.Value `json:"owner"`
	}
	if json.Unmarshal(meta, &m, lenient) != nil || len(m.Owner) == 0 {
		return ""
	}
	return firstString(m.Owner)
}
