package store

import (
	"bytes"
	"context"
	"fmt"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

// PutNote keeps a small text about a run under a name, of at most MaxMeta bytes, in place of the one before: what somebody
// beside the collector has to remember of a run for as long as it is kept. Names follow the rule of Run's.
func (s *Store) PutNote(ctx context.Context, run Run, name string, b []byte) error {
	key, err := noteKey(run, name)
	if err != nil {
		return err
	}
	if len(b) > MaxMeta {
		return fmt.Errorf("keeping the note %s of run %s: %w: %d bytes, at most %d are taken", name, run, ErrTooLarge, len(b), MaxMeta)
	}
	if _, err := s.objects.put(ctx, key, bytes.NewReader(b), put{sync: true, size: len(b)}); err != nil {
		return failed(err, "keeping the note %s of run %s", name, run)
	}
	return nil
}

// Note returns what PutNote kept. It is ErrNotFound if there is none.
func (s *Store) Note(ctx context.Context, run Run, name string) ([]byte, error) {
	key, err := noteKey(run, name)
	if err != nil {
		return nil, err
	}
	b, err := s.readAll(ctx, key, MaxMeta)
	if err != nil {
		return nil, failed(err, "reading the note %s of run %s", name, run)
	}
	return b, nil
}

func noteKey(run Run, name string) (string, error) {
	if err := run.Check(); err != nil {
		return "", err
	}
	if err := layout.CheckLabel("note", name); err != nil {
		return "", err
	}
	return run.NoteKey(name), nil
}
