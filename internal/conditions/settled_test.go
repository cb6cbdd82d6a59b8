package conditions_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
)

func TestSettled(t *testing.T) {
	available := func(status metav1.ConditionStatus) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.ConditionResultsAvailable, Status: status}}
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
		"not looked":   {"nobody has looked at the store yet", v1alpha1.DbtRunStatus{Phase: v1alpha1.PhaseSucceeded, Job: job, Revision: revision}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := conditions.Settled(&c.status, c.keeps); got != c.want {
				t.Errorf("%s: settled is %t", c.reason, got)
			}
		})
	}
}
