package controller

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Scope is what a manager works on, and so what its cache holds.
type Scope struct {
	// Namespaces to work in; none means all.
	Namespaces []string
	// Shard chooses DbtRuns and DbtSchedules by their labels, and the Jobs and pods that carry the same. The zero value
	// chooses all.
	Shard Shard
	// Keeps says that there is a collector: then an ended run is settled only when its files are stored.
	Keeps bool
}

// CacheOptions returns what the manager's cache holds: the operator's own kinds, and of Jobs and pods only those the
// operator made, without what it never reads. No other kind may be cached; Secrets and ConfigMaps least of all.
// DbtProjects are the same for all shards. By now it is told which runs have ended so long ago that nothing more comes of them.
//
// Jobs and pods that succeeded are left to the API server where there is a collector, which has heard all that they had to
// say: they are most of what a cluster keeps of runs. Kubernetes' scheduler watches by such a selector, too; what leaves it
// is deleted for whoever watches.
func CacheOptions(scope Scope, now func() time.Time) cache.Options {
	shard := scope.Shard.Selector()
	ours := shard.Add(*labelEquals(v1alpha1.LabelManagedBy, v1alpha1.ManagedBy))
	jobs, pods := cache.ByObject{Label: ours, Transform: slimJob}, cache.ByObject{Label: ours, Transform: slimPod}
	if scope.Keeps {
		jobs.Field = fields.OneTermNotEqualSelector("status.successful", "1")
		pods.Field = fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded))
	}
	run := slimRun(scope.Keeps, now)
	opts := cache.Options{
		NewInformer:                 newInformer(run),
		DefaultTransform:            cache.TransformStripManagedFields(),
		ReaderFailOnMissingInformer: true,
		ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.DbtRun{}:      {Label: shard, Transform: run},
			&v1alpha1.DbtProject{}:  {},
			&v1alpha1.DbtSchedule{}: {Label: shard, Transform: slimSchedule},
			&batchv1.Job{}:          jobs,
			&corev1.Pod{}:           pods,
		},
	}
	for _, ns := range scope.Namespaces {
		if opts.DefaultNamespaces == nil {
			opts.DefaultNamespaces = map[string]cache.Config{}
		}
		opts.DefaultNamespaces[ns] = cache.Config{}
	}
	return opts
}

func labelEquals(key, value string) *labels.Requirement {
	r, err := labels.NewRequirement(key, "=", []string{value})
	if err != nil {
		panic(err) // key and value are the operator's own
	}
	return r
}
