package collector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/collector/access"
	"github.com/dbt-operator/dbt-operator/internal/collector/caches"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// serveCache gives a cache of the project that the attempt's run is of, or keeps one.
func (c *Collector) serveCache(w http.ResponseWriter, q podRequest) error {
	run := q.attempt.Run
	place, err := c.cachePlace(q.Context(), run)
	if err != nil {
		return err
	}
	if q.Method == http.MethodPut {
		return c.putCache(w, q, place)
	}
	ctx, cancel := context.WithCancel(q.Context())
	defer cancel()
	pace := c.paced(w, c.limits.slowestOut, cancel)
	defer pace.end()
	in, a, err := caches.Get(ctx, c.config.Store, place, q.cache)
	if errors.Is(err, store.ErrNotFound) {
		return notFound("DbtProject %s/%s has no cache %s", run.Namespace, run.Spec.ProjectRef.Name, q.cache)
	}
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	w.Header().Set("Content-Type", "application/gzip")
	announce(w, journal.Artifact{Name: q.cache, SHA256: a.SHA256, Bytes: a.Bytes})
	_, err = io.Copy(&slowWriter{pace, w}, in)
	return err
}

// putCache keeps a cache. A run of a revision of its own writes none: what it fetched is not the project's source.
func (c *Collector) putCache(w http.ResponseWriter, q podRequest, place caches.Place) error {
	run := q.attempt.Run
	if run.Spec.Revision != "" {
		return &statusError{http.StatusConflict, fmt.Sprintf("DbtRun %s/%s has a spec.revision: the caches of a project are written by runs of its own source alone", run.Namespace, run.Name)}
	}
	made, err := c.take(w, q, "cache", caches.MaxBytes, func(ctx context.Context, digest string, body io.Reader) (journal.Artifact, error) {
		if _, err := c.heard(ctx, q); err != nil {
			return journal.Artifact{}, err
		}
		a, err := caches.Put(ctx, c.config.Store, place, q.cache, digest, body)
		return journal.Artifact{Name: q.cache, SHA256: a.SHA256, Bytes: a.Bytes}, err
	})
	if err != nil {
		return err
	}
	c.reply(w, http.StatusOK, made)
	return nil
}

// cachePlace returns where the caches of a run's project are: of the project and the spec that the run was made of, and only
// while the project still has that one. A project that was made again under its name begins with generation 1 again.
func (c *Collector) cachePlace(ctx context.Context, run *v1alpha1.DbtRun) (caches.Place, error) {
	if run.Spec.ProjectRef == nil {
		return caches.Place{}, notFound("DbtRun %s/%s has an inline project, of which no caches are kept", run.Namespace, run.Name)
	}
	project := &v1alpha1.DbtProject{}
	key := types.NamespacedName{Namespace: run.Namespace, Name: run.Spec.ProjectRef.Name}
	switch err := c.config.Cache.Get(ctx, key, project); {
	case apierrors.IsNotFound(err):
		return caches.Place{}, notFound("DbtProject %s is not there any more", key)
	case err != nil:
		return caches.Place{}, &access.Refusal{Kind: access.ErrLater, Message: fmt.Sprintf("DbtProject %s cannot be read from the cache now: try again", key)}
	}
	of := run.Status.Project
	switch {
	case of == nil, of.UID == "" && run.Status.Job == nil:
		return caches.Place{}, &access.Refusal{Kind: access.ErrLater, Message: fmt.Sprintf("the status of DbtRun %s/%s does not say yet what it was made of: try again", run.Namespace, run.Name)}
	case of.UID != project.UID:
		return caches.Place{}, notFound("DbtProject %s is not the one that DbtRun %s was made of: it has UID %s, the run is of %s", key, run.Name, project.UID, of.UID)
	case of.Name != project.Name || of.Generation != project.Generation:
		return caches.Place{}, notFound("DbtProject %s was changed since DbtRun %s was made of it: it has generation %d, the run is of %d", key, run.Name, project.Generation, of.Generation)
	}
	return caches.Place{Project: store.Project{Namespace: project.Namespace, UID: string(project.UID)}, Generation: project.Generation}, nil
}

// sweepProjects deletes the caches of projects that are gone.
func (c *Collector) sweepProjects(ctx context.Context, projects []v1alpha1.DbtProject) error {
	known := map[store.Project]bool{}
	for i := range projects {
		known[store.Project{Namespace: projects[i].Namespace, UID: string(projects[i].UID)}] = true
	}
	var gone []store.Project
	now := c.config.Clock.Now()
	err := c.config.Store.Projects(ctx, func(p store.Project, lastWrite time.Time) error {
		if c.ours(p.Namespace) && !known[p] && now.Sub(lastWrite) >= young {
			gone = append(gone, p)
		}
		return ctx.Err()
	})
	errs := []error{err}
	for _, p := range gone {
		errs = append(errs, c.deleteProject(ctx, p))
	}
	return errors.Join(errs...)
}

// deleteProject deletes the caches of a project that the cache does not know, if the API server does not know it either.
func (c *Collector) deleteProject(ctx context.Context, p store.Project) error {
	var list v1alpha1.DbtProjectList
	if err := c.config.Direct.List(ctx, &list, client.InNamespace(p.Namespace)); err != nil {
		return fmt.Errorf("listing the DbtProjects of namespace %s, before the caches of one are deleted: %w", p.Namespace, err)
	}
	if slices.ContainsFunc(list.Items, func(d v1alpha1.DbtProject) bool { return string(d.UID) == p.UID }) {
		return nil
	}
	if err := c.config.Store.DeleteProject(ctx, p); err != nil {
		return fmt.Errorf("deleting the caches of the DbtProject with UID %s in namespace %s: %w", p.UID, p.Namespace, err)
	}
	return nil
}
