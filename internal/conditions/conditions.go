// Package conditions sets the conditions of the operator's kinds, so that Succeeded and the kstatus conditions never
// disagree. It knows condition types and their meaning; it never knows a client, a clock or a metric.
package conditions

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Truth is what a condition says: its status with reason and message.
type Truth struct {
	Status  metav1.ConditionStatus
	Reason  string
	Message string
}

// SetSucceeded sets Succeeded and derives the kstatus conditions from it: Unknown is Reconciling, True is Ready, False
// is Stalled. Reconciling and Stalled are there only while true, as kstatus asks of abnormal conditions.
// A condition's transition time is now only when its status changes.
func SetSucceeded(conditions *[]metav1.Condition, generation int64, now time.Time, t Truth) {
	set := func(kind string, status metav1.ConditionStatus) {
		meta.SetStatusCondition(conditions, metav1.Condition{
			Type: kind, Status: status, Reason: t.Reason, Message: t.Message,
			ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(now),
		})
	}
	set(v1alpha1.ConditionSucceeded, t.Status)
	switch t.Status {
	case metav1.ConditionTrue:
		set(v1alpha1.ConditionReady, metav1.ConditionTrue)
		meta.RemoveStatusCondition(conditions, v1alpha1.ConditionReconciling)
		meta.RemoveStatusCondition(conditions, v1alpha1.ConditionStalled)
	case metav1.ConditionFalse:
		set(v1alpha1.ConditionReady, metav1.ConditionFalse)
		set(v1alpha1.ConditionStalled, metav1.ConditionTrue)
		meta.RemoveStatusCondition(conditions, v1alpha1.ConditionReconciling)
	default:
		set(v1alpha1.ConditionReady, metav1.ConditionFalse)
		set(v1alpha1.ConditionReconciling, metav1.ConditionTrue)
		meta.RemoveStatusCondition(conditions, v1alpha1.ConditionStalled)
	}
}

// SetReady sets Ready and Stalled of an object that is valid or not, and has no work in progress.
func SetReady(conditions *[]metav1.Condition, generation int64, now time.Time, t Truth) {
	set := func(kind string, status metav1.ConditionStatus) {
		meta.SetStatusCondition(conditions, metav1.Condition{
			Type: kind, Status: status, Reason: t.Reason, Message: t.Message,
			ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(now),
		})
	}
	set(v1alpha1.ConditionReady, t.Status)
	if t.Status == metav1.ConditionTrue {
		meta.RemoveStatusCondition(conditions, v1alpha1.ConditionStalled)
		return
	}
	set(v1alpha1.ConditionStalled, metav1.ConditionTrue)
}

// Succeeded returns the status and reason of the Succeeded condition; Unknown and "" when it is not there.
func Succeeded(conditions []metav1.Condition) (metav1.ConditionStatus, string) {
	c := meta.FindStatusCondition(conditions, v1alpha1.ConditionSucceeded)
	if c == nil {
		return metav1.ConditionUnknown, ""
	}
	return c.Status, c.Reason
}
