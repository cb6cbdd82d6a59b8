package kube

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

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
	return c.goOn(ctx, func(answered func()) (bool, error) { return false, c.followRuns(ctx, namespace, w, answered) })
}

// followRuns lists runs and watches them once. It calls answered when the list could be had.
func (c *Cluster) followRuns(ctx context.Context, namespace string, w Watcher, answered func()) error {
	var runs []v1alpha1.DbtRun
	version := ""
	err := pages(ctx, c, Runs, namespace, func(list *v1alpha1.DbtRunList) {
		runs, version = append(runs, list.Items...), list.ResourceVersion
	})
	if err != nil {
		return err
	}
	answered()
	if err := w.All(runs); err != nil {
		return stop(err)
	}
	events, err := c.client.Watch(ctx, &v1alpha1.DbtRunList{}, &client.ListOptions{
		Namespace: namespace, Raw: &metav1.ListOptions{ResourceVersion: version},
	})
	if err != nil {
		return Explain(err, onOwn("watch", Runs, namespace, ""))
	}
	defer events.Stop()
	for event := range events.ResultChan() {
		run, ok := event.Object.(*v1alpha1.DbtRun)
		if !ok {
			return nil // the API server has forgotten what came since, or closes
		}
		typed(run)
		tell := w.Changed
		if event.Type == watch.Deleted {
			tell = w.Gone
		}
		if err := tell(run); err != nil {
			return stop(err)
		}
	}
	return nil
}
