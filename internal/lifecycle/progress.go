package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/attempt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
	"github.com/dbt-operator/dbt-operator/internal/text"
)

const (
	// defaultStartTimeout stands in for a Job whose annotation was broken by someone.
	defaultStartTimeout = 15 * time.Minute
	// patience is how long a pod may take to start before Kubernetes' events are asked why.
	patience = 10 * time.Second
)

// progress says how far a run with a Job has come, and ends one that does not start.
func progress(in Input) Decision {
	if in.Job.Spec.Suspend != nil && *in.Job.Spec.Suspend {
		return unknown(v1alpha1.ReasonSuspended, "The Job is suspended: its queue has not admitted it yet.")
	}
	if in.Job.DeletionTimestamp != nil {
		return unknown(v1alpha1.ReasonRunning, "The Job "+in.Job.Name+" is being deleted by someone else.")
	}
	pod := newestAlive(in.Pods)
	if pod != nil && (attempt.Running(pod) || begun(in, pod)) {
		return running(in, pod)
	}
	return starting(in, pod)
}

// begun reports whether the pod's runner has said that it is there, which may be known before kubelet says so.
func begun(in Input, pod *corev1.Pod) bool {
	return in.Kept != nil && slices.ContainsFunc(in.Kept.Attempts, func(a journal.AttemptState) bool { return a.Pod == pod.Name })
}

func running(in Input, pod *corev1.Pod) Decision {
	if lost := len(in.Pods) - 1; lost > 0 {
		return unknown(v1alpha1.ReasonRunning, fmt.Sprintf("dbt is running again in pod %s, after %s.", pod.Name, text.Count(lost, "lost pod")))
	}
	return unknown(v1alpha1.ReasonRunning, "dbt is running in pod "+pod.Name+".")
}

// starting explains a pod that is not there or does not run yet.
func starting(in Input, pod *corev1.Pod) Decision {
	since, limit := waitingSince(in, pod), startTimeout(in)
	left := since.Add(limit).Sub(in.Now)
	problem := obstacle(in, pod)
	if left <= 0 || problem.final {
		d := neverStarted(problem, limit)
		d.NeedNotes = problem.message == ""
		return d
	}
	d := unknown(v1alpha1.ReasonStarting, "The Job was created; its pod is about to start.")
	if last := newestEnded(in.Pods); last != nil {
		_, loss := attempt.Loss(last, in.Reports[last.Name])
		d = unknown(v1alpha1.ReasonRetrying, loss+" Another pod is started.")
	}
	d.Again = left
	if problem.message != "" {
		d.Truth.Message = problem.message
		return d
	}
	if waited := in.Now.Sub(since); waited < patience {
		d.Again = min(left, patience-waited)
	} else {
		d.NeedNotes = true
		d.Again = min(left, patience)
	}
	return d
}

func neverStarted(p problem, limit time.Duration) Decision {
	what := p.message
	if what == "" {
		what = "Its pod did not start, and Kubernetes does not say why."
	}
	if p.image {
		return failed(v1alpha1.ReasonImagePullFailed, what)
	}
	return failed(v1alpha1.ReasonStartTimeout, fmt.Sprintf("Not started within startTimeoutSeconds of %d. %s", int64(limit.Seconds()), what))
}

// waitingSince returns the time from which the start timeout counts: the pod's creation, else the end of the last pod or the
// Job's start, whichever was later. A Job that a queue has just let go starts when the Job controller says so, which
// has it suspended a moment longer than its spec; until then it has waited for nothing but its queue.
func waitingSince(in Input, pod *corev1.Pod) time.Time {
	if pod != nil {
		return pod.CreationTimestamp.Time
	}
	if _, suspended := jobCondition(in.Job, batchv1.JobSuspended); suspended {
		return in.Now
	}
	since := in.Job.CreationTimestamp.Time
	if t := in.Job.Status.StartTime; t != nil {
		since = t.Time
	}
	if last := newestEnded(in.Pods); last != nil && endOf(last).After(since) {
		return endOf(last)
	}
	return since
}

// endOf returns when a pod that has ended did, or when it was made if it does not say.
func endOf(pod *corev1.Pod) time.Time {
	if t := attempt.Terminated(pod); t != nil && !t.FinishedAt.IsZero() {
		return t.FinishedAt.Time
	}
	return pod.CreationTimestamp.Time
}

func startTimeout(in Input) time.Duration {
	if limit, ok := runjob.Annotated(in.Job, v1alpha1.AnnotationStartTimeout, 32); ok && limit > 0 {
		return time.Duration(limit) * time.Second
	}
	return defaultStartTimeout
}

// problem is what keeps a pod from starting.
type problem struct {
	message string
	// image says that an image cannot be pulled.
	image bool
	// final says that waiting will not help.
	final bool
}

func obstacle(in Input, pod *corev1.Pod) problem {
	if pod != nil {
		if p := unschedulable(pod); p.message != "" {
			return p
		}
		if p := containerWaits(pod); p.message != "" {
			return p
		}
	}
	if len(in.Notes) > 0 {
		return problem{message: text.Sentence("The pod does not start: " + in.Notes[0])}
	}
	return problem{}
}

func unschedulable(pod *corev1.Pod) problem {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return problem{message: text.Sentence("No node fits the pod: " + c.Message)}
		}
	}
	return problem{}
}

// containerWaits reads kubelet's reasons for a container that waits.
// https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/images/types.go
func containerWaits(pod *corev1.Pod) problem {
	statuses := append(append([]corev1.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...)
	for _, s := range statuses {
		w := s.State.Waiting
		if w == nil {
			continue
		}
		switch w.Reason {
		case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed":
			return problem{image: true, message: text.Sentence(fmt.Sprintf("Image %s cannot be pulled: %s", s.Image, text.FirstNonEmpty(w.Message, w.Reason)))}
		case "ErrImageNeverPull", "InvalidImageName":
			return problem{image: true, final: true, message: text.Sentence(fmt.Sprintf("Image %s cannot be used: %s", s.Image, text.FirstNonEmpty(w.Message, w.Reason)))}
		case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
			return problem{message: text.Sentence(fmt.Sprintf("Container %s cannot be made: %s", s.Name, strings.TrimSpace(w.Message)))}
		}
	}
	return problem{}
}

func newestAlive(pods []*corev1.Pod) *corev1.Pod {
	for i := len(pods) - 1; i >= 0; i-- {
		if !attempt.Ended(pods[i]) {
			return pods[i]
		}
	}
	return nil
}

func newestEnded(pods []*corev1.Pod) *corev1.Pod {
	for i := len(pods) - 1; i >= 0; i-- {
		if attempt.Ended(pods[i]) {
			return pods[i]
		}
	}
	return nil
}
