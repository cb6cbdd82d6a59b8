package kube

import (
	"context"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// SchedulesIn returns the DbtSchedules of a namespace, of all if it is empty, by name.
func (c *Cluster) SchedulesIn(ctx context.Context, namespace string) ([]v1alpha1.DbtSchedule, error) {
	var list v1alpha1.DbtScheduleList
	if err := c.client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, Explain(err, onOwn("list", Schedules, namespace, ""))
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.DbtSchedule) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return list.Items, nil
}

// Watcher is told what becomes of DbtRuns.
type Watcher struct {
	// All is told of all that there are: at first, and whenever some changes may have been missed.
	All func(runs []v1alpha1.DbtRun) error
	// Changed is told of one that is new or has changed, Gone of one that was deleted.
	Changed func(run *v1alpha1.DbtRun) error
	Gone    func(run *v1alpha1.DbtRun) error
}

// FollowRuns tells of the DbtRuns of a namespace, of all if it is empty, until the context ends or the watcher fails. A watch
// that is cut off is begun again.
func (c *Cluster) FollowRuns(ctx context.Context, namespace string, w Watcher) error {
	for failed := 0; ; {
		began, err := c.followRuns(ctx, namespace, w)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if began {
			failed = 0
		}
		if failed++; err != nil && (!passing(err) || failed >= patience) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.clock.After(again):
		}
	}
}

// followRuns lists runs and watches them once. It reports whether the list could be had.
func (c *Cluster) followRuns(ctx context.Context, namespace string, w Watcher) (began bool, err error) {
	runs, version, err := c.runsAt(ctx, namespace)
	if err != nil {
		return false, err
	}
	if err := w.All(runs); err != nil {
		return true, stop(err)
	}
	events, err := c.client.Watch(ctx, &v1alpha1.DbtRunList{}, &client.ListOptions{
		Namespace: namespace, Raw: &metav1.ListOptions{ResourceVersion: version},
	})
	if err != nil {
		return true, Explain(err, onOwn("watch", Runs, namespace, ""))
	}
	defer events.Stop()
	for event := range events.ResultChan() {
		run, ok := event.Object.(*v1alpha1.DbtRun)
		if !ok {
			return true, nil // the API server has forgotten what came since, or closes
		}
		typed(run)
		tell := w.Changed
		if event.Type == watch.Deleted {
			tell = w.Gone
		}
		if err := tell(run); err != nil {
			return true, stop(err)
		}
	}
	return true, nil
}

// runsAt returns the runs of a namespace and the version of the list that they are of.
func (c *Cluster) runsAt(ctx context.Context, namespace string) (runs []v1alpha1.DbtRun, version string, err error) {
	for next := ""; ; {
		var list v1alpha1.DbtRunList
		if err := c.client.List(ctx, &list, client.InNamespace(namespace), client.Limit(page), client.Continue(next)); err != nil {
			return nil, "", Explain(err, onOwn("list", Runs, namespace, ""))
		}
		runs, version = append(runs, list.Items...), list.ResourceVersion
		if next = list.Continue; next == "" {
			return runs, version, nil
		}
	}
}
