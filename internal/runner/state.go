package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/ship"
)

// statePatience is how long a pod waits for the files of its state: a manifest may have 100 MB.
const statePatience = 5 * time.Minute

// stateDir returns the folder of the run's state, empty when it has none.
func (r *Runner) stateDir() string {
	if r.plan.State == nil {
		return ""
	}
	return r.folders.state()
}

// fetchState brings the files of the state that the plan names. A run that is to have a state does not run without.
func (r *Runner) fetchState(ctx context.Context) error {
	s := r.plan.State
	if s == nil {
		return nil
	}
	if r.collector == nil || !r.collector.reached {
		return unavailable("spec.state: the manifest of DbtRun %s cannot be had without the operator's collector", s.Run)
	}
	if err := errors.Join(os.RemoveAll(r.folders.state()), os.MkdirAll(r.folders.state(), 0o755)); err != nil {
		return unavailable("making the folder of the state: %w", err)
	}
	waiting, cancel := r.within(ctx, statePatience)
	defer cancel()
	for _, name := range []string{journal.StateManifest, journal.StateResults, journal.StateSources} {
		digest, err := r.collector.client.State(waiting, name, filepath.Join(r.folders.state(), name))
		switch {
		case ctx.Err() != nil:
			return &stopped{journal.Interrupted, "stopped before the first command"}
		case errors.Is(err, ship.ErrGone) && name != journal.StateManifest:
			// Not every run leaves them.
		case errors.Is(err, ship.ErrGone), errors.Is(err, ship.ErrRefused):
			return refused("spec.state: the manifest of DbtRun %s cannot be had: %w", s.Run, err)
		case err != nil:
			return unavailable("spec.state: %w", err)
		case name == journal.StateManifest && digest != s.Manifest:
			return refused("spec.state: the manifest of DbtRun %s has the digest %s, and %s was pinned", s.Run, digest, s.Manifest)
		}
	}
	r.print.line("info", fmt.Sprintf("The state is the manifest of DbtRun %s", s.Run))
	return nil
}

// deferring returns the words of a command as they are when what is left of it is looked for: with a state, --defer is no
// hindrance.
func (r *Runner) deferring(words []string) []string {
	if r.plan.State == nil {
		return words
	}
	return dbt.WithoutDefer(words)
}

// layDownState puts the manifest that dbt defers to into the folder from which it takes what is left of a command: dbt 2.0
// knows but one folder.
func (r *Runner) layDownState(dir string) error {
	if r.plan.State == nil {
		return nil
	}
	return os.Symlink(filepath.Join(r.folders.state(), journal.StateManifest), filepath.Join(dir, journal.StateManifest))
}

// withoutState drops from the environment what would give dbt another state than the one that is pinned.
func (r *Runner) withoutState(environ []string) []string {
	if r.plan.State == nil {
		return environ
	}
	return slices.DeleteFunc(slices.Clone(environ), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		name = dbt.Variable(name)
		return name == "DBT_STATE" || name == "DBT_DEFER_STATE"
	})
}
