package live

import (
	"context"
	"errors"
	"io"

	"github.com/dbt-operator/dbt-operator/internal/store"
)

// Store is what a *store.Store does.
type Store interface {
	Append(ctx context.Context, run store.Run, stream, part string, offset int64, b []byte) (int64, error)
	Size(ctx context.Context, run store.Run, stream, part string) (int64, error)
	Parts(ctx context.Context, run store.Run, stream string) ([]string, error)
	Read(ctx context.Context, run store.Run, stream, part string) (io.ReadCloser, error)
	Compact(ctx context.Context, run store.Run, stream, part string) error
	PutArtifact(ctx context.Context, of store.Owner, name string, r io.Reader, limit int64) (store.Artifact, error)
	Artifact(ctx context.Context, of store.Owner, name string) (io.ReadCloser, store.Artifact, error)
	Artifacts(ctx context.Context, of store.Owner) ([]store.Artifact, error)
	PutMeta(ctx context.Context, run store.Run, b []byte) error
	Meta(ctx context.Context, run store.Run) ([]byte, error)
	DeleteRun(ctx context.Context, run store.Run) error
	Runs(ctx context.Context, f func(store.RunInfo) error) error
}

var _ Store = (*store.Store)(nil)

// What the store does not know, for errors.Is.
var (
	// ErrSuperseded refuses the journal of an attempt after which another has begun.
	ErrSuperseded = errors.New("another attempt of the run has begun")
	// ErrOver refuses what a run whose end is recorded has no more to say.
	ErrOver = errors.New("the run is over")
	// ErrForeign refuses an append to bytes that this attempt did not write.
	ErrForeign = errors.New("other bytes are kept there")
	// ErrDigest refuses an artifact whose bytes are not those that were announced.
	ErrDigest = store.ErrDigest
	// ErrDeleted refuses everything of a run that was deleted meanwhile.
	ErrDeleted = errors.New("the run was deleted")
	// ErrBusy says that what is kept of the run is still being read, or that others write: ask again.
	ErrBusy = errors.New("still being read from the store")
)
