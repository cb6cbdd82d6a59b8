package follow

import (
	"context"
	"errors"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/outbox"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// Kept is what may be asked of a run, and an outbox's notes on it.
type Kept struct {
	client client.Reader
	store  *store.Store
	note   string
}

// NewKept returns what c's cache and the store know of runs, with notes of this name.
func NewKept(c client.Reader, s *store.Store, note string) *Kept {
	return &Kept{client: c, store: s, note: note}
}

func place(key outbox.Key) store.Run { return store.Run{Namespace: key.Namespace, UID: key.UID} }

// Run returns a run, or outbox.ErrGone.
func (k *Kept) Run(ctx context.Context, key outbox.Key) (*v1alpha1.DbtRun, error) {
	run := &v1alpha1.DbtRun{}
	err := k.client.Get(ctx, types.NamespacedName{Namespace: key.Namespace, Name: key.Name}, run)
	if apierrors.IsNotFound(err) || err == nil && string(run.UID) != key.UID {
		return nil, outbox.ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("reading DbtRun %s: %w", key, err)
	}
	return run, nil
}

// Artifact opens an artifact of a run.
func (k *Kept) Artifact(ctx context.Context, key outbox.Key, name string) (io.ReadCloser, error) {
	body, _, err := k.store.Artifact(ctx, place(key), name)
	return body, err
}

// Journal opens the journal of all attempts, one after the other; an attempt's torn last line is ended.
func (k *Kept) Journal(ctx context.Context, key outbox.Key) (io.ReadCloser, error) {
	at := place(key)
	parts, err := k.store.Parts(ctx, at, journal.StreamJournal)
	if err != nil {
		return nil, err
	}
	out := &joined{}
	for _, part := range parts {
		body, err := k.store.Read(ctx, at, journal.StreamJournal, part)
		if err != nil {
			return nil, errors.Join(err, out.Close())
		}
		out.closers = append(out.closers, body)
		out.readers = append(out.readers, body, &lineEnd{})
	}
	out.Reader = io.MultiReader(out.readers...)
	return out, nil
}

// joined reads several bodies as one.
type joined struct {
	io.Reader
	readers []io.Reader
	closers []io.Closer
}

func (j *joined) Close() error {
	var errs []error
	for _, c := range j.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// lineEnd reads as one line break.
type lineEnd struct{ read bool }

func (l *lineEnd) Read(b []byte) (int, error) {
	if l.read || len(b) == 0 {
		return 0, io.EOF
	}
	l.read = true
	b[0] = '\n'
	return 1, nil
}

// Get returns the note on a run, nil when there is none.
func (k *Kept) Get(ctx context.Context, key outbox.Key) ([]byte, error) {
	b, err := k.store.Note(ctx, place(key), k.note)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return b, err
}

// Set keeps the note on a run.
func (k *Kept) Set(ctx context.Context, key outbox.Key, b []byte) error {
	return k.store.PutNote(ctx, place(key), k.note, b)
}
