package live

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// PutArtifact keeps what body gives as an artifact of the attempt's run, in place of one of that name. Unless its SHA-256 is
// digest, 64 lower-case hexadecimal digits, nothing of it is kept: ErrDigest. An error of body is returned wrapped.
func (r *Runs) PutArtifact(ctx context.Context, a Attempt, name, digest string, body io.Reader) (journal.Artifact, error) {
	u, release := r.use(a.Run)
	defer release()
	u.named(a.Run)
	limit := int64(journal.MaxArtifact)
	err := u.write(ctx, func(ctx context.Context, c *content) error {
		w := &writing{run: u, content: c, attempt: a}
		room, err := c.room(name, r.config.Limits)
		if err != nil {
			return err
		}
		limit = min(limit, room)
		return w.enter(ctx)
	})
	if err != nil {
		return journal.Artifact{}, err
	}
	made, err := r.config.Store.PutArtifact(ctx, u.key, name, store.Prove(body, digest), limit)
	if err != nil {
		if errors.Is(err, store.ErrStore) {
			r.failed("artifact", err)
		}
		return journal.Artifact{}, err
	}
	return journal.Artifact{Name: made.Name, SHA256: made.SHA256, Bytes: made.Bytes}, r.took(ctx, u, made)
}

// took takes in an artifact that the store has. Its bytes came while others wrote, too.
func (r *Runs) took(ctx context.Context, u *run, made store.Artifact) error {
	if err := u.take(ctx); err != nil {
		u.doubt()
		return err
	}
	defer u.give()
	u.mu.Lock()
	deleted := u.deleted
	if u.content != nil {
		u.content.keep(made)
	}
	u.mu.Unlock()
	if deleted {
		return errors.Join(ErrDeleted, r.config.Store.DeleteRun(ctx, u.key))
	}
	u.touch(false)
	return nil
}

// room returns how many bytes an artifact of this name may have.
func (c *content) room(name string, l Limits) (int64, error) {
	room, others := l.ArtifactBytes, 0
	for _, a := range c.artifacts {
		if a.Name != name {
			room -= a.Bytes
			others++
		}
	}
	if others >= l.Artifacts || room <= 0 {
		return 0, fmt.Errorf("%w: the run has %d artifacts of together %d bytes, at most %d of %d bytes are kept",
			store.ErrTooLarge, others, l.ArtifactBytes-room, l.Artifacts, l.ArtifactBytes)
	}
	return room, nil
}

// Artifact opens an artifact of a run; the caller closes the reader.
func (r *Runs) Artifact(ctx context.Context, id Run, name string) (io.ReadCloser, journal.Artifact, error) {
	in, a, err := r.config.Store.Artifact(ctx, id.key(), name)
	if err != nil {
		r.failed("read", err)
		return nil, journal.Artifact{}, err
	}
	return in, journal.Artifact{Name: a.Name, SHA256: a.SHA256, Bytes: a.Bytes}, nil
}
