package store

import (
	"context"
	"io"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

// hooked are objects with a say before and after each operation: before may refuse it, after may lose the reply.
type hooked struct {
	objects
	before, after func(ctx context.Context, op, key string) error
}

func (h *hooked) do(ctx context.Context, op, key string, do func() error) error {
	if h.before != nil {
		if err := h.before(ctx, op, key); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	if h.after != nil {
		return h.after(ctx, op, key)
	}
	return nil
}

func (h *hooked) put(ctx context.Context, key string, r io.Reader, how put) (n int64, err error) {
	err = h.do(ctx, "put", key, func() error { n, err = h.objects.put(ctx, key, r, how); return err })
	return n, err
}

func (h *hooked) get(ctx context.Context, key string, offset int64) (r io.ReadCloser, err error) {
	err = h.do(ctx, "get", key, func() error { r, err = h.objects.get(ctx, key, offset); return err })
	return r, err
}

func (h *hooked) stat(ctx context.Context, key string) (o layout.Object, err error) {
	err = h.do(ctx, "stat", key, func() error { o, err = h.objects.stat(ctx, key); return err })
	return o, err
}

func (h *hooked) list(ctx context.Context, prefix string) (all []layout.Object, err error) {
	err = h.do(ctx, "list", prefix, func() error { all, err = h.objects.list(ctx, prefix); return err })
	return all, err
}

func (h *hooked) delete(ctx context.Context, key string) error {
	return h.do(ctx, "delete", key, func() error { return h.objects.delete(ctx, key) })
}

func (h *hooked) deleteAll(ctx context.Context, prefix string) error {
	return h.do(ctx, "deleteAll", prefix, func() error { return h.objects.deleteAll(ctx, prefix) })
}

func (h *hooked) runs(ctx context.Context, f func(Run, []layout.Object) error) error {
	return h.do(ctx, "runs", "", func() error { return h.objects.runs(ctx, f) })
}

// inMemory returns hooked objects, and a store on them that reports errors in the background to the test.
func inMemory(t *testing.T, options ...Option) (*hooked, *Store) {
	t.Helper()
	h := &hooked{objects: &blobs{bucket: openMemory()}}
	s := newStore(h, options...)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return h, s
}

// wrote appends texts to the part that tests speak of.
func wrote(t *testing.T, s *Store, texts ...string) {
	t.Helper()
	for _, text := range texts {
		end, err := s.Size(t.Context(), someRun, "journal", "pod-1")
		if err != nil {
			t.Fatalf("Size: %v", err)
		}
		if _, err := s.Append(t.Context(), someRun, "journal", "pod-1", end, []byte(text)); err != nil {
			t.Fatalf("Append: %v", err)
		}
	}
}

func wantContents(t *testing.T, s *Store, want string) {
	t.Helper()
	if got := string(contents(t, s)); got != want {
		t.Errorf("%q is read back, want %q", got, want)
	}
}

func openMemory() *blob.Bucket { return memblob.OpenBucket(nil) }
