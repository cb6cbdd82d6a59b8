package plane

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Follow watches the objects of a list's kind in Namespace from now on. The API server ends the watch of a client that is slow
// to read, as a benchmark may be on a machine that all share; this one then goes on where it was.
func (p *Plane) Follow(ctx context.Context, list client.ObjectList) (watch.Interface, error) {
	if err := p.List(ctx, list, client.InNamespace(Namespace)); err != nil {
		return nil, err
	}
	return watchtools.NewRetryWatcherWithContext(ctx, list.GetResourceVersion(), &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			w, err := p.Watch(ctx, list, client.InNamespace(Namespace), &client.ListOptions{Raw: &o})
			if err != nil {
				return nil, fmt.Errorf("watching %T: %w", list, err)
			}
			return w, nil
		},
	})
}
