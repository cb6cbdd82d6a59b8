package lifecycle

import (
	"time"

	"github.com/dbt-operator/dbt-operator/internal/attempt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
)

// alreadyOver keeps the end of a run as it was recorded, stops a Job that outlived its run, and ends the run's time to
// live.
func alreadyOver(in Input) (Decision, bool) {
	c := meta.FindStatusCondition(in.Run.Status.Conditions, v1alpha1.ConditionSucceeded)
	if c == nil || c.Status == metav1.ConditionUnknown {
		return Decision{}, false
	}
	d := decision(Wait, c.Status, c.Reason, c.Message)
	if endedByOperator(c.Reason) && in.Job != nil && !JobFinished(in.Job) && in.Job.DeletionTimestamp == nil {
		d.Step = DeleteJob
		return d, true
	}
	if left, limited := timeToLive(in); limited {
		if t := in.Run.Spec.Trigger; t != nil && t.ScheduleRef != nil {
			left = max(left, c.LastTransitionTime.Add(told).Sub(in.Now))
		}
		if left > 0 {
			d.Again = left
		} else {
			d.Step = DeleteRun
		}
	}
	return d, true
}

// told is how long a run that a schedule made is kept at least, counted from when its end was recorded: the schedule has
// to hear of it, or it would make the run again.
const told = 30 * time.Second

// endedByOperator says that the run's end was the operator's decision, so that its Job may still be at work.
func endedByOperator(reason string) bool {
	switch reason {
	case v1alpha1.ReasonStartTimeout, v1alpha1.ReasonImagePullFailed, v1alpha1.ReasonCancelled:
		return true
	}
	return false
}

// timeToLive returns how long the run is still kept. The run's own field counts as it is now, the project's as it was
// when the run began, which its status remembers.
func timeToLive(in Input) (left time.Duration, limited bool) {
	end := in.Run.Status.CompletionTime
	if end == nil {
		return 0, false
	}
	var ttl time.Duration
	switch {
	case in.Run.Spec.TTLSecondsAfterFinished != nil:
		ttl = time.Duration(*in.Run.Spec.TTLSecondsAfterFinished) * time.Second
	case in.Run.Status.Job != nil:
		p := in.Run.Status.Project
		if p == nil || p.TTLSecondsAfterFinished == nil {
			return 0, false
		}
		ttl = time.Duration(*p.TTLSecondsAfterFinished) * time.Second
	case in.Resolved != nil && in.Resolved.TTL != nil:
		ttl = *in.Resolved.TTL
	default:
		return 0, false
	}
	return end.Add(ttl).Sub(in.Now), true
}

// mustStop carries out a cancel or a replacement. That the run is to stop is recorded before its Job is deleted, so
// that a crash in between is not taken for a lost Job; the run is over when its pods are.
func mustStop(in Input) (Decision, bool) {
	why, stop := stopReason(in)
	if !stop {
		return Decision{}, false
	}
	if in.Job == nil && !anyAlive(in.Pods) {
		return failed(v1alpha1.ReasonCancelled, why), true
	}
	d := unknown(v1alpha1.ReasonCancelling, why)
	if _, reason := conditions.Succeeded(in.Run.Status.Conditions); reason != v1alpha1.ReasonCancelling {
		// The record of it brings the run back by its watch; a pass at once would meet a cache that does not hold it yet.
		d.Again = time.Second
		return d, true
	}
	if in.Job != nil && in.Job.DeletionTimestamp == nil {
		d.Step = DeleteJob
		return d, true
	}
	if len(in.Pods) > 0 && !anyAlive(in.Pods) {
		return failed(v1alpha1.ReasonCancelled, why), true
	}
	return d, true
}

func stopReason(in Input) (string, bool) {
	switch {
	case in.Run.Spec.Cancel != nil && *in.Run.Spec.Cancel:
		return "Cancelled by spec.cancel.", true
	case in.Group.ReplacedBy != "":
		return "Replaced by run " + in.Group.ReplacedBy + " of the same concurrency group.", true
	}
	c := meta.FindStatusCondition(in.Run.Status.Conditions, v1alpha1.ConditionSucceeded)
	if c != nil && c.Reason == v1alpha1.ReasonCancelling {
		return c.Message, true
	}
	return "", false
}

// jobGone finds a run whose Job was deleted by someone else. It is not begun again: what it did in the warehouse is
// not known.
func jobGone(in Input) (Decision, bool) {
	if in.Run.Status.Job == nil || in.Job != nil {
		return Decision{}, false
	}
	if anyAlive(in.Pods) {
		return unknown(v1alpha1.ReasonRunning, "The Job "+in.Run.Status.Job.Name+" was deleted; its pod is being stopped."), true
	}
	return failed(v1alpha1.ReasonJobMissing,
		"The Job "+in.Run.Status.Job.Name+" was deleted by someone else before it ended. Create another DbtRun to run again."), true
}

// anyAlive reports whether a pod has not ended yet.
func anyAlive(pods []*corev1.Pod) bool {
	for _, p := range pods {
		if !attempt.Ended(p) {
			return true
		}
	}
	return false
}

// JobFinished reports whether the Job is Complete or Failed: all its pods have ended and none will follow.
func JobFinished(job *batchv1.Job) bool {
	_, ok := jobCondition(job, batchv1.JobComplete, batchv1.JobFailed)
	return ok
}

// JobSucceeded reports whether the Job's pod has ended well: the Job is complete, or about to be.
func JobSucceeded(job *batchv1.Job) bool {
	_, complete := jobCondition(job, batchv1.JobComplete)
	return complete || job.Status.Succeeded > 0
}

func jobCondition(job *batchv1.Job, kinds ...batchv1.JobConditionType) (batchv1.JobCondition, bool) {
	for _, kind := range kinds {
		for _, c := range job.Status.Conditions {
			if c.Type == kind && c.Status == corev1.ConditionTrue {
				return c, true
			}
		}
	}
	return batchv1.JobCondition{}, false
}
