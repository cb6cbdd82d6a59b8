package runner

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/testutil/collectortest"
)

// envDbts names programs dbt 1.x with DuckDB's adapter, separated by colons: with them some tests run on the real thing.
const envDbts = "RUNNER_TEST_DBT"

// models are those of a shop: b reads a, c reads b, e reads d.
func models() map[string]string {
	return map[string]string{
		"a": "select 1 as id", "b": "select * from {{ ref('a') }}", "c": "select * from {{ ref('b') }}",
		"d": "select 2 as id", "e": "select * from {{ ref('d') }}",
	}
}

// real is a pod with a real dbt, and a shop on a database in a file.
func real(t *testing.T, c *collectortest.Collector, name, program, database, target string, models map[string]string) *pod {
	t.Helper()
	p := attemptOf(t, c, name)
	dir := t.TempDir()
	makeFile(t, filepath.Join(dir, "dbt_project.yml"), "name: shop\nversion: \"1.0\"\nprofile: shop\n")
	profiles := "shop:\n  target: none\n  outputs:\n"
	for _, schema := range []string{"prod", "ci", "ci2"} {
		profiles += "    " + schema + ": {type: duckdb, path: " + database + ", schema: " + schema + ", threads: 1}\n"
	}
	makeFile(t, filepath.Join(dir, "profiles.yml"), profiles)
	for model, sql := range models {
		makeFile(t, filepath.Join(dir, "models", model+".sql"), sql+"\n")
	}
	p.plan.Source, p.plan.Target = plan.Source{Image: &plan.Image{Path: dir}}, target
	p.env = append(slices.DeleteFunc(p.env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	return p
}

var readsFrom = regexp.MustCompile(`from "[^"]+"\."([^"]+)"\."([^"]+)"`)

// reads returns the relation that a model that was run reads, as SCHEMA.NAME.
func (p *pod) reads(model string) string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.paths.Workspace, "target", "run", "shop", "models", model+".sql"))
	if err != nil {
		return "nothing: it was not run"
	}
	m := readsFrom.FindSubmatch(b)
	if m == nil {
		p.t.Fatalf("%s reads nothing: %s", model, b)
	}
	return string(m[1]) + "." + string(m[2])
}

// With a state, real dbt builds what was changed and what follows from it, and reads what it does not build where the state
// has it. When the pod is lost meanwhile, what is left does so too, and reads what was built where it was built.
func TestRealDbtWithAState(t *testing.T) {
	programs := os.Getenv(envDbts)
	if programs == "" {
		t.Skip(envDbts + " names no dbt")
	}
	for program := range strings.SplitSeq(programs, ":") {
		t.Run(program, func(t *testing.T) {
			database := filepath.Join(t.TempDir(), "shop.duckdb")
			c := collectortest.New(t)
			prod := real(t, c, "prod", program, database, "prod", models())
			if code, report := prod.run(); code != 0 || report.Results.Success != 5 {
				t.Fatalf("%d %+v\n%s", code, report, prod.screen)
			}
			manifest := c.Artifacts()["manifest.json"]
			changed := models()
			changed["b"], changed["e"] = "select *, 1 as more from {{ ref('a') }}", "select *, 1 as more from {{ ref('d') }}"
			with := func(c *collectortest.Collector, name, target string, commands ...[]string) *pod {
				p := real(t, c, name, program, database, target, changed)
				c.SetState("manifest.json", manifest)
				p.plan.State, p.plan.Commands = &plan.State{Run: "prod", Manifest: sha(manifest)}, commands
				return p
			}
			modified := []string{"build", "--select", "state:modified+"}

			ci := with(collectortest.New(t), "ci", "ci", modified)
			if code, report := ci.run(); code != 0 || report.Results.Success != 3 || report.Selected != 3 {
				t.Fatalf("%d %+v\n%s", code, report, ci.screen)
			}
			for model, want := range map[string]string{"b": "prod.a", "c": "ci.b", "e": "prod.d", "a": "nothing: it was not run", "d": "nothing: it was not run"} {
				if got := ci.reads(model); got != want {
					t.Errorf("%s reads %s, want %s", model, got, want)
				}
			}

			// The pod was lost when b was built and no other.
			if code, report := with(collectortest.New(t), "first", "ci2", []string{"run", "--select", "b"}).run(); code != 0 || report.Results.Success != 1 {
				t.Fatalf("%d %+v", code, report)
			}
			lost := collectortest.New(t)
			lost.SetStream("pod-a", journal.StreamJournal, entries(
				journal.Entry{Kind: journal.KindBegin, Pod: "pod-a"}, journal.Entry{Kind: journal.KindCommand, Line: "dbt " + strings.Join(modified, " ")},
				node(journal.KindResult, "model.shop.b", "success"), node(journal.KindStart, "model.shop.e", "")))
			second := with(lost, "pod-b", "ci2", modified)
			code, report := second.run()
			if code != 0 || report.Results.Success != 3 || report.Commands[0].Note != "2 of 3 nodes were left" {
				t.Fatalf("%d %+v\n%s", code, report, second.screen)
			}
			for model, want := range map[string]string{"b": "nothing: it was not run", "c": "ci2.b", "e": "prod.d"} {
				if got := second.reads(model); got != want {
					t.Errorf("after the pod was lost %s reads %s, want %s", model, got, want)
				}
			}
		})
	}
}
