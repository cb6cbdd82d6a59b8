package dbtrun

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/text"
)

// once are transitions that get an event: each is announced on its first occurrence only, so that a run has at most six
// events however often its pods are lost: Queued, Starting, Running, Retrying, Cancelling, and its end.
var once = map[string]func(before *v1alpha1.DbtRun) bool{
	v1alpha1.ReasonQueued:     func(b *v1alpha1.DbtRun) bool { return b.Status.Job == nil },
	v1alpha1.ReasonStarting:   func(b *v1alpha1.DbtRun) bool { return len(b.Status.Attempts) == 0 },
	v1alpha1.ReasonRunning:    func(b *v1alpha1.DbtRun) bool { return b.Status.StartTime == nil },
	v1alpha1.ReasonRetrying:   func(b *v1alpha1.DbtRun) bool { return len(b.Status.Attempts) <= 1 },
	v1alpha1.ReasonCancelling: func(*v1alpha1.DbtRun) bool { return true },
}

// event records a transition as a Kubernetes event on the run.
func (r *Reconciler) event(before, after *v1alpha1.DbtRun, was, is string) {
	kind := corev1.EventTypeNormal
	if after.Status.Phase.Finished() {
		if before.Status.Phase.Finished() {
			return
		}
		if after.Status.Phase == v1alpha1.PhaseFailed {
			kind = corev1.EventTypeWarning
		}
	} else {
		first, known := once[is]
		if !known || !first(before) || is == v1alpha1.ReasonQueued && slices.Contains([]string{v1alpha1.ReasonPending, v1alpha1.ReasonSuspended}, was) {
			return
		}
		if is == v1alpha1.ReasonRetrying {
			kind = corev1.EventTypeWarning
		}
	}
	message := after.Status.Message
	if who := requester(after); who != "" && is == v1alpha1.ReasonStarting {
		message = "Requested by " + who + ". " + message
	}
	r.recorder.Eventf(after, nil, kind, is, action(is), "%s", message)
}

// requester is the name of who asked for a run, cut to what fits into a message; empty when that is not known.
func requester(run *v1alpha1.DbtRun) string {
	if run.Spec.RequestedBy == nil {
		return ""
	}
	return text.Cut(run.Spec.RequestedBy.Username, 256)
}

// action names what the operator did, as events.k8s.io asks.
func action(reason string) string {
	switch reason {
	case v1alpha1.ReasonStarting:
		return "CreateJob"
	case v1alpha1.ReasonCancelling:
		return "StopJob"
	case v1alpha1.ReasonQueued, v1alpha1.ReasonRejected:
		return "CheckConcurrency"
	default:
		return "FollowJob"
	}
}
