package controller

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// The cache holds five kinds, of Jobs and pods the operator's own, and refuses to grow by a read of any other.
func TestCacheHoldsNoMoreThanItMust(t *testing.T) {
	opts := CacheOptions(Scope{Namespaces: []string{"a", "b"}})
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
	if len(opts.DefaultNamespaces) != 2 || len(CacheOptions(Scope{}).DefaultNamespaces) != 0 {
		t.Errorf("namespaces are %v", opts.DefaultNamespaces)
	}
}

func TestCachedObjectsAreSlim(t *testing.T) {
	meta := metav1.ObjectMeta{Name: "x", Labels: map[string]string{"a": "b"}, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}}}
	spec := corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "x"}}}}}
	pod, err := slimPod(&corev1.Pod{ObjectMeta: meta, Spec: spec, Status: corev1.PodStatus{Phase: corev1.PodRunning}})
	if err != nil {
		t.Fatal(err)
	}
	slim := metav1.ObjectMeta{Name: "x", Labels: map[string]string{"a": "b"}}
	if diff := cmp.Diff(&corev1.Pod{ObjectMeta: slim, Spec: corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}, pod); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
	job, err := slimJob(&batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: spec}}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&batchv1.Job{ObjectMeta: slim}, job); diff != "" {
		t.Errorf("Job (-want +got):\n%s", diff)
	}
	edited := metav1.NewTime(time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC))
	managed := metav1.ObjectMeta{Name: "x", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m", Time: &edited, FieldsV1: metav1.NewFieldsV1("{}")}}}
	schedule, err := slimSchedule(&v1alpha1.DbtSchedule{ObjectMeta: managed})
	if err != nil {
		t.Fatal(err)
	}
	managed.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m", Time: &edited}}
	if diff := cmp.Diff(&v1alpha1.DbtSchedule{ObjectMeta: managed}, schedule); diff != "" {
		t.Errorf("schedule (-want +got):\n%s", diff)
	}
	// What is no object of theirs, such as the mark of one that was deleted unseen, passes.
	if got, err := slimPod("x"); got != "x" || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}
