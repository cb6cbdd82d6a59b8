package dbtschedule

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/schedule"
	"github.com/dbt-operator/dbt-operator/internal/schedulestatus"
)

// record writes the schedule's status with one patch, and only if it changed; then it says in the log, in events and in
// the metrics what was done.
func (r *Reconciler) record(ctx context.Context, seen *observed, d decision, done outcome) (ctrl.Result, error) {
	before := seen.schedule
	after := before.DeepCopy()
	ticks := settledOnly(d.ticks, seen, done)
	after.Status = schedulestatus.Compute(schedulestatus.Input{
		Schedule: before, Runs: seen.runs, Decision: ticks, Project: done.project, Backfill: done.backfill,
		Ready: ready(seen, d, done), Authorized: seen.authority, Now: seen.now,
	})
	result := r.again(seen.key(), d, done)
	if equality.Semantic.DeepEqual(before.Status, after.Status) {
		r.made.forget(seen.key())
		r.announceRuns(ctx, seen, done)
		return result, nil
	}
	err := r.client.Status().Patch(ctx, after, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err == nil && after.ResourceVersion != before.ResourceVersion {
		r.behind.Wrote(seen.key(), before.ResourceVersion)
	}
	// Runs that were made are there, whether that was recorded or not: the next pass does not find them new.
	r.announceRuns(ctx, seen, done)
	switch {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: conflictRetry}, nil
	case apierrors.IsNotFound(err):
		return ctrl.Result{}, nil
	case err != nil:
		return ctrl.Result{}, fmt.Errorf("recording the status of DbtSchedule %s: %w", seen.key(), err)
	}
	r.made.forget(seen.key())
	d.ticks = ticks
	r.announce(ctx, before, after, d)
	return result, nil
}

// settledOnly leaves of a decision what was carried out: when a run could not be made, the cursor must not pass its tick.
// Ticks that are missed are older than the first slot, so they are settled in any case.
func settledOnly(d schedule.Decision, seen *observed, done outcome) schedule.Decision {
	d.Missed = slices.Clone(d.Missed)
	if done.missed > 0 {
		d.Missed = append(d.Missed, schedule.Missed{Count: done.missed, Why: schedule.MissedNameTaken})
		d.LastMissed = done.lastMissed
	}
	if d.Ticking == nil && seen.schedule.Spec.Schedule != "" {
		d.Ticking = seen.schedule.Status.Ticking
	}
	return d
}

// announce tells of what changed, once it is recorded.
func (r *Reconciler) announce(ctx context.Context, before, after *v1alpha1.DbtSchedule, d decision) {
	log, missed := ctrl.LoggerFrom(ctx), d.ticks.Missed
	for _, m := range missed {
		switch m.Why {
		case schedule.MissedForbid, schedule.MissedReplace:
			r.metrics.Skipped(m.Why, m.Count)
		default:
			r.metrics.Missed(m.Why, m.Count)
		}
		log.Info("ticks have no run", "count", m.Count, "reason", m.Why)
	}
	r.missedEvent(after, missed)
	if d.project.Action == schedule.Skip {
		log.Info("change of the project has no run", "reason", schedule.MissedDenied)
	}
	for _, t := range transitions(before, after) {
		log.Info("schedule transition", "condition", t.Type, "status", t.Status, "reason", t.Reason, "message", t.Message)
		r.conditionEvent(after, t)
	}
}

// announceRuns tells of the runs that were made and stopped.
func (r *Reconciler) announceRuns(ctx context.Context, seen *observed, done outcome) {
	log := ctrl.LoggerFrom(ctx)
	for _, run := range done.cancelled {
		r.cancelledEvent(seen.schedule, run)
	}
	for _, run := range done.made {
		trigger := run.Spec.Trigger
		r.metrics.Created(string(trigger.Type))
		log.Info("run created", "run", run.Name, "trigger", trigger.Type, "scheduledTime", trigger.ScheduledTime, "requester", requester(run.Spec.RequestedBy))
		r.createdEvent(seen.schedule, run)
	}
}
