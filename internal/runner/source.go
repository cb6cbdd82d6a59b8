package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// project is a fetched dbt project.
type project struct {
	// Dir is its folder.
	Dir string `json:"dir"`
	// Revision is what it is pinned to: a git commit, or "sha256:…" over a ConfigMap's files; empty for a baked one.
	Revision string `json:"revision,omitempty"`
}

// sourceError says why a project could not be had.
type sourceError struct {
	err error
	// passing says that asking again may help.
	passing bool
}

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

func refused(format string, args ...any) error { return &sourceError{err: fmt.Errorf(format, args...)} }

func unavailable(format string, args ...any) error {
	return &sourceError{err: fmt.Errorf(format, args...), passing: true}
}

// fetchAhead begins to bring a source that is the same whatever earlier pods of the run had, while the collector is asked about
// them. The returned function waits for its end.
func (r *Runner) fetchAhead() (wait func()) {
	src := r.plan.Source.ConfigMap
	if src == nil {
		return func() {}
	}
	r.mounted = sync.OnceValues(func() (project, error) {
		return fetchConfigMap(r.paths.ConfigMap, r.folders.project(), src.Name)
	})
	wait = func() { _, _ = r.mounted() } // fetch gets what it returns
	go wait()
	return wait
}

// fetch brings the project into the workspace, or finds what `prepare` brought.
func (r *Runner) fetch(ctx context.Context) (project, error) {
	src := r.plan.Source
	switch {
	case src.Git != nil && src.Git.Credentials:
		return r.prepared()
	case src.Git != nil:
		return r.fetchPinned(ctx, *src.Git)
	case src.ConfigMap != nil:
		return r.mounted()
	case src.Image != nil:
		return project{Dir: src.Image.Path}, nil
	}
	return project{}, errors.New("the plan names no source")
}

// fetchPinned fetches the commit that an earlier pod of the run had, or what g names when there was none, or when the
// remote does not give it any more.
func (r *Runner) fetchPinned(ctx context.Context, g plan.Git) (project, error) {
	commit := r.earlier.Source
	if !plumbing.IsHash(commit) || commit == g.Commit {
		return r.fetchGit(ctx, g)
	}
	exact := g
	exact.Branch, exact.Tag, exact.Ref, exact.Commit = "", "", "", commit
	p, err := r.fetchGit(ctx, exact)
	var source *sourceError
	if !errors.As(err, &source) || source.passing {
		return p, err
	}
	r.print.line("warn", "The commit that an earlier pod of this run had is gone: "+err.Error())
	for _, leftover := range []string{filepath.Join(r.folders.workspace, "git"), r.folders.project()} {
		if err := os.RemoveAll(leftover); err != nil {
			return project{}, unavailable("removing what a fetch left: %w", err)
		}
	}
	return r.fetchGit(ctx, g)
}

// prepared reads what the init container left.
func (r *Runner) prepared() (project, error) {
	var p project
	b, err := os.ReadFile(r.folders.fetched())
	if err != nil {
		return project{}, unavailable("reading what the container that fetches the source left: %w", err)
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return project{}, unavailable("reading what the container that fetches the source left: %w", err)
	}
	return p, nil
}

// check finds the dbt project in its folder. A folder of the workspace must not lead out of it by a symbolic link.
func (r *Runner) check(p project) error {
	kind := kindOf(r.plan.Source)
	if r.plan.Source.Image == nil && leadsOut(p.Dir, r.folders.workspace) {
		return refused("%s: %s leads out of the workspace by a symbolic link", kind, p.Dir)
	}
	_, err := os.Stat(filepath.Join(p.Dir, "dbt_project.yml"))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return refused("%s: found no dbt_project.yml in %s: name the folder of the dbt project", kind, p.Dir)
	case err != nil:
		return refused("%s: %w", kind, err)
	}
	return nil
}

// leadsOut reports whether dir, with its symbolic links followed, is outside the folder from. One that is not there
// leads nowhere.
func leadsOut(dir, from string) bool {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	from, err = filepath.EvalSymlinks(from)
	if err != nil {
		return true
	}
	rel, err := filepath.Rel(from, dir)
	return err != nil || !filepath.IsLocal(rel)
}

// kindOf names the field of a DbtProject that a source comes from.
func kindOf(s plan.Source) string {
	switch {
	case s.Git != nil:
		return "spec.source.git"
	case s.ConfigMap != nil:
		return "spec.source.configMap"
	default:
		return "spec.source.image"
	}
}
