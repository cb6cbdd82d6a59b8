package e2e

import (
	"encoding/json"
	"testing"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
	"github.com/dbt-operator/dbt-operator/test/fixtures/large"
)

// The status of a run of 2,000 models stays within its bounds, and counts every one of them.
func TestLargeProject(t *testing.T) {
	w := newWorld(t)
	postgres(t)
	files, err := fixtures.Read(large.Project(2000))
	if err != nil {
		t.Fatal(err)
	}
	w.project(postgres20, files)
	w.run("large")
	// Two cores that do something else as well need their time for 4,000 nodes.
	w.eventually("the end of DbtRun large", 4*patience, func() (bool, string) {
		r := w.get("large")
		return r.Status.CompletionTime != nil, string(r.Status.Phase) + ": " + r.Status.Message
	})
	r := w.get("large")
	w.ended(r, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded)
	b, err := json.Marshal(r.Status)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 32<<10 {
		t.Errorf("the status has %d bytes, at most 32 KiB are allowed", len(b))
	}
	if r.Status.Results == nil || r.Status.Results.Success < 2000 {
		t.Errorf("results: got %+v, want 2,000 models and more", r.Status.Results)
	}
	l := r.Status.Lineage
	if l == nil || l.Nodes < 2000 || !l.Truncated || len(l.Graph) == 0 {
		t.Errorf("lineage: got %+v, want 2,000 nodes, of which a part", l)
	}
	t.Logf("status %d bytes, %d of %d nodes in the graph", len(b), len(l.Graph), l.Nodes)
}
