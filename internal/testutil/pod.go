package testutil

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// PodWrapper builds a pod of a run.
type PodWrapper struct{ corev1.Pod }

// MakePod begins a pod that waits.
func MakePod(name string) *PodWrapper {
	return &PodWrapper{corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status:     corev1.PodStatus{Phase: corev1.PodPending},
	}}
}

// Obj returns a copy of the pod.
func (w *PodWrapper) Obj() *corev1.Pod { return w.DeepCopy() }

// Created sets when the pod was made.
func (w *PodWrapper) Created(at time.Time) *PodWrapper {
	w.CreationTimestamp = metav1.NewTime(at)
	return w
}

// Deleted says that the pod is being deleted.
func (w *PodWrapper) Deleted(at time.Time) *PodWrapper {
	w.DeletionTimestamp = &metav1.Time{Time: at}
	return w
}

// Node sets the node.
func (w *PodWrapper) Node(name string) *PodWrapper {
	w.Spec.NodeName = name
	return w
}

// Waits sets why dbt's container waits.
func (w *PodWrapper) Waits(reason, message string) *PodWrapper {
	w.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "dbt", Image: "dbt:1", State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message},
	}}}
	return w
}

// Unschedulable says that no node fits.
func (w *PodWrapper) Unschedulable(message string) *PodWrapper {
	w.Status.Conditions = append(w.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message,
	})
	return w
}

// Runs says that dbt's container runs.
func (w *PodWrapper) Runs(since time.Time) *PodWrapper {
	w.Status.Phase = corev1.PodRunning
	w.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "dbt", ImageID: "dbt@sha256:1", State: corev1.ContainerState{
		Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(since)},
	}}}
	return w
}

// Exits says that dbt's container ended, and the pod with it.
func (w *PodWrapper) Exits(code int32, reason string, at time.Time) *PodWrapper {
	w.Status.Phase = corev1.PodSucceeded
	if code != 0 {
		w.Status.Phase = corev1.PodFailed
	}
	w.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "dbt", ImageID: "dbt@sha256:1", State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, StartedAt: metav1.NewTime(at.Add(-time.Minute)), FinishedAt: metav1.NewTime(at)},
	}}}
	return w
}

// InitExits says that an init container ended the pod.
func (w *PodWrapper) InitExits(name string, code int32, message string) *PodWrapper {
	w.Status.Phase = corev1.PodFailed
	w.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: name, State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error", Message: message},
	}}}
	return w
}

// Says sets the termination message of dbt's container, which has ended.
func (w *PodWrapper) Says(message string) *PodWrapper {
	w.Status.ContainerStatuses[0].State.Terminated.Message = message
	return w
}

// Because sets the pod's own reason and message, as for an eviction.
func (w *PodWrapper) Because(reason, message string) *PodWrapper {
	w.Status.Reason, w.Status.Message = reason, message
	return w
}

// Disrupted sets the condition DisruptionTarget.
func (w *PodWrapper) Disrupted(message string) *PodWrapper {
	w.Status.Conditions = append(w.Status.Conditions, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI", Message: message,
	})
	return w
}

// JobWrapper builds the Job of a run.
type JobWrapper struct{ batchv1.Job }

// MakeJob begins a Job.
func MakeJob(name, uid string) *JobWrapper {
	return &JobWrapper{batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Name: name, UID: types.UID(uid), Labels: map[string]string{}, Annotations: map[string]string{},
	}}}
}

// Obj returns a copy of the Job.
func (w *JobWrapper) Obj() *batchv1.Job { return w.DeepCopy() }

// Created sets when the Job was made.
func (w *JobWrapper) Created(at time.Time) *JobWrapper {
	w.CreationTimestamp = metav1.NewTime(at)
	return w
}

// Started sets when the Job controller began.
func (w *JobWrapper) Started(at time.Time) *JobWrapper {
	w.Status.StartTime = &metav1.Time{Time: at}
	return w
}

// Deleted says that the Job is being deleted.
func (w *JobWrapper) Deleted(at time.Time) *JobWrapper {
	w.DeletionTimestamp = &metav1.Time{Time: at}
	return w
}

// Annotate sets an annotation.
func (w *JobWrapper) Annotate(key, value string) *JobWrapper {
	w.Annotations[key] = value
	return w
}

// Suspended says that a queue holds the Job.
func (w *JobWrapper) Suspended() *JobWrapper {
	w.Spec.Suspend = Ptr(true)
	return w
}

// Deadline sets activeDeadlineSeconds.
func (w *JobWrapper) Deadline(seconds int64) *JobWrapper {
	w.Spec.ActiveDeadlineSeconds = &seconds
	return w
}

// Has adds a condition that is true.
func (w *JobWrapper) Has(kind batchv1.JobConditionType, reason, message string) *JobWrapper {
	w.Status.Conditions = append(w.Status.Conditions, batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message})
	return w
}
