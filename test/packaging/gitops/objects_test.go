package gitops

import (
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

var now = time.Date(2026, 11, 25, 6, 0, 0, 0, time.UTC)

// run is a DbtRun whose conditions are set as the controller sets them.
func run(phase v1alpha1.Phase, status metav1.ConditionStatus, reason, message string) *v1alpha1.DbtRun {
	r := testutil.MakeDbtRun("nightly").Namespace("team-a").Project("shop").Obj()
	r.Generation, r.Status.ObservedGeneration, r.Status.Phase, r.Status.Message = 1, 1, phase, message
	conditions.SetSucceeded(&r.Status.Conditions, 1, now, conditions.Truth{Status: status, Reason: reason, Message: message})
	return r
}

// schedule is a DbtSchedule whose last run failed, which says nothing of its own health.
func schedule(status metav1.ConditionStatus, reason, message string) *v1alpha1.DbtSchedule {
	s := testutil.MakeDbtSchedule("nightly", "0 6 * * *").Namespace("team-a").Obj()
	s.Generation, s.Status.ObservedGeneration = 4, 4
	conditions.SetReady(&s.Status.Conditions, 4, now, conditions.Truth{Status: status, Reason: reason, Message: message})
	s.Status.Conditions = append(s.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionLastRunSucceeded, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonNodesFailed, Message: "DbtRun nightly-1 did not succeed; its status says why.",
	})
	return s
}

func project(status metav1.ConditionStatus, reason, message string) *v1alpha1.DbtProject {
	p := testutil.MakeDbtProject("shop").Namespace("team-a").Generation(2).Obj()
	p.Status.ObservedGeneration = 2
	conditions.SetReady(&p.Status.Conditions, 2, now, conditions.Truth{Status: status, Reason: reason, Message: message})
	return p
}

// changed is an object whose spec was changed since the operator saw it.
func changed[T client.Object](object T) T {
	object.SetGeneration(object.GetGeneration() + 1)
	return object
}

// unseen is an object that the operator has not seen, as the CRD's default makes it.
func unseen[T client.Object](object T, kind string) client.Object {
	out := &unstructured.Unstructured{}
	out.SetName(object.GetName())
	out.SetNamespace(object.GetNamespace())
	out.SetGeneration(1)
	out.SetAPIVersion("dbtoperator.dev/v1alpha1")
	out.SetKind(kind)
	out.Object["status"] = map[string]any{"observedGeneration": int64(-1)}
	return out
}

// decoded returns an object as it comes from the API server.
func decoded(t *testing.T, object client.Object) *unstructured.Unstructured {
	t.Helper()
	kind := object.GetObjectKind().GroupVersionKind().Kind
	switch object.(type) {
	case *v1alpha1.DbtRun:
		kind = "DbtRun"
	case *v1alpha1.DbtSchedule:
		kind = "DbtSchedule"
	case *v1alpha1.DbtProject:
		kind = "DbtProject"
	}
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{}
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	fields["apiVersion"], fields["kind"] = "dbtoperator.dev/v1alpha1", kind
	if text, err = json.Marshal(fields); err != nil {
		t.Fatal(err)
	}
	out := &unstructured.Unstructured{}
	if err := out.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	return out
}
