package conditions_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
)

func TestSettled(t *testing.T) {
	available := func(status metav1.ConditionStatus) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.ConditionResultsAvailable, Status: status}}
	}
	now := time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
	incomplete := func(ago time.Duration) v1alpha1.DbtRunStatus {
		s := v1alpha1.DbtRunStatus{Phase: v1alpha1.PhaseFailed, Job: &v1alpha1.JobReference{Name: "j"}, Conditions: available("False"), CompletionTime: &metav1.Time{Time: now.Add(-ago)}}
		s.Conditions[0].Reason = v1alpha1.ReasonIncomplete
		return s
	}
	job, revision := &v1alpha1.JobReference{Name: "j"}, &v1alpha1.Revision{Image: "sha256:1"}
	for name, c := range map[string]struct {
		reason string
		status v1alpha1.DbtRunStatus
		keeps  bool
		want   bool
	}{
		"at work":      {"all of it may change", v1alpha1.DbtRunStatus{Phase: v1alpha1.PhaseRunning}, false, false},
		"no collector": {"the end is all there is", v1alpha1.DbtRunStatus{Phase: v1alpha1.PhaseFailed, Job: job}, false, true},
		"never begun":  {"no pod has anything to send", v1alpha1.DbtRunStatus{Phase: v1alpha1.PhaseFailed}, true, true},
		"stored":       {"all has arrived", v1alpha1.DbtRunStatus{Phase: v1alpha1.PhaseSucceeded, Job: job, Revision: revision, Conditions: available("True")}, true, true},
		"no image":     {"kubelet has still to say which image ran", v1alpha1.DbtRunStatus{Phase: v1alpha1.PhaseSucceeded, Job: job, Conditions: available("True")}, true, false},
		"uploading":    {"its log is on its way", v1alpha1.DbtRunStatus{Phase: v1alpha1.PhaseSucceeded, Job: job, Revision: revision, Conditions: available("False")}, true, false},
		"incomplete":   {"its last words may be on their way", incomplete(20 * time.Minute), true, false},
		"never sent":   {"its pods have long ended", incomplete(20*time.Minute + time.Second), true, true},
		"not looked":   {"nobody has looked at the store yet", v1alpha1.DbtRunStatus{Phase: v1alpha1.PhaseSucceeded, Job: job, Revision: revision}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := conditions.Settled(&c.status, c.keeps, now); got != c.want {
				t.Errorf("%s: settled is %t", c.reason, got)
			}
		})
	}
}
