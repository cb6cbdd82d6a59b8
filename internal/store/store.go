package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

// Limits of what the store takes at once, in bytes.
const (
	// MaxAppend is the most that one Append takes.
	MaxAppend = 8 << 20
	// MaxMeta is the most that PutMeta takes.
	MaxMeta = 1 << 20
)

// Store keeps what runs leave behind. Its methods may be called by many goroutines at once.
type Store struct {
	objects objects
	streams streams
	onError func(error)
	// publishing are the documents of artifacts that are being written.
	publishing turns

	// Work in the background: ctx ends it, places bounds it, mu guards closed.
	ctx    context.Context
	cancel context.CancelFunc
	jobs   sync.WaitGroup
	places chan struct{}
	mu     sync.Mutex
	closed bool
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

// Option changes a Store as it is opened.
type Option func(*Store)

// OnError calls f with each error of work in the background (compaction that Append started), which nobody else is told.
// f may be called by several goroutines at once.
func OnError(f func(error)) Option { return func(s *Store) { s.onError = f } }

// Open opens the store at a URL. A folder is opened for good; of anything else only the URL is looked at: Check reaches out.
//
//	file:///var/lib/dbt-operator   a folder, made if missing
//	s3://BUCKET?region=…           gs:// and azblob:// alike; with prefix=a/b/ for a part of the bucket
//	mem://                         memory, for tests
//
// Further parameters are those of gocloud.dev's drivers (s3: endpoint, use_path_style, …). Credentials come from where
// each cloud's own library looks for them, never from the URL.
func Open(ctx context.Context, url string, options ...Option) (*Store, error) {
	objects, err := openObjects(ctx, url)
	if err != nil {
		return nil, err
	}
	return newStore(objects, options...), nil
}

func newStore(objects objects, options ...Option) *Store {
	s := &Store{
		objects: objects,
		streams: streams{m: map[layout.Place]*stream{}, most: maxRemembered},
		onError: func(error) {},

		publishing: turns{m: map[string]*turn{}},
		places:     make(chan struct{}, backgroundJobs),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, o := range options {
		o(s)
	}
	return s
}

// Close ends work in the background and lets go of the store.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.jobs.Wait()
	if err := s.objects.close(); err != nil {
		return failed(err, "closing the store")
	}
	return nil
}

// Check writes, reads and deletes a small object, and proves that the store refuses to create it twice, so that a wrong
// URL, a missing right or an unfit store is found at start. Its errors are ErrStore.
func (s *Store) Check(ctx context.Context) error {
	key := "check/" + unique()
	content := []byte("dbt-operator looks whether it can write here; this may be deleted\n")
	if err := s.create(ctx, key, content); err != nil {
		return failed(err, "checking the store: writing %s", key)
	}
	err := s.checkAgain(ctx, key, content)
	if deleting := s.objects.delete(ctx, key); err == nil && deleting != nil {
		err = fmt.Errorf("deleting %s: %w", key, deleting)
	}
	if err != nil {
		return fmt.Errorf("checking the store: %w: %w", ErrStore, err)
	}
	return nil
}

func (s *Store) create(ctx context.Context, key string, content []byte) error {
	_, err := s.objects.put(ctx, key, bytes.NewReader(content), put{create: true, size: len(content)})
	return err
}

func (s *Store) checkAgain(ctx context.Context, key string, content []byte) error {
	if err := s.create(ctx, key, content); !errors.Is(err, errExists) {
		if err == nil {
			err = errors.New("it was written a second time: the store does not honour If-None-Match, so two writers would lose data")
		}
		return fmt.Errorf("creating %s twice: %w", key, err)
	}
	r, err := s.objects.get(ctx, key, 0)
	if err != nil {
		return fmt.Errorf("reading %s: %w", key, err)
	}
	b, err := io.ReadAll(io.LimitReader(r, 2*int64(len(content))))
	if err := errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("reading %s: %w", key, err)
	}
	if !bytes.Equal(b, content) {
		return fmt.Errorf("reading %s: other bytes came back than were written", key)
	}
	all, err := s.objects.list(ctx, key)
	if err != nil {
		return fmt.Errorf("listing %s: %w", key, err)
	}
	if len(all) != 1 {
		return fmt.Errorf("listing %s: %d objects, not 1", key, len(all))
	}
	return nil
}

// unique returns an id that nobody else has.
func unique() string {
	b := make([]byte, layout.IDBytes)
	// Never fails: the runtime ends the process where there is no randomness.
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
