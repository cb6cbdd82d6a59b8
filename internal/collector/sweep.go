package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

const (
	// sweepEvery is how often the store is looked through, sweepFirst how soon the first time.
	sweepEvery = 30 * time.Minute
	sweepFirst = time.Minute
	// young is the age up to which nothing is deleted: what reports now may belong to a run that is not known here yet.
	young = time.Hour
)

// Sweeper returns the Runnable, for the leader only, that deletes what is kept too long and what belongs to no DbtRun.
func (c *Collector) Sweeper() manager.Runnable { return &sweeper{c} }

type sweeper struct{ *Collector }

// NeedLeaderElection says that one replica sweeps.
func (s *sweeper) NeedLeaderElection() bool { return true }

// Start sweeps again and again until ctx ends.
func (s *sweeper) Start(ctx context.Context) error {
	for wait := sweepFirst; ; wait = sweepEvery {
		timer := s.config.Clock.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C():
		}
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.config.Log.Error(err, "not everything in the collector's store could be looked after")
		}
	}
}

// ended is what is kept of a run that is over.
type ended struct {
	namespace, uid, project string
	end                     time.Time
}

// Sweep deletes once what is kept too long and what belongs to no DbtRun or DbtProject. What cannot be deleted does not keep it from the
// rest. The last good run of each target of a project stays as long as its DbtRun: it is the state of runs to come.
func (c *Collector) Sweep(ctx context.Context) error {
	var list v1alpha1.DbtRunList
	if err := c.config.Cache.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing DbtRuns: %w", err)
	}
	runs := map[store.Run]*v1alpha1.DbtRun{}
	for i := range list.Items {
		runs[store.Run{Namespace: list.Items[i].Namespace, UID: string(list.Items[i].UID)}] = &list.Items[i]
	}
	now := c.config.Clock.Now()
	var over []ended
	var errs []error
	err := c.config.Store.Runs(ctx, func(info store.RunInfo) error {
		if !c.ours(info.Run.Namespace) || now.Sub(info.LastWrite) < young {
			return ctx.Err()
		}
		run := runs[info.Run]
		switch {
		case run == nil:
			errs = append(errs, c.deleteOrphan(ctx, info.Run, now))
		case run.Status.Phase.Finished():
			over = append(over, endedRun(run, info))
		}
		return ctx.Err()
	})
	projects, listed := c.projects(ctx)
	if listed != nil {
		return errors.Join(append(errs, err, listed)...)
	}
	errs = append(errs, err, c.retain(ctx, over, states(projects), now), c.sweepProjects(ctx, projects))
	return errors.Join(errs...)
}

func (c *Collector) projects(ctx context.Context) ([]v1alpha1.DbtProject, error) {
	var list v1alpha1.DbtProjectList
	if err := c.config.Cache.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing DbtProjects: %w", err)
	}
	return list.Items, nil
}

// states returns the last good run of each target of each project.
func states(projects []v1alpha1.DbtProject) map[store.Run]bool {
	out := map[store.Run]bool{}
	for i := range projects {
		for _, good := range projects[i].Status.LastGood {
			out[store.Run{Namespace: projects[i].Namespace, UID: string(good.UID)}] = true
		}
	}
	return out
}

// ours reports whether the cache would know of a run in a namespace.
func (c *Collector) ours(namespace string) bool {
	return len(c.config.Namespaces) == 0 || slices.Contains(c.config.Namespaces, namespace)
}

func endedRun(run *v1alpha1.DbtRun, info store.RunInfo) ended {
	e := ended{namespace: info.Run.Namespace, uid: info.Run.UID, end: info.LastWrite, project: liveRun(run).Project}
	if at := run.Status.CompletionTime; at != nil {
		e.end = at.Time
	}
	return e
}

// retain deletes what is too old, and what is too many, but for those that are spared.
func (c *Collector) retain(ctx context.Context, over []ended, spared map[store.Run]bool, now time.Time) error {
	// The newest first; of two that ended at once always the same.
	slices.SortFunc(over, func(a, b ended) int { return cmp.Or(b.end.Compare(a.end), cmp.Compare(a.uid, b.uid)) })
	type group struct{ namespace, project string }
	seen := map[group]int{}
	var errs []error
	for _, e := range over {
		g := group{e.namespace, e.project}
		seen[g]++
		switch r := c.config.Retention; {
		case spared[store.Run{Namespace: e.namespace, UID: e.uid}]:
		case r.Age > 0 && now.Sub(e.end) > r.Age:
			errs = append(errs, c.delete(ctx, e.namespace, e.uid, deletedByAge))
		case r.Count > 0 && seen[g] > r.Count:
			errs = append(errs, c.delete(ctx, e.namespace, e.uid, deletedByCount))
		}
	}
	return errors.Join(errs...)
}

// deleteOrphan deletes what is kept of a run that the cache does not know, if the API server does not know it either.
func (c *Collector) deleteOrphan(ctx context.Context, id store.Run, now time.Time) error {
	meta, err := c.live.Meta(ctx, id.Namespace, id.UID)
	if err != nil {
		return err
	}
	if now.Sub(meta.Began) < young {
		return nil
	}
	gone, err := c.gone(ctx, id, meta.Run)
	if err != nil || !gone {
		return err
	}
	return c.delete(ctx, id.Namespace, id.UID, deletedOrphan)
}

// gone asks the API server whether there is no run with this UID. name is empty if nobody knows it.
func (c *Collector) gone(ctx context.Context, id store.Run, name string) (bool, error) {
	if name != "" {
		run := &v1alpha1.DbtRun{}
		err := c.config.Direct.Get(ctx, types.NamespacedName{Namespace: id.Namespace, Name: name}, run)
		if err != nil && !apierrors.IsNotFound(err) {
			return false, fmt.Errorf("reading DbtRun %s/%s, before what is kept of it is deleted: %w", id.Namespace, name, err)
		}
		return err != nil || string(run.UID) != id.UID, nil
	}
	var list v1alpha1.DbtRunList
	if err := c.config.Direct.List(ctx, &list, client.InNamespace(id.Namespace)); err != nil {
		return false, fmt.Errorf("listing the DbtRuns of namespace %s, before what is kept of one is deleted: %w", id.Namespace, err)
	}
	return !slices.ContainsFunc(list.Items, func(r v1alpha1.DbtRun) bool { return string(r.UID) == id.UID }), nil
}
