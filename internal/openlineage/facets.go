package openlineage

import (
	"cmp"
	"maps"
	"strings"

	"github.com/google/uuid"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

func clone(f Facets) Facets { return maps.Clone(f) }

// identity is the facet of our own: who asked for the run, and, once that is known for good, what exactly ran.
func (b *builder) identity(ended bool) Facet {
	f := Facet{
		"namespace": b.run.Namespace, "name": b.run.Name, "uid": b.run.UID, "project": b.run.Project, "target": b.run.Target,
		"schedule": b.run.Schedule, "trigger": b.run.Trigger, "requester": b.run.Requester,
	}
	if ended {
		f["revision"], f["image"] = b.run.Revision, b.run.Image
	}
	return b.facet("dbtOperator_run", f)
}

// engine says which dbt ran.
func (b *builder) engine(facets Facets) {
	if version := cmp.Or(b.history.Dbt(), b.index.header.Dbt); version != "" {
		facets["dbt_version"] = b.facet("dbt_version", Facet{"version": version})
		facets["processing_engine"] = b.facet("processing_engine", Facet{"name": "dbt", "version": version})
	}
}

// invocation says which start of dbt it was, when that is known.
func (b *builder) invocation(facets Facets, c *journal.Call) {
	if c == nil {
		return
	}
	id, err := uuid.Parse(c.InvocationID)
	if err != nil {
		return
	}
	facets["dbt_run"] = b.facet("dbt_run", Facet{
		"invocation_id": id.String(), "project_name": b.index.header.Project, "dbt_runtime": "core",
	})
}

func (b *builder) failure(message string) Facet {
	return b.facet("errorMessage", Facet{
		"message": cmp.Or(message, "the run did not end well"), "programmingLanguage": "SQL",
	})
}

func (b *builder) parent() Facet {
	run := Facet{"runId": RunID(b.run.UID)}
	job := Facet{"namespace": b.jobNamespace(), "name": b.jobName()}
	return b.facet("parent", Facet{"run": run, "job": job, "root": Facet{"run": run, "job": job}})
}

func (b *builder) jobType(kind string) Facet {
	return b.facet("jobType", Facet{"processingType": "BATCH", "integration": "DBT", "jobType": kind})
}

func (b *builder) nodeJob(n dbt.LineageNode) JobRef {
	facets := Facets{"jobType": b.jobType(strings.ToUpper(n.ResourceType))}
	if n.SQL != nil && n.SQL.Language == "" {
		facets["sql"] = b.facet("sql", Facet{"query": n.SQL.Code, "dialect": b.adapter})
	}
	b.describe(facets, n, "job/")
	node := Facet{"unique_id": n.ID, "original_file_path": n.Path}
	if r := n.Relation; r != nil {
		node["database"], node["schema"], node["alias"] = r.Database, r.Schema, r.Identifier
	}
	if n.Test != nil {
		node["test_type"] = "generic"
		if n.Test.Kind == "" {
			node["test_type"] = "singular"
		}
	}
	facets["dbt_node"] = b.facet("dbt_node", node)
	return JobRef{Namespace: b.jobNamespace(), Name: b.base() + "/" + n.ID, Facets: facets}
}

// describe says what a node means and whose it is.
func (b *builder) describe(facets Facets, n dbt.LineageNode, prefix string) {
	if n.Description != "" {
		facets["documentation"] = b.facet(prefix+"documentation", Facet{"description": n.Description, "contentType": "text/markdown"})
	}
	var owners []Facet
	if n.Owner != "" {
		owners = append(owners, Facet{"name": n.Owner, "type": "OWNER"})
	}
	if n.Group != "" {
		owners = append(owners, Facet{"name": n.Group, "type": "GROUP"})
	}
	if owners != nil {
		facets["ownership"] = b.facet(prefix+"ownership", Facet{"owners": owners})
	}
}

// dataset names a relation, and says where it lies; false when the node makes none.
func (b *builder) dataset(r *dbt.Relation) (Dataset, bool) {
	name := b.datasetName(r)
	if name == "" {
		return Dataset{}, false
	}
	source := Facet{"name": b.namespace}
	if strings.Contains(b.namespace, "://") {
		source["uri"] = b.namespace
	}
	return Dataset{Namespace: b.namespace, Name: name, Facets: Facets{"dataSource": b.facet("dataSource", source)}}, true
}

// detail says what is in a dataset.
func (b *builder) detail(d Dataset, n dbt.LineageNode) {
	if len(n.Columns) > 0 {
		fields := make([]Facet, 0, len(n.Columns))
		for i, c := range n.Columns {
			field := Facet{"name": c.Name, "ordinal_position": i + 1}
			for name, value := range map[string]string{"type": c.Type, "description": c.Description} {
				if value != "" {
					field[name] = value
				}
			}
			fields = append(fields, field)
		}
		d.Facets["schema"] = b.facet("schema", Facet{"fields": fields})
	}
	b.describe(d.Facets, n, "")
}

// inputs are the relations that a node reads, and for a test what it found out about them: not about those that lie behind
// an ephemeral model.
func (b *builder) inputs(n dbt.LineageNode, x *journal.Execution) []Dataset {
	out := []Dataset{}
	for i, id := range b.index.reads(n) {
		d, ok := b.dataset(b.index.relations[id])
		if !ok {
			continue
		}
		if source, ok := b.index.sources[id]; ok {
			b.detail(d, source)
		}
		if n.Test != nil && i < len(n.DependsOn) && (n.Test.Attached == id || n.Test.Attached == "") {
			if a := b.assertion(n, x); a != nil {
				d.InputFacets = Facets{"dataQualityAssertions": b.facet("dataQualityAssertions", Facet{"assertions": []Facet{a}})}
			}
		}
		out = append(out, d)
	}
	return out
}

// assertion is what a test said; nothing when it did not come to a result.
func (b *builder) assertion(n dbt.LineageNode, x *journal.Execution) Facet {
	passed := x.Status == "pass" || x.Status == "success"
	if !passed && x.Status != "fail" && x.Status != "warn" {
		return nil
	}
	a := Facet{"assertion": cmp.Or(n.Test.Kind, n.Name, n.ID), "success": passed}
	if n.Test.Kind == "" {
		a["assertion"] = "custom_sql"
	}
	for name, value := range map[string]string{"column": n.Test.Column, "severity": n.Test.Severity, "name": n.Name, "description": n.Description} {
		if value != "" {
			a[name] = value
		}
	}
	if x.Rows > 0 || passed {
		a["actual"], a["expected"] = itoa(int(max(0, x.Rows))), "0"
	}
	return a
}

// makesData are the resource types whose relation is what they made. A test's is where it keeps rows that fail.
var makesData = map[string]bool{"model": true, "seed": true, "snapshot": true}

// outputs is the relation that a node makes.
func (b *builder) outputs(n dbt.LineageNode, x *journal.Execution, outcome Type) []Dataset {
	if !makesData[n.ResourceType] {
		return []Dataset{}
	}
	d, ok := b.dataset(b.index.relation(n.ID, x.Relation))
	if !ok {
		return []Dataset{}
	}
	b.detail(d, n)
	if outcome == Complete && x.Rows > 0 {
		d.OutputFacets = Facets{"outputStatistics": b.facet("outputStatistics", Facet{"rowCount": x.Rows})}
	}
	var uses []Facet
	for _, use := range b.index.exposures[n.ID] {
		u := Facet{"unique_id": use.ID, "name": cmp.Or(use.Name, use.ID)}
		if e := use.Exposure; e != nil {
			for name, value := range map[string]string{"type": e.Kind, "url": e.URL} {
				if value != "" {
					u[name] = value
				}
			}
		}
		uses = append(uses, u)
	}
	if uses != nil {
		d.Facets["dbt_exposures"] = b.facet("dbt_exposures", Facet{"exposures": uses})
	}
	return []Dataset{d}
}
