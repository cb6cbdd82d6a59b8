package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

const (
	// again is how long to wait before a watch that was cut off is begun again.
	again = time.Second
	// patience is how often in a row the API server may not answer.
	patience = 30
)

// Follow calls each with a DbtRun as it is now, and whenever it has changed, until each says that it is enough. A watch
// that is cut off is begun again.
func (c *Cluster) Follow(ctx context.Context, key types.NamespacedName, each func(*v1alpha1.DbtRun) (enough bool, err error)) error {
	return c.goOn(ctx, func(answered func()) (bool, error) {
		return c.watch(ctx, key, func(run *v1alpha1.DbtRun) (bool, error) {
			answered()
			return each(run)
		})
	})
}

// goOn calls once again and again, until it says that it is enough, the context ends, it fails for good, or the API server
// does not answer so often in a row; once calls answered whenever it does.
func (c *Cluster) goOn(ctx context.Context, once func(answered func()) (enough bool, err error)) error {
	for failed := 0; ; {
		enough, err := once(func() { failed = 0 })
		if enough || ctx.Err() != nil {
			return ctx.Err()
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

// passing reports whether it may be better in a moment.
func passing(err error) bool {
	var said *Explained
	return !errors.As(err, &said) && (apierrors.ReasonForError(err) == metav1.StatusReasonUnknown ||
		apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err) || apierrors.IsResourceExpired(err))
}

// watch reads the run and watches it once.
func (c *Cluster) watch(ctx context.Context, key types.NamespacedName, each func(*v1alpha1.DbtRun) (bool, error)) (enough bool, err error) {
	run, err := c.Run(ctx, key)
	if err != nil {
		return false, err
	}
	if enough, err := each(run); enough || err != nil {
		return enough, stop(err)
	}
	w, err := c.client.Watch(ctx, &v1alpha1.DbtRunList{}, &client.ListOptions{
		Namespace: key.Namespace,
		Raw:       &metav1.ListOptions{ResourceVersion: run.ResourceVersion, FieldSelector: "metadata.name=" + key.Name},
	})
	if err != nil {
		return false, Explain(err, onOwn("watch", Runs, key.Namespace, key.Name))
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		run, ok := event.Object.(*v1alpha1.DbtRun)
		switch {
		case event.Type == watch.Deleted:
			return false, &Explained{fmt.Sprintf("DbtRun %q was deleted while it was watched", key.Name), nil}
		case !ok:
			return false, nil
		}
		typed(run)
		if enough, err := each(run); enough || err != nil {
			return enough, stop(err)
		}
	}
	return false, nil
}

// stop keeps an error of whoever looks on from being taken for one of the API server.
func stop(err error) error {
	if err == nil {
		return nil
	}
	return &Explained{err.Error(), err}
}
