package controller

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// pageSize is how many DbtRuns a page of the first list has. Of runs of a small project it is some 3 MB, which Go's HTTP/2 client
// takes before anybody reads it (4 MB), so that ReadAhead has the whole next page while one is decoded.
const pageSize = 250

// newInformer returns an informer that lists DbtRuns page by page.
//
// client-go would ask for them as a watch's first events (WatchList), which it decodes in one and a half times the time. As one list
// they would be in memory as they came, four times what is kept of them. docs/performance.md has the figures.
func newInformer(slim toolscache.TransformFunc) func(toolscache.ListerWatcher, runtime.Object, time.Duration, toolscache.Indexers) toolscache.SharedIndexInformer {
	return func(lw toolscache.ListerWatcher, of runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
		whole, ok := lw.(*toolscache.ListWatch)
		if _, runs := of.(*v1alpha1.DbtRun); runs && ok {
			lw = pages{whole, slim}
		}
		return toolscache.NewSharedIndexInformer(lw, of, resync, indexers)
	}
}

// pages lists DbtRuns page by page, and makes those of a page slim before it asks for the next.
type pages struct {
	*toolscache.ListWatch
	slim toolscache.TransformFunc
}

// IsWatchListSemanticsUnSupported has the reflector list first. https://pkg.go.dev/k8s.io/client-go/util/watchlist
func (pages) IsWatchListSemanticsUnSupported() bool { return true }

// ListWithContext returns all DbtRuns as they are now, which is never older than what options ask for.
func (p pages) ListWithContext(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	// Any version given has the API server answer without pages.
	options.ResourceVersion, options.ResourceVersionMatch, options.Limit, options.Continue = "", "", pageSize, ""
	all := &v1alpha1.DbtRunList{}
	for {
		answer, err := p.ListWatch.ListWithContext(ctx, options)
		if err != nil {
			return nil, err
		}
		page, ok := answer.(*v1alpha1.DbtRunList)
		if !ok {
			return nil, fmt.Errorf("listing DbtRuns: got %T", answer)
		}
		for i := range page.Items {
			if _, err := p.slim(&page.Items[i]); err != nil {
				return nil, err
			}
		}
		if all.Items == nil && page.RemainingItemCount != nil {
			all.Items = make([]v1alpha1.DbtRun, 0, int64(len(page.Items))+*page.RemainingItemCount)
		}
		all.Items = append(all.Items, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			all.ListMeta = page.ListMeta
			return all, nil
		}
	}
}
