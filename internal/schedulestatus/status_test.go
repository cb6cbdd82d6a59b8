package schedulestatus_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/schedule"
	"github.com/dbt-operator/dbt-operator/internal/schedulestatus"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

var six = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

func hour(n int) time.Time { return six.Add(time.Duration(n) * time.Hour) }

func at(t time.Time) *metav1.Time { return &metav1.Time{Time: t} }

// run is the run of an hour after six, which ended half an hour later.
func run(n int, phase v1alpha1.Phase) *v1alpha1.DbtRun {
	r := testutil.MakeDbtRun(fmt.Sprintf("s-%d", n)).Created(hour(n)).Obj()
	r.Spec.Trigger = &v1alpha1.Trigger{Type: v1alpha1.TriggerSchedule, ScheduledTime: at(hour(n))}
	r.Status.Phase = phase
	if phase.Finished() {
		r.Status.CompletionTime = at(hour(n).Add(30 * time.Minute))
	}
	return r
}

func compute(before v1alpha1.DbtScheduleStatus, d schedule.Decision, runs ...*v1alpha1.DbtRun) v1alpha1.DbtScheduleStatus {
	s := testutil.MakeDbtSchedule("s", "0 * * * *").Obj()
	s.Generation, s.Status = 4, before
	return schedulestatus.Compute(schedulestatus.Input{
		Schedule: s, Runs: runs, Decision: d, Now: hour(9), Ready: conditions.Truth{Status: metav1.ConditionTrue, Reason: "Ticking", Message: "Fine."},
	})
}

func TestCompute(t *testing.T) {
	d := schedule.Decision{Action: schedule.Start, NextTick: hour(10), LastMissed: hour(1), Missed: []schedule.Missed{{Count: 2, Why: "a"}, {Count: 3, Why: "b"}}}
	got := compute(v1alpha1.DbtScheduleStatus{MissedTotal: 1}, d, run(2, v1alpha1.PhaseSucceeded), run(3, v1alpha1.PhaseCancelled), run(4, v1alpha1.PhaseRunning), run(5, ""))
	want := v1alpha1.DbtScheduleStatus{
		ObservedGeneration: 4, Active: []string{"s-4", "s-5"}, MissedTotal: 6, LastMissedTime: at(hour(1)), LastScheduleTime: at(hour(5)), NextScheduleTime: at(hour(10)),
		LastSuccessfulTime: at(hour(2).Add(30 * time.Minute)), LastFailureTime: at(hour(3).Add(30 * time.Minute)),
		LastSucceededScheduleTime: at(hour(2)), LastEndedScheduleTime: at(hour(3)), LastRun: &v1alpha1.LastRun{Name: "s-5", Phase: v1alpha1.PhasePending, CreationTime: *at(hour(5))},
		Conditions: []metav1.Condition{
			{Type: "Ready", Status: "True", Reason: "Ticking", Message: "Fine.", ObservedGeneration: 4, LastTransitionTime: metav1.NewTime(hour(9))},
			{Type: "LastRunSucceeded", Status: "False", Reason: "Cancelled", Message: "DbtRun s-3 did not succeed; its status says why.", ObservedGeneration: 4, LastTransitionTime: metav1.NewTime(hour(9))},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	// What is known of runs that are gone is kept, and older ones that are left do not take its place.
	again := compute(got, schedule.Decision{Action: schedule.Wait}, run(2, v1alpha1.PhaseSucceeded))
	want.Active, want.NextScheduleTime = nil, nil
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("later (-want +got):\n%s", diff)
	}
}

// An invalid schedule has no next tick, and keeps the line by which its ticks were counted.
func TestComputeOfAnInvalidSchedule(t *testing.T) {
	ticking := &v1alpha1.Ticking{Schedule: "0 * * * *"}
	got := compute(v1alpha1.DbtScheduleStatus{Ticking: ticking, NextScheduleTime: at(hour(1))}, schedule.Decision{})
	if got.Ticking == nil || got.NextScheduleTime != nil {
		t.Errorf("status %+v", got)
	}
}

func TestActiveIsBounded(t *testing.T) {
	var runs []*v1alpha1.DbtRun
	for n := range 30 {
		runs = append(runs, run(n, v1alpha1.PhaseQueued))
	}
	got := compute(v1alpha1.DbtScheduleStatus{}, schedule.Decision{Action: schedule.Wait}, runs...)
	if len(got.Active) != 10 || got.Active[9] != "s-29" {
		t.Errorf("active are %v", got.Active)
	}
}

// A run may go when the status tells its end, and no sooner.
func TestRecorded(t *testing.T) {
	good, bad := run(2, v1alpha1.PhaseSucceeded), run(2, v1alpha1.PhaseFailed)
	recorded := compute(v1alpha1.DbtScheduleStatus{}, schedule.Decision{Action: schedule.Wait}, good)
	failed := compute(v1alpha1.DbtScheduleStatus{}, schedule.Decision{Action: schedule.Wait}, bad)
	active := compute(v1alpha1.DbtScheduleStatus{}, schedule.Decision{Action: schedule.Wait}, run(2, v1alpha1.PhaseRunning))
	deploy := run(2, v1alpha1.PhaseSucceeded)
	deploy.Spec.Trigger = &v1alpha1.Trigger{Type: v1alpha1.TriggerProjectChange}
	for name, c := range map[string]struct {
		reason string
		status v1alpha1.DbtScheduleStatus
		run    *v1alpha1.DbtRun
		want   bool
	}{
		"recorded":        {"all is told", recorded, good, true},
		"failed":          {"all is told", failed, bad, true},
		"never recorded":  {"made by a pass that died", v1alpha1.DbtScheduleStatus{}, good, false},
		"end not told":    {"it was active as the status was written", active, good, false},
		"another outcome": {"the status tells of another end", failed, good, false},
		"newer":           {"the status is older than it", recorded, run(3, v1alpha1.PhaseSucceeded), false},
		"deploy":          {"it has no tick", recorded, deploy, true},
	} {
		if got := schedulestatus.Recorded(&c.status, c.run); got != c.want {
			t.Errorf("%s: %s: got %t", name, c.reason, got)
		}
	}
	if !meta.IsStatusConditionTrue(recorded.Conditions, v1alpha1.ConditionLastRunSucceeded) {
		t.Error("a run that succeeded is not said to")
	}
}
