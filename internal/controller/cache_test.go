package controller

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// The cache holds five kinds, of Jobs and pods the operator's own, and refuses to grow by a read of any other.
func TestCacheHoldsNoMoreThanItMust(t *testing.T) {
	opts := CacheOptions(Scope{Namespaces: []string{"a", "b"}}, time.Now)
	if !opts.ReaderFailOnMissingInformer {
		t.Error("a read of another kind would start to watch it")
	}
	var kinds []string
	for object, by := range opts.ByObject {
		kind := fmt.Sprintf("%T", object)
		kinds = append(kinds, kind)
		if kind != "*v1.Job" && kind != "*v1.Pod" {
			continue
		}
		ours, theirs := labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}, labels.Set{v1alpha1.LabelRunUID: "x"}
		if by.Label == nil || !by.Label.Matches(ours) || by.Label.Matches(theirs) {
			t.Errorf("%s of others are cached", kind)
		}
	}
	slices.Sort(kinds)
	if diff := cmp.Diff([]string{"*v1.Job", "*v1.Pod", "*v1alpha1.DbtProject", "*v1alpha1.DbtRun", "*v1alpha1.DbtSchedule"}, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	if len(opts.DefaultNamespaces) != 2 || len(CacheOptions(Scope{}, time.Now).DefaultNamespaces) != 0 {
		t.Errorf("namespaces are %v", opts.DefaultNamespaces)
	}
}

// What succeeded is cached only where a pod's last words are the only record of what it did.
func TestWhatSucceededIsNotCached(t *testing.T) {
	want := map[string]string{"*v1.Job": "status.successful!=1", "*v1.Pod": "status.phase!=Succeeded"}
	for keeps, want := range map[bool]map[string]string{true: want, false: nil} {
		for object, by := range CacheOptions(Scope{Keeps: keeps}, time.Now).ByObject {
			got := ""
			if by.Field != nil {
				got = by.Field.String()
			}
			if kind := fmt.Sprintf("%T", object); got != want[kind] {
				t.Errorf("with a collector %t: %s are selected by %q, want %q", keeps, kind, got, want[kind])
			}
		}
	}
}
