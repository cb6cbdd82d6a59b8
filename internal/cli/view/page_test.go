package view

import (
	"testing"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

func TestStateLine(t *testing.T) {
	for want, state := range map[string]*v1alpha1.StateStatus{
		"":                          nil,
		"run nightly (target prod)": {Run: "nightly", Target: "prod"},
		"run nightly":               {Run: "nightly"},
		"none: There is none.":      {Target: "prod", Message: "There is none."},
	} {
		if got := stateLine(state); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
