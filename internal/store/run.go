package store

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

// Run names a run's data. Both of its names are lower-case letters, digits and dashes, 1 to 63 characters, beginning and
// ending with a letter or digit, as Kubernetes' namespaces and UIDs are; anything else is ErrName.
type Run = layout.Run

// RunInfo sums up what is kept of a run.
type RunInfo struct {
	Run Run
	// LastWrite is when the newest object was written, by the store's clock (S3: whole seconds).
	LastWrite time.Time
	// Objects and Bytes count what is kept, leftovers included.
	Objects int
	Bytes   int64
}

// PutMeta keeps a run's small document, of at most MaxMeta bytes, in place of the one before.
func (s *Store) PutMeta(ctx context.Context, run Run, b []byte) error {
	if err := run.Check(); err != nil {
		return err
	}
	if len(b) > MaxMeta {
		return fmt.Errorf("keeping the document of run %s: %w: %d bytes, at most %d are taken", run, ErrTooLarge, len(b), MaxMeta)
	}
	if _, err := s.objects.put(ctx, run.MetaKey(), bytes.NewReader(b), put{sync: true, size: len(b)}); err != nil {
		return failed(err, "keeping the document of run %s", run)
	}
	return nil
}

// Meta returns the document that PutMeta kept. It is ErrNotFound if there is none.
func (s *Store) Meta(ctx context.Context, run Run) ([]byte, error) {
	if err := run.Check(); err != nil {
		return nil, err
	}
	b, err := s.readAll(ctx, run.MetaKey(), MaxMeta)
	if err != nil {
		return nil, failed(err, "reading the document of run %s", run)
	}
	return b, nil
}

// DeleteRun deletes everything of a run. It may be called again, and for a run of which nothing is kept.
func (s *Store) DeleteRun(ctx context.Context, run Run) error {
	if err := run.Check(); err != nil {
		return err
	}
	if err := s.objects.deleteAll(ctx, run.Prefix()); err != nil {
		return failed(err, "deleting run %s", run)
	}
	return nil
}

// Runs calls f with each run of which anything is kept, in no certain order, and stops at the first error of f, which it
// returns as it is. f may delete the run that it is called with.
func (s *Store) Runs(ctx context.Context, f func(RunInfo) error) error {
	var stopped error
	err := s.objects.runs(ctx, func(run Run, objects []layout.Object) error {
		info := RunInfo{Run: run, Objects: len(objects)}
		for _, o := range objects {
			info.Bytes += o.Size
			if o.Time.After(info.LastWrite) {
				info.LastWrite = o.Time
			}
		}
		stopped = f(info)
		return stopped
	})
	if stopped != nil {
		return stopped
	}
	if err != nil {
		return failed(err, "listing runs")
	}
	return nil
}
