package conditions_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
)

func TestSucceededAndKstatusAgree(t *testing.T) {
	now := time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
	var list []metav1.Condition
	for _, c := range []struct {
		reason string
		truth  conditions.Truth
		want   map[string]metav1.ConditionStatus
		moved  time.Time
	}{
		{"in progress is Reconciling", conditions.Truth{Status: "Unknown", Reason: "Queued"}, map[string]metav1.ConditionStatus{"Succeeded": "Unknown", "Ready": "False", "Reconciling": "True"}, now},
		{"another reason is no transition", conditions.Truth{Status: "Unknown", Reason: "Running"}, map[string]metav1.ConditionStatus{"Succeeded": "Unknown", "Ready": "False", "Reconciling": "True"}, now},
		{"failed is Stalled", conditions.Truth{Status: "False", Reason: "NodesFailed"}, map[string]metav1.ConditionStatus{"Succeeded": "False", "Ready": "False", "Stalled": "True"}, now.Add(2 * time.Minute)},
		{"succeeded is Ready", conditions.Truth{Status: "True", Reason: "Succeeded"}, map[string]metav1.ConditionStatus{"Succeeded": "True", "Ready": "True"}, now.Add(3 * time.Minute)},
	} {
		conditions.SetSucceeded(&list, 4, now, c.truth)
		got := map[string]metav1.ConditionStatus{}
		for _, x := range list {
			got[x.Type] = x.Status
			if x.Reason != c.truth.Reason || x.ObservedGeneration != 4 {
				t.Errorf("%s: condition is %+v", c.reason, x)
			}
			if x.Type == v1alpha1.ConditionSucceeded && !x.LastTransitionTime.Time.Equal(c.moved) {
				t.Errorf("%s: transition time is %s, want %s", c.reason, x.LastTransitionTime, c.moved)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
		if status, reason := conditions.Succeeded(list); status != c.truth.Status || reason != c.truth.Reason {
			t.Errorf("%s: read back as %s %s", c.reason, status, reason)
		}
		now = now.Add(time.Minute)
	}
	if status, reason := conditions.Succeeded(nil); status != metav1.ConditionUnknown || reason != "" {
		t.Errorf("no condition reads as %s %q", status, reason)
	}
}

func TestReadyOfAProject(t *testing.T) {
	var list []metav1.Condition
	conditions.SetReady(&list, 1, time.Unix(1, 0), conditions.Truth{Status: "False", Reason: "InvalidSpec"})
	if len(list) != 2 {
		t.Errorf("an invalid project has conditions %+v", list)
	}
	conditions.SetReady(&list, 2, time.Unix(1, 0), conditions.Truth{Status: "True", Reason: "Valid"})
	if len(list) != 1 || list[0].Type != "Ready" || list[0].Status != "True" {
		t.Errorf("a valid project has conditions %+v", list)
	}
}
