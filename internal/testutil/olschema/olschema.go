// Package olschema checks OpenLineage events against schemas. It knows where this repository keeps them, and is imported
// by tests only.
package olschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Checker checks events. It is not safe for concurrent use.
type Checker struct {
	event  *jsonschema.Schema
	facets map[string]*jsonschema.Schema // by kind and name, such as "run.parent"
	// official are the specification's own schemas, by address without fragment; nil when they are not at hand.
	official *jsonschema.Compiler
}

const (
	address = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
	// older is what a facet of the dbt integration still refers to.
	older    = "https://openlineage.io/spec/1-0-2/OpenLineage.json"
	dbtFiles = "https://raw.githubusercontent.com/OpenLineage/OpenLineage/main/integration/common/openlineage/common/schema/"
)

// New returns a checker with the schemas of internal/openlineage/testdata/spec, and those of the specification itself
// when the environment's OPENLINEAGE_SPEC names its folder.
func New(t testing.TB) *Checker {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(here), "../../..")
	spec := filepath.Join(root, "internal/openlineage/testdata/spec")
	c := newCompiler()
	add(t, c, address, filepath.Join(spec, "events.json"))
	add(t, c, older, filepath.Join(spec, "events.json"))
	own := filepath.Join(root, "docs/reference/openlineage/DbtOperatorRunFacet.json")
	k := &Checker{event: compile(t, c, address+"#/$defs/RunEvent"), facets: map[string]*jsonschema.Schema{}}
	facets := map[string]string{"run.dbtOperator_run": add(t, c, "", own) + "#/$defs/DbtOperatorRunFacet"}
	for name, file := range map[string]string{
		"run.dbt_version": "dbt-version-run-facet.json", "run.dbt_run": "dbt-run-run-facet.json",
		"job.dbt_node": "dbt-node-job-facet.json", "dataset.dbt_exposures": "dbt-exposures-dataset-facet.json",
	} {
		facets[name] = add(t, c, dbtFiles+file, filepath.Join(spec, file))
	}
	for _, name := range []string{
		"run.parent", "run.errorMessage", "run.nominalTime", "run.processing_engine", "job.jobType", "job.sql",
		"job.documentation", "job.ownership", "dataset.documentation", "dataset.ownership", "dataset.schema",
		"dataset.dataSource", "input.dataQualityAssertions", "output.outputStatistics",
	} {
		facets[name] = address + "#/$defs/" + name
	}
	for name, location := range facets {
		k.facets[name] = compile(t, c, location)
	}
	if dir := os.Getenv("OPENLINEAGE_SPEC"); dir != "" {
		k.official = officialCompiler(t, dir)
	}
	return k
}

func newCompiler() *jsonschema.Compiler {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseLoader(noLoader{})
	return c
}

// noLoader fetches nothing.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) { return nil, fmt.Errorf("%s is not at hand", url) }

// add adds a file under an address, its own $id when that is empty, and returns the address.
func add(t testing.TB, c *jsonschema.Compiler, url, file string) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	object, ok := doc.(map[string]any)
	if !ok {
		t.Fatalf("%s is no schema", file)
	}
	id, _ := object["$id"].(string)
	if url == "" {
		url = id
	}
	if object["$schema"] == "http://json-schema.org/schema#" {
		// "The latest draft", which no validator can know.
		delete(object, "$schema")
	}
	if err := c.AddResource(url, doc); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return url
}

func compile(t testing.TB, c *jsonschema.Compiler, url string) *jsonschema.Schema {
	t.Helper()
	s, err := c.Compile(url)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func officialCompiler(t testing.TB, dir string) *jsonschema.Compiler {
	t.Helper()
	c := newCompiler()
	add(t, c, "", filepath.Join(dir, "OpenLineage.json"))
	files, err := fs.Glob(os.DirFS(dir), "facets/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no facets in %s: %v", dir, err)
	}
	for _, file := range files {
		add(t, c, "", filepath.Join(dir, file))
	}
	return c
}

// Check returns what is wrong with an event as it was posted, nil when nothing is.
func (k *Checker) Check(body []byte) error {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(body)))
	if err != nil {
		return fmt.Errorf("no JSON: %w", err)
	}
	if err := k.event.Validate(doc); err != nil {
		return err
	}
	var e struct {
		Run, Job        holder
		Inputs, Outputs []holder
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return err
	}
	problems := []error{k.checkOfficial(address+"#/$defs/RunEvent", doc), k.check("run", e.Run.Facets), k.check("job", e.Job.Facets)}
	for _, d := range slices.Concat(e.Inputs, e.Outputs) {
		problems = append(problems, k.check("dataset", d.Facets), k.check("input", d.InputFacets), k.check("output", d.OutputFacets))
	}
	return errors.Join(problems...)
}

// holder is what has facets.
type holder struct{ Facets, InputFacets, OutputFacets map[string]any }

func (k *Checker) check(kind string, facets map[string]any) error {
	var problems []error
	for name, facet := range facets {
		schema := k.facets[kind+"."+name]
		if schema == nil {
			problems = append(problems, fmt.Errorf("no schema for the %s facet %s", kind, name))
			continue
		}
		if err := schema.Validate(facet); err != nil {
			problems = append(problems, fmt.Errorf("%s facet %s: %w", kind, name, err))
		}
		url, _ := facet.(map[string]any)["_schemaURL"].(string)
		if strings.HasPrefix(url, "https://openlineage.io/") {
			problems = append(problems, k.checkOfficial(url, facet))
		}
	}
	return errors.Join(problems...)
}

func (k *Checker) checkOfficial(url string, doc any) error {
	if k.official == nil {
		return nil
	}
	schema, err := k.official.Compile(url)
	if err != nil {
		return err
	}
	if err := schema.Validate(doc); err != nil {
		return fmt.Errorf("by the specification's own schema: %w", err)
	}
	return nil
}
