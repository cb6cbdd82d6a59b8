package controller

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// CacheOptions returns what the manager's cache holds: the operator's own kinds, and of Jobs and pods only those the
// operator made, without what it never reads. No other kind may be cached; Secrets and ConfigMaps least of all.
// namespaces limits it; none means all.
func CacheOptions(namespaces []string) cache.Options {
	ours := labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})
	opts := cache.Options{
		DefaultTransform:            cache.TransformStripManagedFields(),
		ReaderFailOnMissingInformer: true,
		ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.DbtRun{}:      {},
			&v1alpha1.DbtProject{}:  {},
			&v1alpha1.DbtSchedule{}: {Transform: slimSchedule},
			&batchv1.Job{}:          {Label: ours, Transform: slimJob},
			&corev1.Pod{}:           {Label: ours, Transform: slimPod},
		},
	}
	for _, ns := range namespaces {
		if opts.DefaultNamespaces == nil {
			opts.DefaultNamespaces = map[string]cache.Config{}
		}
		opts.DefaultNamespaces[ns] = cache.Config{}
	}
	return opts
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
		job.ManagedFields = nil
		job.Spec.Template = corev1.PodTemplateSpec{}
	}
	return object, nil
}

// slimPod keeps a pod's metadata and status, and the name of its node.
func slimPod(object any) (any, error) {
	if pod, ok := object.(*corev1.Pod); ok {
		pod.ManagedFields = nil
		pod.Spec = corev1.PodSpec{NodeName: pod.Spec.NodeName}
	}
	return object, nil
}
