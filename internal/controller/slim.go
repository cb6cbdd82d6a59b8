package controller

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
)

// The transforms of the cache. They run outside the safety net of Reconcile, so they parse nothing, and what is no object
// of theirs, such as the mark of one that was deleted unseen, passes.

// slimRun drops what managers of fields manage and, of a run that is settled, what is for people alone: lineage, the end of
// the log, failures and the like. The controllers write statuses as differences from the cache, so what is dropped
// stays as it is. keeps says that there is a collector.
func slimRun(keeps bool) toolscache.TransformFunc {
	return func(object any) (any, error) {
		run, ok := object.(*v1alpha1.DbtRun)
		if !ok {
			return object, nil
		}
		slimMeta(&run.ObjectMeta)
		s := &run.Status
		if !conditions.Settled(s, keeps) {
			return object, nil
		}
		s.Progress, s.Results, s.Failures, s.Slowest, s.Commands, s.Artifacts, s.Log = nil, nil, nil, nil, nil, nil, nil
		s.Attempts = nil
		if s.Lineage != nil {
			s.Lineage = &v1alpha1.Lineage{Artifact: s.Lineage.Artifact}
		}
		return object, nil
	}
}

// slimSchedule drops what managers of fields manage, and keeps when they last did: a schedule's ticks count from its edit.
func slimSchedule(object any) (any, error) {
	if s, ok := object.(*v1alpha1.DbtSchedule); ok {
		for i := range s.ManagedFields {
			s.ManagedFields[i].FieldsV1 = nil
		}
	}
	return object, nil
}

// slimJob drops what is large and never read: a cached Job is then about a tenth of its size.
func slimJob(object any) (any, error) {
	if job, ok := object.(*batchv1.Job); ok {
		slimMeta(&job.ObjectMeta)
		job.Spec.Template, job.Spec.Selector, job.Spec.PodFailurePolicy = corev1.PodTemplateSpec{}, nil, nil
		job.Status.UncountedTerminatedPods = nil
	}
	return object, nil
}

// slimPod keeps a pod's metadata, the name of its node and its status; of one that has ended, of its status what is read of
// the end.
func slimPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	slimMeta(&pod.ObjectMeta)
	pod.Spec = corev1.PodSpec{NodeName: pod.Spec.NodeName}
	s := &pod.Status
	if s.Phase != corev1.PodSucceeded && s.Phase != corev1.PodFailed {
		return object, nil
	}
	pod.Status = corev1.PodStatus{Phase: s.Phase, Reason: s.Reason, Message: s.Message, InitContainerStatuses: slimContainers(s.InitContainerStatuses), ContainerStatuses: slimContainers(s.ContainerStatuses)}
	for _, c := range s.Conditions {
		if c.Type == corev1.DisruptionTarget {
			pod.Status.Conditions = append(pod.Status.Conditions, c)
		}
	}
	return object, nil
}

func slimContainers(list []corev1.ContainerStatus) []corev1.ContainerStatus {
	if len(list) == 0 {
		return nil
	}
	out := make([]corev1.ContainerStatus, 0, len(list))
	for _, c := range list {
		out = append(out, corev1.ContainerStatus{Name: c.Name, State: c.State, ImageID: c.ImageID})
	}
	return out
}

func slimMeta(m *metav1.ObjectMeta) {
	m.ManagedFields = nil
	delete(m.Annotations, corev1.LastAppliedConfigAnnotation)
}
