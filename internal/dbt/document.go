package dbt

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
)

// DocumentVersion is the version of lineage.json that this code writes and reads. docs/lineage.md has it field by field.
const DocumentVersion = 1

// Limits of a lineage document, in bytes and in members. They hold on both sides: WriteLineage cuts to them, and
// ReadLineage cuts again, since whoever wrote the bytes may not have been WriteLineage.
const (
	// MaxLineageSQL is how much of a node's SQL is kept.
	MaxLineageSQL = 64 << 10
	// MaxLineageNodes is how many nodes a document has.
	MaxLineageNodes = 200_000

	maxLineageNode        = 1 << 20 // one node, encoded
	maxLineageID          = 256
	maxLineageName        = 256
	maxLineageWord        = 64
	maxLineageText        = 4 << 10
	maxLineageColumnText  = 512
	maxLineageColumns     = 2000
	maxLineageParents     = 2000
	maxLineageTags        = 50
	maxLineageMeta        = 1 << 10
	maxLineageProblem     = 300
	maxLineageProblems    = 20
	maxLineageIdentifiers = 512 // database, schema, identifier
)

// LineageHeader says what a lineage document was made from. All of it is empty when the manifest did not say.
type LineageHeader struct {
	Dbt          string `json:"version,omitempty"`
	Adapter      string `json:"adapter,omitempty"` // name of the adapter, such as "postgres"
	Project      string `json:"project,omitempty"`
	InvocationID string `json:"invocationId,omitempty"`
	GeneratedAt  string `json:"generatedAt,omitempty"` // RFC 3339, as dbt wrote it
	// Incomplete says what is not in the document, a sentence each, empty when all is.
	Incomplete []string `json:"-"`
}

// LineageNode is one node of a lineage document: a model, seed, snapshot, source, function, test, unit test or exposure.
type LineageNode struct {
	ID           string    `json:"id"` // unique_id
	ResourceType string    `json:"type"`
	Name         string    `json:"name,omitempty"`
	Package      string    `json:"package,omitempty"`
	Path         string    `json:"path,omitempty"` // of its file, relative to the project
	Relation     *Relation `json:"relation,omitempty"`
	Materialized string    `json:"materialized,omitempty"`
	DependsOn    []string  `json:"dependsOn,omitempty"` // unique_ids, sorted, each once
	Description  string    `json:"description,omitempty"`
	Columns      []Column  `json:"columns,omitempty"`
	Tags         []string  `json:"tags,omitempty"`
	Group        string    `json:"group,omitempty"`
	Owner        string    `json:"owner,omitempty"`
	// Meta is the node's meta, a JSON object, left out when it is empty or larger than 1 KiB.
	Meta      jsontext.Value `json:"meta,omitempty"`
	SQL       *SQL           `json:"sql,omitempty"`
	Test      *Test          `json:"test,omitempty"`
	Exposure  *Exposure      `json:"exposure,omitempty"`
	Freshness *Freshness     `json:"freshness,omitempty"`
	// Cut says that something of the node was too long and is not all there.
	Cut bool `json:"cut,omitzero"`
}

// Ephemeral reports whether the node is a part of the queries of those that read it, and no relation.
func (n LineageNode) Ephemeral() bool { return n.Materialized == ephemeral }

// Relation is where a node's data lies.
type Relation struct {
	Database   string `json:"database,omitempty"`
	Schema     string `json:"schema,omitempty"`
	Identifier string `json:"identifier,omitempty"`
	Name       string `json:"name,omitempty"` // full name, quoted as dbt writes it into SQL
}

// Column is a column of a relation. Type is the warehouse's when the catalog has it, else that of the project's YAML.
type Column struct {
	Name        string `json:"name"`
	Type        string `json:"type,omitempty"`
	Description string `json:"description,omitempty"`
}

// SQL is a node's code.
type SQL struct {
	Code string `json:"code"`
	// Compiled: as it was sent to the warehouse; else it is the template.
	Compiled bool `json:"compiled,omitzero"`
	// Language is empty for SQL, else such as "python".
	Language string `json:"language,omitempty"`
}

// Test is what a data test is about.
type Test struct {
	Kind     string `json:"kind,omitempty"`   // name of the generic test, such as "unique"; empty for a singular test
	Column   string `json:"column,omitempty"` // empty when it is about the whole relation
	Attached string `json:"attached,omitempty"`
	Severity string `json:"severity,omitempty"` // error or warn
}

// Exposure is a use of data outside dbt.
type Exposure struct {
	Kind       string `json:"kind,omitempty"` // dashboard, notebook, analysis, ml or application
	Label      string `json:"label,omitempty"`
	URL        string `json:"url,omitempty"`
	OwnerEmail string `json:"ownerEmail,omitempty"`
	Maturity   string `json:"maturity,omitempty"`
}

// Freshness is what `dbt source freshness` last found of a source.
type Freshness struct {
	Status        string `json:"status,omitempty"`      // pass, warn, error or runtime error
	MaxLoadedAt   string `json:"maxLoadedAt,omitempty"` // RFC 3339
	SnapshottedAt string `json:"snapshottedAt,omitempty"`
	Message       string `json:"message,omitempty"`
}

// bounded returns the header within the limits, every string clean.
func (h LineageHeader) bounded(redact func(string) string) LineageHeader {
	c := &cutter{redact: redact}
	for _, s := range []*string{&h.Dbt, &h.Adapter, &h.Project, &h.InvocationID, &h.GeneratedAt} {
		c.line(s, maxLineageWord)
	}
	h.Incomplete = slices.Clone(h.Incomplete[:min(len(h.Incomplete), maxLineageProblems)])
	for i := range h.Incomplete {
		c.line(&h.Incomplete[i], maxLineageProblem)
	}
	return h
}

// cutter redacts, cleans and cuts strings, and remembers whether it cut any.
type cutter struct {
	redact func(string) string // nil: nothing is redacted
	cut    bool
}

func (c *cutter) line(s *string, limit int) {
	c.take(s, limit)
	*s = text.Line(*s, limit)
}

func (c *cutter) text(s *string, limit int) {
	c.take(s, limit)
	*s = text.Clean(*s, limit)
}

// take redacts what is clean already, and before anything is cut: half a secret would not be found, nor one with a
// control character in it.
func (c *cutter) take(s *string, limit int) {
	if c.redact != nil && *s != "" {
		*s = c.redact(text.Clean(*s, 4*len(*s)))
	}
	c.cut = c.cut || len(*s) > limit
}

func shorten[T any](c *cutter, list []T, limit int) []T {
	c.cut = c.cut || len(list) > limit
	return slices.Clip(list[:min(len(list), limit)])
}

// bounded returns a deep copy of the node within the limits, every string clean.
func (n LineageNode) bounded(redact func(string) string) LineageNode {
	c := &cutter{redact: redact, cut: n.Cut}
	c.line(&n.ID, maxLineageID)
	for _, s := range []*string{&n.ResourceType, &n.Materialized} {
		c.line(s, maxLineageWord)
	}
	for _, s := range []*string{&n.Name, &n.Package, &n.Path, &n.Group, &n.Owner} {
		c.line(s, maxLineageName)
	}
	c.text(&n.Description, maxLineageText)
	n.DependsOn = c.words(n.DependsOn, maxLineageParents, maxLineageID)
	n.Tags = c.words(n.Tags, maxLineageTags, maxLineageWord)
	n.Columns = slices.Clone(shorten(c, n.Columns, maxLineageColumns))
	for i := range n.Columns {
		c.line(&n.Columns[i].Name, maxLineageName)
		c.line(&n.Columns[i].Type, maxLineageName)
		c.text(&n.Columns[i].Description, maxLineageColumnText)
	}
	n.Meta = c.meta(n.Meta)
	n.Relation = boundedPart(c, n.Relation, Relation.bounded)
	n.SQL = boundedPart(c, n.SQL, SQL.bounded)
	n.Test = boundedPart(c, n.Test, Test.bounded)
	n.Exposure = boundedPart(c, n.Exposure, Exposure.bounded)
	n.Freshness = boundedPart(c, n.Freshness, Freshness.bounded)
	n.Cut = c.cut
	return n
}

// words returns the list sorted, clean, without what is empty or twice.
func (c *cutter) words(list []string, limit, each int) []string {
	out := make([]string, 0, min(len(list), limit))
	for _, s := range shorten(c, list, limit) {
		if c.line(&s, each); s != "" {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// meta returns v when it is an object that is small enough, compact and valid for any reader.
func (c *cutter) meta(v jsontext.Value) jsontext.Value {
	if v = bytes.TrimSpace(v); len(v) <= len("{}") || v[0] != '{' {
		return nil
	}
	if len(v) > maxLineageMeta {
		c.cut = true
		return nil
	}
	v = slices.Clone(v)
	if c.redact != nil {
		v = jsontext.Value(c.redact(string(v)))
	}
	if v.Canonicalize(lenient) != nil || !v.IsValid() || len(v) > maxLineageMeta {
		c.cut = true
		return nil
	}
	return v
}

// boundedPart returns a bounded copy of an optional part of a node, nothing when it says nothing.
func boundedPart[T comparable](c *cutter, part *T, bound func(T, *cutter) T) *T {
	var none T
	if part == nil {
		return nil
	}
	if b := bound(*part, c); b != none {
		return &b
	}
	return nil
}

func (r Relation) bounded(c *cutter) Relation {
	for _, s := range []*string{&r.Database, &r.Schema, &r.Identifier} {
		c.line(s, maxLineageIdentifiers)
	}
	c.line(&r.Name, 3*maxLineageIdentifiers)
	return r
}

func (s SQL) bounded(c *cutter) SQL {
	c.text(&s.Code, MaxLineageSQL)
	c.line(&s.Language, maxLineageWord)
	if s.Code == "" {
		return SQL{}
	}
	return s
}

func (t Test) bounded(c *cutter) Test {
	for _, s := range []*string{&t.Kind, &t.Column, &t.Attached} {
		c.line(s, maxLineageName)
	}
	c.line(&t.Severity, maxLineageWord)
	return t
}

func (e Exposure) bounded(c *cutter) Exposure {
	c.line(&e.Kind, maxLineageWord)
	c.line(&e.Maturity, maxLineageWord)
	c.line(&e.Label, maxLineageName)
	c.line(&e.OwnerEmail, maxLineageName)
	c.line(&e.URL, 2048)
	return e
}

func (f Freshness) bounded(c *cutter) Freshness {
	for _, s := range []*string{&f.Status, &f.MaxLoadedAt, &f.SnapshottedAt} {
		c.line(s, maxLineageWord)
	}
	c.line(&f.Message, maxLineageColumnText)
	return f
}

// encode returns the node as one line of JSON of at most maxLineageNode bytes. What does not fit is left out in this
// order: descriptions of columns, SQL, columns, parents.
func (n LineageNode) encode(redact func(string) string) ([]byte, error) {
	n = n.bounded(redact)
	for _, shrink := range []func(){
		func() {},
		func() {
			for i := range n.Columns {
				n.Columns[i].Description = ""
			}
		},
		func() { n.SQL = nil },
		func() { n.Columns = nil },
		func() { n.DependsOn = nil },
	} {
		shrink()
		b, err := json.Marshal(n)
		if err != nil || len(b) <= maxLineageNode {
			return b, err
		}
		n.Cut = true
	}
	return nil, errTooLarge
}
