package openlineage

import "time"

// Type is a transition of an OpenLineage run.
type Type string

// Types.
const (
	Start    Type = "START"
	Complete Type = "COMPLETE"
	Fail     Type = "FAIL"
	Abort    Type = "ABORT"
)

// Event is an OpenLineage RunEvent. Encoded with encoding/json it is the body of one request.
type Event struct {
	Type      Type      `json:"eventType"`
	Time      string    `json:"eventTime"` // RFC 3339, UTC, milliseconds
	Run       RunRef    `json:"run"`
	Job       JobRef    `json:"job"`
	Inputs    []Dataset `json:"inputs"`
	Outputs   []Dataset `json:"outputs"`
	Producer  string    `json:"producer"`
	SchemaURL string    `json:"schemaURL"`
}

// RunRef names a run: a UUID.
type RunRef struct {
	ID     string `json:"runId"`
	Facets Facets `json:"facets,omitempty"`
}

// JobRef names a job, of which a run is one execution.
type JobRef struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Facets    Facets `json:"facets,omitempty"`
}

// Dataset is a relation that was read or written.
type Dataset struct {
	Namespace    string `json:"namespace"`
	Name         string `json:"name"`
	Facets       Facets `json:"facets,omitempty"`
	InputFacets  Facets `json:"inputFacets,omitempty"`
	OutputFacets Facets `json:"outputFacets,omitempty"`
}

// Facets are what is said about a run, job or dataset, by name.
type Facets map[string]Facet

// Facet is one thing said. Members of no value are left out.
type Facet map[string]any

const (
	schemaURL = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
	specBase  = "https://openlineage.io/spec/facets/"
	dbtBase   = "https://github.com/OpenLineage/OpenLineage/tree/main/integration/common/openlineage/schema/"
	ownBase   = DefaultProducer + "/blob/main/docs/reference/openlineage/"
)

// schemas are the facets that are used, and the addresses of their schemas.
var schemas = map[string]string{
	"parent":                specBase + "1-2-0/ParentRunFacet.json#/$defs/ParentRunFacet",
	"errorMessage":          specBase + "1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet",
	"nominalTime":           specBase + "1-0-1/NominalTimeRunFacet.json#/$defs/NominalTimeRunFacet",
	"processing_engine":     specBase + "1-1-1/ProcessingEngineRunFacet.json#/$defs/ProcessingEngineRunFacet",
	"jobType":               specBase + "2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
	"sql":                   specBase + "1-1-0/SQLJobFacet.json#/$defs/SQLJobFacet",
	"job/documentation":     specBase + "1-1-0/DocumentationJobFacet.json#/$defs/DocumentationJobFacet",
	"job/ownership":         specBase + "1-0-1/OwnershipJobFacet.json#/$defs/OwnershipJobFacet",
	"documentation":         specBase + "1-1-0/DocumentationDatasetFacet.json#/$defs/DocumentationDatasetFacet",
	"ownership":             specBase + "1-0-1/OwnershipDatasetFacet.json#/$defs/OwnershipDatasetFacet",
	"schema":                specBase + "1-2-0/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet",
	"dataSource":            specBase + "1-0-1/DatasourceDatasetFacet.json#/$defs/DatasourceDatasetFacet",
	"dataQualityAssertions": specBase + "1-1-0/DataQualityAssertionsDatasetFacet.json#/$defs/DataQualityAssertionsDatasetFacet",
	"outputStatistics":      specBase + "1-0-2/OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet",
	"dbt_version":           dbtBase + "dbt-version-run-facet.json",
	"dbt_run":               dbtBase + "dbt-run-run-facet.json",
	"dbt_node":              dbtBase + "dbt-node-job-facet.json",
	"dbt_exposures":         dbtBase + "dbt-exposures-dataset-facet.json",
	"dbtOperator_run":       ownBase + "DbtOperatorRunFacet.json#/$defs/DbtOperatorRunFacet",
}

// facet completes a facet with who says it and what it means. Members that are empty strings are left out.
func (b *builder) facet(schema string, members Facet) Facet {
	out := Facet{"_producer": b.options.Producer, "_schemaURL": schemas[schema]}
	for name, value := range members {
		if s, ok := value.(string); ok && s == "" {
			continue
		}
		out[name] = value
	}
	return out
}

// instant writes Unix milliseconds as OpenLineage wants them.
func instant(milli int64) string {
	return time.UnixMilli(max(0, milli)).UTC().Format("2006-01-02T15:04:05.000Z")
}
