package openlineage

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
)

func itoa(n int) string { return strconv.Itoa(n) }

// schemes are the schemes of dataset namespaces, where they are not the adapter's name.
// https://openlineage.io/docs/spec/naming
var schemes = map[string]string{
	"athena": "awsathena", "fabric": "fabric-warehouse", "sqlserver": "mssql", "synapse": "sqlserver",
}

// withoutDatabase are adapters whose dataset names are SCHEMA.TABLE: what dbt calls a schema is all there is.
var withoutDatabase = map[string]bool{"clickhouse": true, "hive": true, "mysql": true, "spark": true, "synapse": true, "teradata": true}

// datasetNamespace returns the namespace of the run's datasets: what is configured for the run, or for all; "bigquery",
// which the specification says in full; else a name that no other project has, since neither dbt's events nor its
// manifest say which server it talks to.
func (b *builder) datasetNamespace() string {
	if configured := cmp.Or(b.run.DatasetNamespace, b.options.DatasetNamespace); configured != "" {
		return configured
	}
	if b.adapter == "bigquery" {
		return "bigquery"
	}
	scheme := cmp.Or(schemes[b.adapter], b.adapter, "dbt")
	return scheme + "://" + b.run.Namespace + "." + cmp.Or(b.run.Project, b.run.Schedule, b.run.Name)
}

// datasetName returns DATABASE.SCHEMA.TABLE, or what the adapter has of it; empty when the node makes no relation.
func (b *builder) datasetName(r *dbt.Relation) string {
	if r == nil {
		return ""
	}
	parts := []string{r.Database, r.Schema, r.Identifier}
	if withoutDatabase[b.adapter] {
		parts = parts[1:]
	}
	if r.Identifier == "" {
		parts = unquote(r.Name)
	}
	name := ""
	for _, part := range parts {
		if part != "" {
			name += "." + part
		}
	}
	return strings.TrimPrefix(name, ".")
}

// unquote splits a relation's full name as dbt writes it: parts in double quotes, backticks, brackets or none.
func unquote(full string) []string {
	var parts []string
	for full != "" {
		var part string
		closing := map[byte]byte{'"': '"', '`': '`', '[': ']'}[full[0]]
		if end := strings.IndexByte(full[1:], cmp.Or(closing, '.')); closing != 0 && end >= 0 {
			part, full = full[1:1+end], full[2+end:]
		} else {
			part, full, _ = strings.Cut(full, ".")
			full = strings.TrimLeft(full, ".")
		}
		// One quoted name may hold several: `project.dataset.table` in BigQuery.
		parts = append(parts, part)
		full = strings.TrimPrefix(full, ".")
	}
	return parts
}
