package dbtrun

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/lifecycle"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
)

// act carries a decision out. It returns the decision to record, which is another one when the API server refused.
func (r *Reconciler) act(ctx context.Context, seen *observed, d lifecycle.Decision) (lifecycle.Decision, error) {
	key := client.ObjectKeyFromObject(seen.Run)
	r.queue(seen, d)
	switch d.Step {
	case lifecycle.CreateJob:
		return r.createJob(ctx, seen, d)
	case lifecycle.DeleteJob:
		err := r.client.Delete(ctx, seen.Job, client.PropagationPolicy(metav1.DeletePropagationForeground),
			client.Preconditions{UID: &seen.Job.UID})
		if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
			return d, fmt.Errorf("deleting Job %s of DbtRun %s: %w", seen.Job.Name, key, err)
		}
	case lifecycle.DeleteRun:
		err := r.client.Delete(ctx, seen.Run, client.PropagationPolicy(metav1.DeletePropagationBackground),
			client.Preconditions{UID: &seen.Run.UID, ResourceVersion: &seen.Run.ResourceVersion})
		if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
			return d, fmt.Errorf("deleting DbtRun %s at the end of its time to live: %w", key, err)
		}
	}
	return d, nil
}

// queue keeps the run's place among those that wait, gives the group back unless the run begins, and wakes whom that
// concerns.
func (r *Reconciler) queue(seen *observed, d lifecycle.Decision) {
	key := client.ObjectKeyFromObject(seen.Run)
	if d.Step == lifecycle.CreateJob {
		return
	}
	if seen.Job == nil || seen.cached {
		// Whoever looks at the group sees the Job, if there is one.
		r.groups.release(seen.group, seen.Run.UID)
	}
	if d.Truth.Reason != v1alpha1.ReasonQueued {
		r.forget(key)
		return
	}
	r.groups.wait(seen.group, key, seen.Run.CreationTimestamp.Time)
	if seen.Resolved.Policy == v1alpha1.ConcurrencyReplace {
		// They learn from this run's being there that they are to stop.
		r.wakeRuns(seen.others...)
	}
}

// forget takes a run out of its queue and wakes the next.
func (r *Reconciler) forget(run types.NamespacedName) {
	r.metrics.Gone(run.String())
	if id, waited := r.groups.unwait(run); waited {
		if next, ok := r.groups.next(id); ok {
			r.wakeRuns(next)
		}
	}
}

// createJob creates the run's Job. Its name is the lock: a Job that exists and is the run's own is success.
func (r *Reconciler) createJob(ctx context.Context, seen *observed, d lifecycle.Decision) (lifecycle.Decision, error) {
	key := client.ObjectKeyFromObject(seen.Run)
	options := r.job
	if r.results != nil {
		options.Collector = r.results.Endpoint()
	}
	job, err := runjob.Build(seen.Run, seen.Resolved, options)
	if err != nil {
		seen.Invalid = err
		r.groups.release(seen.group, seen.Run.UID)
		return lifecycle.Decide(seen.Input), nil
	}
	r.groups.began(seen.group, seen.Run.UID, job.Name)
	err = r.client.Create(ctx, job)
	switch {
	case err == nil:
		seen.Job = job
	case apierrors.IsAlreadyExists(err):
		if err := r.adopt(ctx, seen, job.Name); err != nil {
			return d, err
		}
		d = lifecycle.Decide(seen.Input)
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		seen.Refused, seen.Since = err.Error(), r.obstacles.since(key, jobIsRefused, seen.Now)
		r.groups.release(seen.group, seen.Run.UID)
		return lifecycle.Refused(seen.Input), nil
	default:
		// It may have been created all the same: the group stays taken until the next pass knows.
		return d, fmt.Errorf("creating Job %s of DbtRun %s: %w", job.Name, key, err)
	}
	r.forget(key)
	return d, nil
}

// adopt reads the Job that has the run's name from the API server and keeps it if the run controls it.
func (r *Reconciler) adopt(ctx context.Context, seen *observed, name string) error {
	job := &batchv1.Job{}
	key := types.NamespacedName{Namespace: seen.Run.Namespace, Name: name}
	if err := r.direct.Get(ctx, key, job); err != nil {
		return fmt.Errorf("reading Job %s, which exists: %w", key, err)
	}
	if metav1.IsControlledBy(job, seen.Run) {
		seen.Job = job
		return nil
	}
	seen.JobTaken = true
	r.groups.release(seen.group, seen.Run.UID)
	return nil
}
