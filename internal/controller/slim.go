package controller

import (
	"strings"
	"time"
	"unique"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/lastgood"
)

// The transforms of the cache. They run outside the safety net of Reconcile, so they parse nothing, and what is no object
// of theirs, such as the mark of one that was deleted unseen, passes.

// slimRun drops what managers of fields manage and, of a run that is settled, what is for people alone: lineage, the end of
// the log, failures and the like. The controllers write statuses as differences from the cache, so what is dropped
// stays as it is. keeps says that there is a collector.
func slimRun(keeps bool, now func() time.Time) toolscache.TransformFunc {
	return func(object any) (any, error) {
		run, ok := object.(*v1alpha1.DbtRun)
		if !ok {
			return object, nil
		}
		run.Namespace, run.ManagedFields = unique.Make(run.Namespace).Value(), nil
		delete(run.Annotations, corev1.LastAppliedConfigAnnotation)
		s := &run.Status
		if !conditions.Settled(s, keeps, now()) {
			return object, nil
		}
		s.Progress, s.Results, s.Failures, s.Slowest, s.Commands, s.Log = nil, nil, nil, nil, nil, nil
		s.Artifacts = slimArtifacts(run)
		s.Attempts = nil
		if s.Lineage != nil {
			s.Lineage = &v1alpha1.Lineage{Artifact: s.Lineage.Artifact}
		}
		shareStrings(s)
		return object, nil
	}
}

// shareStrings has those strings of a status that are equal in many runs be in memory once.
func shareStrings(s *v1alpha1.DbtRunStatus) {
	once(&s.Message)
	for i := range s.Conditions {
		c := &s.Conditions[i]
		once(&c.Type, &c.Reason, &c.Message)
		once(&c.Status)
	}
	if p := s.Project; p != nil {
		once(&p.Name, &p.Target, &p.SourceDigest)
		once(&p.UID)
	}
	if r := s.Revision; r != nil {
		once(&r.Source, &r.Image, &r.Dbt, &r.Adapter)
	}
}

func once[T ~string](values ...*T) {
	for _, v := range values {
		*v = unique.Make(*v).Value()
	}
}

// slimArtifacts keeps of a good run's artifacts that which can be a state, with its digest.
func slimArtifacts(run *v1alpha1.DbtRun) []v1alpha1.Artifact {
	digest := lastgood.ManifestDigest(run)
	if digest == "" || !lastgood.Good(run) {
		return nil
	}
	return []v1alpha1.Artifact{{Name: lastgood.Manifest, Digest: strings.Clone(digest)}}
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

// slimJob keeps of a Job what is read of it: without its pods' template it is about a tenth of its size.
func slimJob(object any) (any, error) {
	job, ok := object.(*batchv1.Job)
	if !ok {
		return object, nil
	}
	slimChild(&job.ObjectMeta, v1alpha1.AnnotationProject, v1alpha1.AnnotationProjectGeneration, v1alpha1.AnnotationStartTimeout, v1alpha1.AnnotationTTL,
		v1alpha1.AnnotationProjectUID, v1alpha1.AnnotationTarget, v1alpha1.AnnotationSourceDigest, v1alpha1.AnnotationState)
	job.Spec = batchv1.JobSpec{ActiveDeadlineSeconds: job.Spec.ActiveDeadlineSeconds, Suspend: job.Spec.Suspend}
	job.Status = batchv1.JobStatus{Conditions: job.Status.Conditions, StartTime: job.Status.StartTime}
	return object, nil
}

// slimPod keeps of a pod its status and the name of its node; of one that has ended, of its status what is read of the end.
func slimPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	slimChild(&pod.ObjectMeta, v1alpha1.AnnotationRun)
	pod.Spec = corev1.PodSpec{NodeName: unique.Make(pod.Spec.NodeName).Value()}
	s := pod.Status
	if s.Phase != corev1.PodSucceeded && s.Phase != corev1.PodFailed {
		return object, nil
	}
	pod.Status = corev1.PodStatus{
		Phase: s.Phase, Reason: s.Reason, Message: s.Message,
		InitContainerStatuses: slimContainers(s.InitContainerStatuses), ContainerStatuses: slimContainers(s.ContainerStatuses),
	}
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
		out = append(out, corev1.ContainerStatus{Name: unique.Make(c.Name).Value(), State: c.State, ImageID: unique.Make(c.ImageID).Value()})
	}
	return out
}

// slimChild keeps of the metadata of a Job or pod who it is, whose it is, the labels that are read, and these annotations.
func slimChild(m *metav1.ObjectMeta, annotations ...string) {
	m.Labels = only(m.Labels, v1alpha1.LabelRunUID, v1alpha1.LabelGroup, v1alpha1.LabelShard)
	m.Annotations = only(m.Annotations, annotations...)
	m.Namespace = unique.Make(m.Namespace).Value()
	m.GenerateName, m.Finalizers, m.ManagedFields = "", nil, nil
	for i := range m.OwnerReferences {
		o := &m.OwnerReferences[i]
		o.APIVersion, o.Kind = unique.Make(o.APIVersion).Value(), unique.Make(o.Kind).Value()
	}
}

// only returns a map with some keys of another, nil when that has none of them.
func only(all map[string]string, keys ...string) map[string]string {
	var out map[string]string
	for _, key := range keys {
		if value, ok := all[key]; ok {
			if out == nil {
				out = map[string]string{}
			}
			out[key] = value
		}
	}
	return out
}
