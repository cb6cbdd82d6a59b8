package dbtrun

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/lifecycle"
	"github.com/dbt-operator/dbt-operator/internal/runstatus"
)

// conflictRetry is when a run whose status somebody else changed is looked at again, should no watch event bring it.
const conflictRetry = time.Second

// record writes the run's status with one patch, and only if it changed; then, on a transition, it says so in the log,
// in an event and in the metrics.
func (r *Reconciler) record(ctx context.Context, seen *observed, d lifecycle.Decision) (ctrl.Result, error) {
	result := ctrl.Result{RequeueAfter: soonest(d.Again, resultsAgain(seen.Run, seen.Now))}
	if d.Step == lifecycle.DeleteRun {
		return result, nil
	}
	before := seen.Run
	after := before.DeepCopy()
	after.Status = runstatus.Compute(runstatus.Input{
		Run: before, Resolved: seen.Resolved, Job: seen.Job, Pods: seen.Pods, Reports: seen.Reports,
		Keeps: seen.keeps, Kept: seen.Kept, KeptErr: seen.keptErr, Truth: d.Truth, Phase: d.Phase, Now: seen.Now,
	})
	if after.Status.Phase.Finished() {
		r.metrics.Gone(client.ObjectKeyFromObject(before).String())
	} else {
		r.metrics.Going(client.ObjectKeyFromObject(before).String(), before.Namespace, after.Status.Project.Name, string(after.Status.Phase), before.CreationTimestamp.Time)
	}
	if equality.Semantic.DeepEqual(before.Status, after.Status) {
		return result, nil
	}
	if !after.Status.Phase.Finished() && equality.Semantic.DeepEqual(withoutProgress(before.Status), withoutProgress(after.Status)) {
		if left := r.pace.Left(client.ObjectKeyFromObject(before), seen.Now); left > 0 {
			return ctrl.Result{RequeueAfter: soonest(d.Again, left)}, nil
		}
		r.pace.Wrote(client.ObjectKeyFromObject(before), seen.Now)
	}
	err := r.client.Status().Patch(ctx, after, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	switch {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: conflictRetry}, nil
	case apierrors.IsNotFound(err):
		return ctrl.Result{}, nil
	case err != nil:
		return ctrl.Result{}, fmt.Errorf("recording the status of DbtRun %s/%s: %w", before.Namespace, before.Name, err)
	}
	if after.ResourceVersion != before.ResourceVersion {
		r.behind.Wrote(client.ObjectKeyFromObject(before), before.ResourceVersion)
	}
	r.announce(ctx, before, after)
	return ctrl.Result{RequeueAfter: soonest(d.Again, resultsAgain(after, seen.Now))}, nil
}

// soonest returns the shorter of two waits, of which 0 is never.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// announce tells of a transition, once it is recorded.
func (r *Reconciler) announce(ctx context.Context, before, after *v1alpha1.DbtRun) {
	_, was := conditions.Succeeded(before.Status.Conditions)
	_, is := conditions.Succeeded(after.Status.Conditions)
	if was == is {
		return
	}
	log := ctrl.LoggerFrom(ctx)
	log.Info("run transition", "project", after.Status.Project.Name, "phase", after.Status.Phase, "reason", is, "from", was, "message", after.Status.Message, "requester", requester(after))
	r.event(before, after, was, is)
	r.count(before, after, is)
}

func (r *Reconciler) count(before, after *v1alpha1.DbtRun, reason string) {
	s := after.Status
	if before.Status.StartTime == nil && s.StartTime != nil {
		r.metrics.StartDelay(s.StartTime.Sub(after.CreationTimestamp.Time))
	}
	if !s.Phase.Finished() || before.Status.Phase.Finished() {
		return
	}
	r.metrics.Finished(after.Namespace, s.Project.Name, string(s.Phase), reason)
	if s.DurationSeconds != nil {
		r.metrics.Duration(string(s.Phase), time.Duration(*s.DurationSeconds)*time.Second)
	}
	if res := s.Results; res != nil {
		r.metrics.Nodes("success", res.Success)
		r.metrics.Nodes("warn", res.Warn)
		r.metrics.Nodes("fail", res.Fail)
		r.metrics.Nodes("error", res.Error)
		r.metrics.Nodes("skipped", res.Skipped)
		r.metrics.Nodes("no-op", res.NoOp)
		r.metrics.Nodes("reused", res.Reused)
	}
}
