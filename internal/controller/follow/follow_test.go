package follow

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

var now = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

func waiting() *v1alpha1.DbtRun {
	return testutil.MakeDbtRun("r").Namespace("ns").UID("u").Project("shop").Obj()
}

func started() *v1alpha1.DbtRun {
	run := waiting()
	run.Status.StartTime = &metav1.Time{Time: now.Add(-time.Hour)}
	return run
}

// ended is a run that ended in a phase, whose results are as the reason of ResultsAvailable says.
func ended(phase v1alpha1.Phase, results string) *v1alpha1.DbtRun {
	run := started()
	run.Status.Phase, run.Status.Message = phase, "why"
	run.Status.CompletionTime = &metav1.Time{Time: now.Add(-time.Minute)}
	run.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionResultsAvailable, Reason: results}}
	return run
}

func TestDue(t *testing.T) {
	old := ended(v1alpha1.PhaseFailed, v1alpha1.ReasonStored)
	old.Status.CompletionTime = &metav1.Time{Time: now.Add(-25 * time.Hour)}
	uploading := ended(v1alpha1.PhaseFailed, v1alpha1.ReasonUploading)
	never := ended(v1alpha1.PhaseFailed, v1alpha1.ReasonStored)
	never.Status.StartTime = nil
	for name, c := range map[string]struct {
		reason        string
		before, after *v1alpha1.DbtRun
		want          bool
	}{
		"created":            {"nothing has happened", nil, waiting(), false},
		"found at work":      {"the operator was restarted", nil, started(), true},
		"found over":         {"its last events may be missing", nil, ended(v1alpha1.PhaseFailed, v1alpha1.ReasonStored), true},
		"found, long over":   {"the sender has given up", nil, old, false},
		"starts":             {"START is due", waiting(), started(), true},
		"goes on":            {"nothing is due", started(), started(), false},
		"over, uploading":    {"its lineage is not there yet", started(), uploading, false},
		"results are there":  {"the rest is due", uploading, ended(v1alpha1.PhaseFailed, v1alpha1.ReasonStored), true},
		"results never come": {"what is there is all there is", uploading, ended(v1alpha1.PhaseFailed, v1alpha1.ReasonIncomplete), true},
		"never starts":       {"how it ended is all there is", waiting(), never, true},
		"found, not started": {"the same, after a restart", nil, never, true},
		"never started":      {"nothing more is due", never, never, false},
		"changed later":      {"nothing more is due", old, old, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := New("test", clocktesting.NewFakePassiveClock(now), nil, nil)
			var before client.Object
			if c.before != nil {
				before = c.before
			}
			if got := r.due(before, c.after); got != c.want {
				t.Errorf("%s: got %t", c.reason, got)
			}
		})
	}
}
