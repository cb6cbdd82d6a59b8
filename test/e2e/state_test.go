package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

// A pull request builds what it changed in a schema of its own, and reads all else where the last good run built it.
func TestPullRequestDefers(t *testing.T) {
	for _, e := range []engine{postgres111, postgres112} {
		t.Run(e.name, func(t *testing.T) {
			w := newWorld(t)
			g := serveGit(t, "")
			main := g.git("rev-parse", "HEAD")
			g.change("analytics/models/marts/daily_revenue.sql", "select", "select 'changed' as word,")
			g.git("update-ref", "refs/pull/12/head", "HEAD")
			g.git("update-ref", "refs/pull/13/head", main)
			g.git("reset", "--quiet", "--hard", main)
			w.project(e, fixtures.Shop(), g.source(&v1alpha1.GitRef{Branch: "main"}))

			w.run("too-early", pullRequest("refs/pull/12/head"))
			w.ended(w.over("too-early"), v1alpha1.PhaseFailed, v1alpha1.ReasonStateNotFound, "No run of DbtProject shop has built with target postgres")

			w.run("production", commands("dbt build"))
			w.ended(w.over("production"), v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded)
			w.eventually("the last good run in the project's status", patience, func() (bool, string) {
				good := w.shop().Status.LastGood
				return slices.ContainsFunc(good, func(r v1alpha1.GoodRun) bool { return r.Target == "postgres" && r.Run == "production" }), fmt.Sprint(good)
			})

			w.run("changed", pullRequest("refs/pull/12/head"))
			r := w.over("changed")
			w.ended(r, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded)
			if s := r.Status.State; s == nil || s.Run != "production" || s.Revision != main {
				t.Errorf("state: got %+v, want run production on %s", s, main)
			}
			// The parents of what is built are nowhere in this schema: had dbt not read production's, it would have failed.
			want := []string{"warehouse." + w.schema() + "_ci.daily_revenue"}
			if diff := cmp.Diff(want, models(w.stored("changed"))); diff != "" {
				t.Errorf("what the pull request built (-want +got):\n%s", diff)
			}

			w.run("unchanged", pullRequest("refs/pull/13/head"))
			r = w.over("unchanged")
			w.ended(r, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded)
			if n := r.Status.Results; n != nil && n.Success > 0 {
				t.Errorf("a pull request that changes nothing built %d nodes", n.Success)
			}
		})
	}
}

// pullRequest makes a run one of a pull request: what differs from production, with target ci.
func pullRequest(revision string) func(*v1alpha1.DbtRun) {
	return func(r *v1alpha1.DbtRun) {
		r.Spec.Revision, r.Spec.Target = revision, "ci"
		r.Spec.State, r.Spec.StateTarget = v1alpha1.StateAuto, "postgres"
		r.Spec.Commands = []string{"dbt build --select state:modified+"}
	}
}

// models are the relations that a run made.
func models(r *v1alpha1.DbtRun) []string {
	if r.Status.Lineage == nil {
		return nil
	}
	var out []string
	for _, o := range r.Status.Lineage.Outputs {
		out = append(out, strings.ReplaceAll(o, `"`, ""))
	}
	return out
}
