package store

import (
	"context"
	"errors"
	"io"
	"time"
)

// Limits of what the store takes at once, in bytes.
const (
	// MaxAppend is the most that one Append takes.
	MaxAppend = 8 << 20
	// MaxMeta is the most that PutMeta takes.
	MaxMeta = 1 << 20
)

// Store keeps what runs leave behind. Its methods may be called by many goroutines at once.
type Store struct{}

// Run names a run's data. Both are lower-case letters, digits and dashes, 1 to 63 characters, beginning and ending with a
// letter or digit, as Kubernetes' namespaces and UIDs are; anything else is ErrName.
type Run struct {
	Namespace string
	UID       string
}

// Artifact describes what PutArtifact kept.
type Artifact struct {
	// Name is as it was given to PutArtifact.
	Name string
	// Bytes is its size.
	Bytes int64
	// SHA256 is its digest: 64 lower-case hexadecimal digits.
	SHA256 string
	// Time is when it was published, by the store's clock.
	Time time.Time
}

// RunInfo sums up what is kept of a run.
type RunInfo struct {
	Run Run
	// LastWrite is when the newest object was written, by the store's clock (S3: whole seconds).
	LastWrite time.Time
	// Objects and Bytes count what is kept, leftovers included.
	Objects int
	Bytes   int64
}

// Option changes a Store as it is opened.
type Option func(*Store)

// OnError calls f with each error of work in the background (compaction that Append started), which nobody else is told.
// f may be called by several goroutines at once.
func OnError(f func(error)) Option { return func(*Store) { _ = f } }

// Open opens the store at a URL. It does not yet reach out: Check does.
//
//	file:///var/lib/dbt-operator   a folder, made if missing
//	s3://BUCKET?region=…           with ?prefix=a/b/ for a part of the bucket; gs:// and azblob:// alike
//	mem://                         memory, for tests
//
// Further parameters are those of gocloud.dev's drivers (s3: endpoint, use_path_style, …). Credentials come from where
// each cloud's own library looks for them, never from the URL.
func Open(ctx context.Context, url string, options ...Option) (*Store, error) {
	return nil, errors.ErrUnsupported
}

// Close ends work in the background and lets go of the store.
func (s *Store) Close() error { return nil }

// Check writes, reads and deletes a small object, and proves that the store refuses to create it twice, so that a wrong
// URL, a missing right or an unfit store is found at start. Its errors are ErrStore.
func (s *Store) Check(ctx context.Context) error { return errors.ErrUnsupported }

// Append adds b to a part of a stream at offset, and returns the offset at which the part ends now, in bytes.
//
// stream is a name such as "journal"; part is what one writer writes, named by its pod's UID; both follow the rules of
// Run's names. The first append, at offset 0, begins the part. An empty b adds nothing and begins nothing.
//
// If b is wholly there already it is a repetition, and the end is returned without an error. If offset is not where the
// part ends nothing is added, and the error is an *OffsetError with the right offset, which is returned as well.
// ErrTooLarge is for more than MaxAppend. After an ErrStore it is not known whether b was kept: append it again.
func (s *Store) Append(ctx context.Context, run Run, stream, part string, offset int64, b []byte) (int64, error) {
	return 0, errors.ErrUnsupported
}

// Size returns the offset at which a part ends, in bytes; 0 for one that has not begun.
func (s *Store) Size(ctx context.Context, run Run, stream, part string) (int64, error) {
	return 0, errors.ErrUnsupported
}

// Parts returns the parts of a stream in the order in which they began; none for a stream that has not begun.
func (s *Store) Parts(ctx context.Context, run Run, stream string) ([]string, error) {
	return nil, errors.ErrUnsupported
}

// Read returns all bytes of a part, in order, up to where it ends now. It is ErrNotFound for a part that has not begun.
// ctx holds for reading, too. The caller closes the reader.
func (s *Store) Read(ctx context.Context, run Run, stream, part string) (io.ReadCloser, error) {
	return nil, errors.ErrUnsupported
}

// Compact makes one object of a part's many. It changes nothing that can be read, may be called again and again, while
// others append, and may die at any line. Append does so by itself in the background when there are many; call it when a
// part is at its end.
func (s *Store) Compact(ctx context.Context, run Run, stream, part string) error {
	return errors.ErrUnsupported
}

// PutArtifact keeps what r gives under a name, and returns its size and digest. It streams. An artifact of that name is
// replaced at the very end, in one step: when r fails, gives more than limit bytes (ErrTooLarge) or ctx ends, what was
// there before stays, and nothing of r can be read. An error of r is returned wrapped, and is no ErrStore.
//
// A name is lower-case letters, digits, dashes, underscores and single dots, 1 to 128 characters, beginning and ending with
// a letter or digit.
func (s *Store) PutArtifact(ctx context.Context, run Run, name string, r io.Reader, limit int64) (Artifact, error) {
	return Artifact{}, errors.ErrUnsupported
}

// Artifact opens an artifact. The caller closes the reader; ctx holds for reading, too. It is ErrNotFound if there is none.
func (s *Store) Artifact(ctx context.Context, run Run, name string) (io.ReadCloser, Artifact, error) {
	return nil, Artifact{}, errors.ErrUnsupported
}

// Artifacts lists a run's artifacts, sorted by name.
func (s *Store) Artifacts(ctx context.Context, run Run) ([]Artifact, error) {
	return nil, errors.ErrUnsupported
}

// PutMeta keeps a run's small document, of at most MaxMeta bytes, in place of the one before.
func (s *Store) PutMeta(ctx context.Context, run Run, b []byte) error { return errors.ErrUnsupported }

// Meta returns the document that PutMeta kept. It is ErrNotFound if there is none.
func (s *Store) Meta(ctx context.Context, run Run) ([]byte, error) { return nil, errors.ErrUnsupported }

// DeleteRun deletes everything of a run. It may be called again, and for a run of which nothing is kept.
func (s *Store) DeleteRun(ctx context.Context, run Run) error { return errors.ErrUnsupported }

// Runs calls f with each run of which anything is kept, in no certain order, and stops at the first error of f, which it
// returns as it is. f may delete the run that it is called with.
func (s *Store) Runs(ctx context.Context, f func(RunInfo) error) error { return errors.ErrUnsupported }
