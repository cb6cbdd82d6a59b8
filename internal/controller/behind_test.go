package controller

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

func TestBehind(t *testing.T) {
	var b Behind
	key := types.NamespacedName{Namespace: "ns", Name: "a"}
	run := &v1alpha1.DbtRun{}
	run.ResourceVersion = "1"
	if b.Is(key, run) {
		t.Error("a run that was never written is behind")
	}
	b.Wrote(key, "1")
	if !b.Is(key, run) {
		t.Error("the version that was replaced is not behind")
	}
	run.ResourceVersion = "2"
	if b.Is(key, run) || len(b.replaced) != 0 {
		t.Error("a newer version is behind, or memory is kept")
	}
}
