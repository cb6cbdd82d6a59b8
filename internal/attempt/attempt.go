// Package attempt reads what one pod of a run came to: whether it has ended, with which answer, and why it was lost.
// It knows pods, kubelet's words for them and the runner's report; it never knows a client, a clock, the Job or the
// other pods.
package attempt

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
	"github.com/dbt-operator/dbt-operator/internal/text"
)

// Ended reports whether nothing of the pod runs any more, or ever will.
func Ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// Running reports whether dbt's container has started.
func Running(pod *corev1.Pod) bool {
	s := Dbt(pod)
	return s != nil && (s.State.Running != nil || s.State.Terminated != nil)
}

// FinalCode returns the exit code of a container of the pod, init containers included, that ends the run; of one that
// is still there, the code that it will end with by what its runner reported.
func FinalCode(p *corev1.Pod, r *journal.Report) (code int32, container string, ok bool) {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if t := s.State.Terminated; t != nil && slices.Contains(journal.FinalExitCodes(), t.ExitCode) {
			return t.ExitCode, s.Name, true
		}
	}
	if _, exited := ExitCode(p); !exited && r != nil && r.Outcome.Final() {
		return int32(r.Outcome.ExitCode()), runjob.ContainerName, true
	}
	return 0, "", false
}

// Loss returns why a pod that gave no final answer ended, as a reason of the Succeeded condition and a sentence.
func Loss(p *corev1.Pod, r *journal.Report) (reason, message string) {
	t := Terminated(p)
	switch {
	case outOfMemory(t, r):
		return v1alpha1.ReasonOutOfMemory, fmt.Sprintf("Pod %s ran out of memory. Raise spec.pod.resources.limits.memory of the project, or lower its threads.", p.Name)
	case r != nil && r.Outcome == journal.SourceUnavailable:
		return v1alpha1.ReasonSourceFailed, text.Sentence(r.Message)
	case p.Status.Reason == "Evicted", disrupted(p) != "":
		return v1alpha1.ReasonPodLost, text.Sentence(fmt.Sprintf("Pod %s was evicted: %s", p.Name, text.FirstNonEmpty(p.Status.Message, disrupted(p))))
	case r != nil && r.Outcome == journal.Interrupted, p.DeletionTimestamp != nil:
		return v1alpha1.ReasonPodLost, fmt.Sprintf("Pod %s was stopped by someone else while it ran.", p.Name)
	case t != nil && t.Reason == "ContainerCannotRun", t != nil && t.Reason == "StartError":
		return v1alpha1.ReasonPodLost, text.Sentence(fmt.Sprintf("Pod %s could not start its container: %s", p.Name, t.Message))
	case t != nil:
		return v1alpha1.ReasonPodLost, text.Sentence(fmt.Sprintf("Pod %s ended with exit code %d and no report%s", p.Name, t.ExitCode, lastLine(t.Message, r)))
	default:
		return v1alpha1.ReasonPodLost, text.Sentence(fmt.Sprintf("Pod %s was lost: %s", p.Name, text.FirstNonEmpty(p.Status.Message, p.Status.Reason, "its node gave no account of it")))
	}
}

// Terminated returns the end of the container that ended the pod: dbt's, or an init container that failed.
func Terminated(p *corev1.Pod) *corev1.ContainerStateTerminated {
	for _, s := range p.Status.InitContainerStatuses {
		if t := s.State.Terminated; t != nil && t.ExitCode != 0 {
			return t
		}
	}
	if s := Dbt(p); s != nil {
		return s.State.Terminated
	}
	return nil
}

// ExitCode returns the exit code of dbt's container, when it has ended.
func ExitCode(p *corev1.Pod) (int32, bool) {
	if s := Dbt(p); s != nil && s.State.Terminated != nil {
		return s.State.Terminated.ExitCode, true
	}
	return 0, false
}

// Dbt returns the status of dbt's container, nil before kubelet made one.
func Dbt(p *corev1.Pod) *corev1.ContainerStatus {
	for i := range p.Status.ContainerStatuses {
		if p.Status.ContainerStatuses[i].Name == runjob.ContainerName {
			return &p.Status.ContainerStatuses[i]
		}
	}
	return nil
}

// disrupted returns why Kubernetes ended the pod, empty when it did not.
func disrupted(p *corev1.Pod) string {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return text.FirstNonEmpty(c.Message, c.Reason, "a disruption")
		}
	}
	return ""
}

// outOfMemory reports whether the kernel killed the container, or dbt alone, for lack of memory.
func outOfMemory(t *corev1.ContainerStateTerminated, r *journal.Report) bool {
	return t != nil && t.Reason == "OOMKilled" || r != nil && r.Outcome == journal.OutOfMemory
}

// lastLine returns the last line of a termination message that is a log tail and no report, for use at the end of a sentence.
func lastLine(tail string, r *journal.Report) string {
	tail = strings.TrimSpace(tail)
	if tail == "" || r != nil {
		return ""
	}
	if i := strings.LastIndexByte(tail, '\n'); i >= 0 {
		tail = tail[i+1:]
	}
	return "; its last line was: " + text.Clean(tail)
}

// Container names the container of a pod that a report is read from.
func Container(pod *corev1.Pod) *corev1.ContainerStatus {
	for i := range pod.Status.InitContainerStatuses {
		s := &pod.Status.InitContainerStatuses[i]
		if s.Name == runjob.PrepareContainerName && s.State.Terminated != nil && s.State.Terminated.ExitCode != 0 {
			return s
		}
	}
	return Dbt(pod)
}

// answered reports whether a runner said how the run ended.
func answered(r *journal.Report) bool {
	return r != nil && (r.Outcome == journal.Succeeded || r.Outcome.Final())
}

// Reason returns how an attempt ended, in one word; empty while it has not.
func Reason(p *corev1.Pod, r *journal.Report) string {
	t := Terminated(p)
	switch {
	case !Ended(p) && t == nil && !answered(r):
		return ""
	case answered(r):
		return string(r.Outcome)
	case t != nil && t.ExitCode == 0 && p.Status.Phase != corev1.PodFailed:
		return v1alpha1.ReasonSucceeded
	case p.Status.Reason == "Evicted", disrupted(p) != "":
		return "Evicted"
	case outOfMemory(t, r):
		return v1alpha1.ReasonOutOfMemory
	case p.DeletionTimestamp != nil:
		return "Deleted"
	case r != nil:
		return string(r.Outcome)
	default:
		return v1alpha1.ReasonPodLost
	}
}
