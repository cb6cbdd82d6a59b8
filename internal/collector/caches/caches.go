package caches

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/store"
)

// Limits of what is kept.
const (
	// MaxBytes is the most that one cache may have.
	MaxBytes = 512 << 20
	// perKind is how many caches of one kind a project has: one per target and set of variables, say. The oldest goes first.
	perKind = 8
	// perProject is how many bytes the caches of a project have together.
	perProject = 2 << 30
	// leftover is the age at which what was never published as a cache is not going to be.
	leftover = 6 * time.Hour
)

// Store is what a *store.Store does.
type Store interface {
	PutArtifact(ctx context.Context, of store.Owner, name string, r io.Reader, limit int64) (store.Artifact, error)
	Artifact(ctx context.Context, of store.Owner, name string) (io.ReadCloser, store.Artifact, error)
	Artifacts(ctx context.Context, of store.Owner) ([]store.Artifact, error)
	DeleteArtifact(ctx context.Context, of store.Owner, name string) error
	DeleteLeftovers(ctx context.Context, of store.Owner, before time.Time) error
	Projects(ctx context.Context, f func(p store.Project, lastWrite time.Time) error) error
	DeleteProject(ctx context.Context, p store.Project) error
}

// Place is where caches are found: a project, and the generation of its spec that they were made of.
type Place struct {
	Project    store.Project
	Generation int64
}

var form = regexp.MustCompile(`^(packages|parse)-[0-9a-f]{64}$`)

// CheckName refuses a name that is not a kind, packages or parse, a dash, and a SHA-256 in hexadecimal.
func CheckName(name string) error {
	if !form.MatchString(name) {
		return fmt.Errorf("a cache cannot be named %.100q: use packages or parse, a dash, and 64 lower-case hexadecimal digits", name)
	}
	return nil
}

// artifact is the name by which the store has a cache.
func (p Place) artifact(name string) string { return fmt.Sprintf("g%d-%s", p.Generation, name) }

// kept is a cache in the store.
type kept struct {
	store.Artifact
	generation int64
	kind       string
}

// parse returns what an artifact of a project is; ok is false for one that was not put here.
func parse(a store.Artifact) (k kept, ok bool) {
	generation, name, _ := strings.Cut(strings.TrimPrefix(a.Name, "g"), "-")
	n, err := strconv.ParseInt(generation, 10, 64)
	if err != nil || CheckName(name) != nil {
		return kept{}, false
	}
	kind, _, _ := strings.Cut(name, "-")
	return kept{a, n, kind}, true
}

// Get opens a cache. The caller closes the reader. It is store.ErrNotFound if there is none.
func Get(ctx context.Context, s Store, at Place, name string) (io.ReadCloser, store.Artifact, error) {
	if err := CheckName(name); err != nil {
		return nil, store.Artifact{}, err
	}
	return s.Artifact(ctx, at.Project, at.artifact(name))
}

// Put keeps what body gives as a cache, in place of one of that name, if its SHA-256 is digest, and lets those go that are
// too many, too large or of another generation.
func Put(ctx context.Context, s Store, at Place, name, digest string, body io.Reader) (store.Artifact, error) {
	if err := CheckName(name); err != nil {
		return store.Artifact{}, err
	}
	made, err := s.PutArtifact(ctx, at.Project, at.artifact(name), store.Prove(body, digest), MaxBytes)
	if err != nil {
		return store.Artifact{}, err
	}
	return made, prune(ctx, s, at, made.Time)
}

// prune deletes the caches of other generations, of this one the oldest that are too many, and what a manager left that died
// before it published it. now is by the store's clock.
func prune(ctx context.Context, s Store, at Place, now time.Time) error {
	all, err := s.Artifacts(ctx, at.Project)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range surplus(all, at.Generation) {
		errs = append(errs, s.DeleteArtifact(ctx, at.Project, name))
	}
	return errors.Join(append(errs, s.DeleteLeftovers(ctx, at.Project, now.Add(-leftover)))...)
}

// surplus returns the names of the artifacts of a project that are to go.
func surplus(all []store.Artifact, generation int64) []string {
	// The newest first; of two of one time always the same.
	all = slices.SortedFunc(slices.Values(all), func(a, b store.Artifact) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Name, b.Name))
	})
	var names []string
	count, bytes := map[string]int{}, int64(0)
	for _, a := range all {
		k, ok := parse(a)
		if ok && k.generation == generation && count[k.kind] < perKind && bytes+k.Bytes <= perProject {
			count[k.kind]++
			bytes += k.Bytes
			continue
		}
		names = append(names, a.Name)
	}
	return names
}
