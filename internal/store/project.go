package store

import (
	"context"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

// Owner is whose artifacts are kept: a Run or a Project.
type Owner = layout.Owner

// Project names what is kept of a project, from one run to the next. Its names follow the rule of Run's.
type Project = layout.Project

// Projects calls f with each project of which anything is kept and the time of its last write by the store's clock, in no
// certain order, and stops at the first error of f, which it returns as it is.
func (s *Store) Projects(ctx context.Context, f func(p Project, lastWrite time.Time) error) error {
	all, err := s.objects.list(ctx, layout.Projects)
	if err != nil {
		return failed(err, "listing projects")
	}
	last := map[Project]time.Time{}
	for _, o := range all {
		if p, ok := layout.ProjectOf(o.Key); ok && !o.Time.Before(last[p]) {
			last[p] = o.Time
		}
	}
	for p, at := range last {
		if err := f(p, at); err != nil {
			return err
		}
	}
	return nil
}

// DeleteProject deletes everything of a project. It may be called again, and for one of which nothing is kept.
func (s *Store) DeleteProject(ctx context.Context, p Project) error {
	if err := p.Check(); err != nil {
		return err
	}
	if err := s.objects.deleteAll(ctx, p.Prefix()); err != nil {
		return failed(err, "deleting project %s", p)
	}
	return nil
}
