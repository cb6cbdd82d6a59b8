package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

// The sample project is green on every engine, and the status says what ran, on what, and what came of it.
func TestShopIsGreen(t *testing.T) {
	for _, e := range []engine{duckdb111, postgres111, postgres112, postgres20} {
		t.Run(e.name, func(t *testing.T) {
			w := newWorld(t)
			if e.target == "postgres" {
				postgres(t)
			}
			w.project(e, fixtures.Shop())
			w.run("build")
			r := w.over("build")
			w.ended(r, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded, "nodes ended well")
			s := r.Status
			want := &v1alpha1.Results{Success: 25}
			nodes := "25/25"
			if e != postgres20 {
				want.NoOp, nodes = 1, "26/26" // dbt 1.x counts the exposure
			}
			if diff := cmp.Diff(want, s.Results); diff != "" {
				t.Errorf("results: -want +got\n%s", diff)
			}
			if s.Nodes != nodes {
				t.Errorf("nodes: got %q, want %q", s.Nodes, nodes)
			}
			if s.Revision == nil || s.Revision.Dbt != e.version || s.Revision.Adapter != e.adapter ||
				!strings.HasPrefix(s.Revision.Source, "sha256:") || !strings.Contains(s.Revision.Image, "@sha256:") {
				t.Errorf("revision: got %+v", s.Revision)
			}
			checkLineage(t, w, s.Lineage)
			if len(s.Commands) != 1 || s.Commands[0].Command != "dbt build" || s.Commands[0].InvocationID == "" {
				t.Errorf("commands: got %+v", s.Commands)
			}
			if len(s.Slowest) != 5 || len(s.Attempts) != 1 || len(s.Failures) != 0 {
				t.Errorf("slowest %v, attempts %v, failures %v", s.Slowest, s.Attempts, s.Failures)
			}
		})
	}
}

func checkLineage(t *testing.T, w *world, l *v1alpha1.Lineage) {
	t.Helper()
	if l == nil {
		t.Fatal("no lineage")
	}
	if l.Nodes != 16 || l.Edges != 16 || l.Truncated || len(l.Graph) != 16 {
		t.Errorf("lineage: %d nodes, %d edges, truncated %v, %d in the graph; want 16, 16, false, 16", l.Nodes, l.Edges, l.Truncated, len(l.Graph))
	}
	if len(l.Inputs) != 4 || len(l.Outputs) != 12 || !strings.Contains(l.Outputs[0], w.schema()) {
		t.Errorf("inputs %v, outputs %v; want 4 and 12", l.Inputs, l.Outputs)
	}
	for _, n := range l.Graph {
		if n.ID == "model.shop.daily_revenue" && !cmp.Equal(n.DependsOn, []string{"model.shop.orders"}) {
			t.Errorf("daily_revenue depends on %v", n.DependsOn)
		}
	}
}

// Several commands run in order, with vars, and the first that fails stops the rest.
func TestCommandsInOrder(t *testing.T) {
	w := newWorld(t)
	w.project(duckdb111, fixtures.Shop())
	w.run("ordered", commands("seed", `dbt run --select "stg_customers stg_orders"`, "dbt run-operation no_such_macro", "dbt test"))
	r := w.over("ordered")
	w.ended(r, v1alpha1.PhaseFailed, v1alpha1.ReasonDbtError, "no_such_macro")
	var got []string
	for _, c := range r.Status.Commands {
		got = append(got, c.Command)
	}
	want := []string{"dbt seed", "dbt run --select stg_customers stg_orders", "dbt run-operation no_such_macro"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands: -want +got\n%s", diff)
	}
	if r.Status.Results == nil || r.Status.Results.Success != 4 {
		t.Errorf("results: got %+v, want 4 nodes of the first two commands", r.Status.Results)
	}
}
