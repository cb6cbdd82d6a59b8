package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

// painted is a project of one model, whose value is a macro's and whose alias is a variable's.
func painted(value string) fixtures.Files {
	return fixtures.Files{
		"dbt_project.yml":       []byte("name: painted\nversion: '1.0.0'\nconfig-version: 2\nprofile: shop\n"),
		"profiles/profiles.yml": fixtures.Shop()["profiles/profiles.yml"],
		"macros/value.sql":      []byte("{% macro value() %}'" + value + "'{% endmacro %}\n"),
		"models/wall.sql":       []byte("{{ config(materialized='table', alias='wall_' ~ env_var('COLOUR')) }}\nselect {{ value() }} as v\n"),
	}
}

func colour(p *v1alpha1.DbtProject, name string) {
	for i := range p.Spec.Env {
		if p.Spec.Env[i].Name == "COLOUR" {
			p.Spec.Env[i].Value = name
			return
		}
	}
	p.Spec.Env = append(p.Spec.Env, corev1.EnvVar{Name: "COLOUR", Value: name})
}

// deploy puts other files in the place of the project's.
func (w *world) deploy(files fixtures.Files) {
	w.Helper()
	packed, err := files.Pack()
	if err != nil {
		w.Fatal(err)
	}
	source := &corev1.ConfigMap{}
	if err := cluster.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: "shop-source"}, source); err != nil {
		w.Fatal(err)
	}
	source.BinaryData[fixtures.ArchiveKey] = packed
	if err := cluster.Update(w.Context(), source); err != nil {
		w.Fatal(err)
	}
}

// warm runs the project and fails unless it parsed on from an earlier run, or did not, and made what it should.
func (w *world) warm(run string, warm bool, relation, value string) {
	w.Helper()
	w.run(run, commands("dbt build", "dbt show --select wall"))
	w.ended(w.over(run), v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded)
	r := w.stored(run)
	if r.Status.Log == nil || r.Status.Lineage == nil {
		w.Fatalf("DbtRun %s: no log or no lineage: %+v", run, r.Status)
	}
	log := r.Status.Log.Tail
	if got := strings.Contains(log, "dbt parses on from what an earlier run parsed"); got != warm {
		w.Errorf("DbtRun %s: it parsed on: %t, want %t; its log:\n%s", run, got, warm, log)
	}
	if outputs := strings.Join(r.Status.Lineage.Outputs, " "); !strings.Contains(outputs, relation) {
		w.Errorf("DbtRun %s: made %s, want %s", run, outputs, relation)
	}
	if !strings.Contains(log, "| "+value+" ") {
		w.Errorf("DbtRun %s: the model is not %s; its log:\n%s", run, value, log)
	}
}

// A run parses on from what an earlier one parsed, and a change of the source or of the project is never missed.
func TestWarmRunsAreNeverStale(t *testing.T) {
	for _, e := range []engine{duckdb111, postgres112} {
		t.Run(e.name, func(t *testing.T) {
			w := newWorld(t)
			w.project(e, painted("first"), func(p *v1alpha1.DbtProject) { colour(p, "red") })
			w.warm("cold", false, "wall_red", "first")
			w.warm("warm", true, "wall_red", "first")
			w.deploy(painted("second"))
			w.warm("deployed", false, "wall_red", "second")
			w.warm("deployed-warm", true, "wall_red", "second")
			w.edit(func(p *v1alpha1.DbtProject) { colour(p, "blue") })
			w.warm("painted", false, "wall_blue", "second")
		})
	}
}
