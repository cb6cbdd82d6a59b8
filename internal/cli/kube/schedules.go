package kube

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Schedule returns a DbtSchedule.
func (c *Cluster) Schedule(ctx context.Context, key types.NamespacedName) (*v1alpha1.DbtSchedule, error) {
	s := &v1alpha1.DbtSchedule{}
	if err := c.client.Get(ctx, key, s); err != nil {
		return nil, Explain(err, onOwn("get", Schedules, key.Namespace, key.Name))
	}
	typed(s)
	return s, nil
}

// SetBackfill gives a DbtSchedule another backfill, or none, and returns it as it is then. It fails if the schedule was
// changed since it was read.
func (c *Cluster) SetBackfill(ctx context.Context, s *v1alpha1.DbtSchedule, to *v1alpha1.Backfill, dry bool) (*v1alpha1.DbtSchedule, error) {
	changed := s.DeepCopy()
	changed.Spec.Backfill = to
	patch := client.MergeFromWithOptions(s, client.MergeFromWithOptimisticLock{})
	if err := c.client.Patch(ctx, changed, patch, patchOptions(dry)...); err != nil {
		return nil, Explain(err, onOwn("patch", Schedules, s.Namespace, s.Name))
	}
	typed(changed)
	return changed, nil
}

// Names returns the names of the objects of a resource in a namespace, sorted: what a shell completes.
func (c *Cluster) Names(ctx context.Context, resource, namespace string) ([]string, error) {
	var list client.ObjectList
	var names func() []string
	switch resource {
	case Runs:
		l := &v1alpha1.DbtRunList{}
		list, names = l, func() []string { return namesOf(l.Items, func(o v1alpha1.DbtRun) string { return o.Name }) }
	case Schedules:
		l := &v1alpha1.DbtScheduleList{}
		list, names = l, func() []string { return namesOf(l.Items, func(o v1alpha1.DbtSchedule) string { return o.Name }) }
	default:
		l := &v1alpha1.DbtProjectList{}
		list, names = l, func() []string { return namesOf(l.Items, func(o v1alpha1.DbtProject) string { return o.Name }) }
	}
	if err := c.client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, Explain(err, onOwn("list", resource, namespace, ""))
	}
	return names(), nil
}

func namesOf[T any](items []T, name func(T) string) []string {
	out := make([]string, 0, len(items))
	for _, item := range items {
		out = append(out, name(item))
	}
	slices.Sort(out)
	return out
}
