package e2e

import (
	"testing"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Each way in which a real project fails has a reason of its own, and says what a person would have to dig for.
func TestVariants(t *testing.T) {
	cases := []struct {
		variant string
		engine  engine
		phase   v1alpha1.Phase
		reason  string
		parts   []string
		failed  string // unique_id of the first failure
	}{
		{"model-error", duckdb111, v1alpha1.PhaseFailed, v1alpha1.ReasonNodesFailed, []string{"1 of 26 nodes failed: model.shop.orders", `does not have a column named "no_such_column"`}, "model.shop.orders"},
		{"model-error", postgres20, v1alpha1.PhaseFailed, v1alpha1.ReasonNodesFailed, []string{"model.shop.orders", "column orders.no_such_column does not exist"}, "model.shop.orders"},
		{"test-fails", duckdb111, v1alpha1.PhaseFailed, v1alpha1.ReasonNodesFailed, []string{"test.shop.no_order_is_returned (fail): Got 25 results"}, "test.shop.no_order_is_returned"},
		{"test-warns", duckdb111, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded, []string{"1 with a warning"}, ""},
		{"parse-error", duckdb111, v1alpha1.PhaseFailed, v1alpha1.ReasonDbtError, []string{"models/marts/weekly_revenue.sql", "unexpected '}', expected ')'"}, ""},
		{"parse-error", postgres20, v1alpha1.PhaseFailed, v1alpha1.ReasonDbtError, []string{"models/marts/weekly_revenue.sql", "unexpected end of variable block"}, ""},
		{"missing-profile", duckdb111, v1alpha1.PhaseFailed, v1alpha1.ReasonDbtError, []string{"Could not find profile named 'no_such_profile'"}, ""},
		{"no-connection", postgres111, v1alpha1.PhaseFailed, v1alpha1.ReasonDbtError, []string{`connection to server at "127.0.0.1", port 1 failed: Connection refused`}, ""},
	}
	for _, tc := range cases {
		t.Run(tc.variant+" with "+tc.engine.name, func(t *testing.T) {
			w := newWorld(t)
			w.project(tc.engine, variant(t, tc.variant))
			w.run("build")
			r := w.over("build")
			w.ended(r, tc.phase, tc.reason, tc.parts...)
			if tc.failed != "" && (len(r.Status.Failures) != 1 || r.Status.Failures[0].UniqueID != tc.failed || r.Status.Failures[0].Message == "") {
				t.Errorf("failures: got %+v, want %s", r.Status.Failures, tc.failed)
			}
			if n := len(w.pods()); n != 1 {
				t.Errorf("%d pods: what dbt itself says is final and costs no second one", n)
			}
		})
	}
}
