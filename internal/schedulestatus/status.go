package schedulestatus

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/schedule"
)

// maxActive is how many active runs the status names.
const maxActive = 10

// Input is what a schedule's status is computed from.
type Input struct {
	Schedule *v1alpha1.DbtSchedule
	// Runs are the schedule's runs, those that this pass made among them, oldest first; without those of a backfill.
	Runs []*v1alpha1.DbtRun
	// Decision is what was decided and carried out; the zero value when the schedule is not valid.
	Decision schedule.Decision
	// Project and Backfill are as decided and carried out.
	Project  *v1alpha1.ObservedProject
	Backfill *v1alpha1.BackfillStatus
	// Ready says whether the schedule is valid and ticking.
	Ready conditions.Truth
	// Authorized says whether the schedule's author may run what it runs; nil when nobody asked.
	Authorized *conditions.Truth
	Now        time.Time
}

// Compute returns the status. Times only ever move on, so that what is known of runs that are gone is kept.
func Compute(in Input) v1alpha1.DbtScheduleStatus {
	s := *in.Schedule.Status.DeepCopy()
	s.ObservedGeneration = in.Schedule.Generation
	s.Project, s.Backfill = in.Project, in.Backfill
	s.NextScheduleTime = nil
	if !in.Decision.NextTick.IsZero() {
		s.NextScheduleTime = &metav1.Time{Time: in.Decision.NextTick}
	}
	if in.Decision.Action != "" {
		s.Ticking = in.Decision.Ticking
	}
	for _, m := range in.Decision.Missed {
		s.MissedTotal += m.Count
	}
	later(&s.LastMissedTime, in.Decision.LastMissed)
	follow(&s, in.Runs)
	conditions.SetReady(&s.Conditions, in.Schedule.Generation, in.Now, in.Ready)
	if a := in.Authorized; a != nil {
		meta.SetStatusCondition(&s.Conditions, metav1.Condition{
			Type: v1alpha1.ConditionAuthorized, Status: a.Status, Reason: a.Reason, Message: a.Message,
			ObservedGeneration: in.Schedule.Generation, LastTransitionTime: metav1.NewTime(in.Now),
		})
	}
	outcome(&s, in)
	return s
}

// follow takes up what the runs have come to.
func follow(s *v1alpha1.DbtScheduleStatus, runs []*v1alpha1.DbtRun) {
	s.Active = nil
	for _, run := range runs {
		tick := Tick(run)
		later(&s.LastScheduleTime, tick)
		newest(s, run)
		switch {
		case !run.Status.Phase.Finished():
			s.Active = append(s.Active, run.Name)
			continue
		case run.Status.Phase == v1alpha1.PhaseSucceeded:
			later(&s.LastSuccessfulTime, End(run))
			later(&s.LastSucceededScheduleTime, tick)
		default:
			later(&s.LastFailureTime, End(run))
		}
		later(&s.LastEndedScheduleTime, tick)
	}
	if n := len(s.Active); n > maxActive {
		s.Active = slices.Clone(s.Active[n-maxActive:])
	}
}

// newest notes a run as the last, unless a newer one was, which may be gone.
func newest(s *v1alpha1.DbtScheduleStatus, run *v1alpha1.DbtRun) {
	if s.LastRun != nil && run.CreationTimestamp.Before(&s.LastRun.CreationTime) {
		return
	}
	s.LastRun = &v1alpha1.LastRun{Name: run.Name, Phase: run.Status.Phase, CreationTime: run.CreationTimestamp}
	if run.Status.Phase == "" {
		s.LastRun.Phase = v1alpha1.PhasePending
	}
}

// Recorded reports whether the status tells all that is to be told of a run that is over, so that it may be deleted.
func Recorded(s *v1alpha1.DbtScheduleStatus, run *v1alpha1.DbtRun) bool {
	tick, end := Tick(run), End(run)
	ended := s.LastFailureTime
	if run.Status.Phase == v1alpha1.PhaseSucceeded {
		ended = s.LastSuccessfulTime
		if !reached(s.LastSucceededScheduleTime, tick) {
			return false
		}
	}
	return reached(ended, end) && reached(s.LastScheduleTime, tick) && reached(s.LastEndedScheduleTime, tick)
}

// Tick returns the scheduled time of a run, the zero time when it has none.
func Tick(run *v1alpha1.DbtRun) time.Time {
	if run.Spec.Trigger == nil || run.Spec.Trigger.ScheduledTime == nil {
		return time.Time{}
	}
	return run.Spec.Trigger.ScheduledTime.Time
}

// End returns when a run ended, or began where its end was not noted.
func End(run *v1alpha1.DbtRun) time.Time {
	if run.Status.CompletionTime != nil {
		return run.Status.CompletionTime.Time
	}
	return run.CreationTimestamp.Time
}

// later moves a time on, never back.
func later(at **metav1.Time, to time.Time) {
	if to.IsZero() || *at != nil && !to.After((*at).Time) {
		return
	}
	*at = &metav1.Time{Time: to}
}

// reached reports whether a time of the status has come as far as another, which every status has when it is zero.
func reached(at *metav1.Time, to time.Time) bool {
	return to.IsZero() || at != nil && !at.Time.Before(to)
}

// outcome sets LastRunSucceeded by the run that ended last. When it is gone, the condition stays as it was.
func outcome(s *v1alpha1.DbtScheduleStatus, in Input) {
	var last *v1alpha1.DbtRun
	for _, run := range in.Runs {
		if run.Status.Phase.Finished() && (last == nil || !End(run).Before(End(last))) {
			last = run
		}
	}
	if last == nil || !reached(&metav1.Time{Time: End(last)}, newestEnd(s)) {
		return
	}
	_, reason := conditions.Succeeded(last.Status.Conditions)
	c := metav1.Condition{
		Type: v1alpha1.ConditionLastRunSucceeded, Status: metav1.ConditionFalse, Reason: reason,
		ObservedGeneration: in.Schedule.Generation, LastTransitionTime: metav1.NewTime(in.Now),
		Message: "DbtRun " + last.Name + " did not succeed; its status says why.",
	}
	if last.Status.Phase == v1alpha1.PhaseSucceeded {
		c.Status, c.Message = metav1.ConditionTrue, "DbtRun "+last.Name+" succeeded."
	}
	if c.Reason == "" {
		c.Reason = string(last.Status.Phase)
	}
	meta.SetStatusCondition(&s.Conditions, c)
}

func newestEnd(s *v1alpha1.DbtScheduleStatus) time.Time {
	var out time.Time
	for _, at := range []*metav1.Time{s.LastSuccessfulTime, s.LastFailureTime} {
		if at != nil && at.After(out) {
			out = at.Time
		}
	}
	return out
}

// RecordedBackfill reports whether the status of a backfill tells all that is to be told of one of its runs that is over.
// Runs of another backfill are history.
func RecordedBackfill(s *v1alpha1.BackfillStatus, run *v1alpha1.DbtRun) bool {
	t := run.Spec.Trigger
	if s == nil || t == nil || t.ScheduleRef == nil || t.ScheduledTime == nil || run.Name != schedule.BackfillRunName(t.ScheduleRef.Name, s.ID, t.ScheduledTime.Time) {
		return true
	}
	if !reached(s.LastScheduleTime, t.ScheduledTime.Time) {
		return false
	}
	return run.Status.Phase == v1alpha1.PhaseSucceeded || s.Failed != ""
}
