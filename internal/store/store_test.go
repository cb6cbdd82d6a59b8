package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestDeathInCompact lets a process die at each line of a compaction, before and after the store did what it asked for.
func TestDeathInCompact(t *testing.T) {
	t.Parallel()
	died := errors.New("died")
	const want = "one two three four"
	for _, applied := range []bool{false, true} {
		var steps int
		for step := 1; ; step++ {
			h, s := inMemory(t)
			wrote(t, s, "one ")
			if err := s.Compact(t.Context(), someRun, "journal", "pod-1"); err != nil {
				t.Fatal(err)
			}
			wrote(t, s, "two ", "three ", "four")
			count := 0
			die := func(context.Context, string, string) error {
				if count++; count >= step {
					return died
				}
				return nil
			}
			if applied {
				h.after = die
			} else {
				h.before = die
			}
			err := s.Compact(t.Context(), someRun, "journal", "pod-1")
			h.before, h.after = nil, nil
			if err == nil {
				steps = step - 1
				break
			}
			if !errors.Is(err, died) || !errors.Is(err, ErrStore) {
				t.Fatalf("step %d: %v", step, err)
			}
			next := newStore(h.objects)
			wantContents(t, next, want)
			wrote(t, next, " five")
			wantContents(t, next, want+" five")
			for range 2 {
				if err := next.Compact(t.Context(), someRun, "journal", "pod-1"); err != nil {
					t.Fatalf("after a death at step %d: %v", step, err)
				}
				wantContents(t, next, want+" five")
				if all, err := h.list(t.Context(), somePlace.Prefix()); err != nil || len(all) != 1 {
					t.Errorf("after a death at step %d: %d objects, %v; want one base", step, len(all), err)
				}
			}
			if t.Failed() {
				t.Fatalf("death at step %d, applied %v", step, applied)
			}
		}
		// List, look, 1 base and 3 segments read, each segment with a look, write, list, look, 4 deletions.
		if steps < 15 {
			t.Errorf("a compaction has %d steps; the test does not reach them all", steps)
		}
	}
}

// calls are all methods that reach the store.
func calls(ctx context.Context, s *Store) map[string]func() error {
	return map[string]func() error{
		"Check":       func() error { return s.Check(ctx) },
		"Append":      func() error { _, err := s.Append(ctx, someRun, "journal", "pod-1", 3, []byte("two")); return err },
		"AppendNew":   func() error { _, err := s.Append(ctx, someRun, "journal", "pod-2", 0, []byte("new")); return err },
		"AppendAgain": func() error { _, err := s.Append(ctx, someRun, "journal", "pod-1", 0, []byte("one")); return err },
		"Size":        func() error { _, err := s.Size(ctx, someRun, "journal", "pod-1"); return err },
		"Parts":       func() error { _, err := s.Parts(ctx, someRun, "journal"); return err },
		"Read": func() error {
			r, err := s.Read(ctx, someRun, "journal", "pod-1")
			if err != nil {
				return err
			}
			_, err = io.ReadAll(r)
			return errors.Join(err, r.Close())
		},
		"Compact":     func() error { return s.Compact(ctx, someRun, "journal", "pod-1") },
		"PutArtifact": func() error { _, err := s.PutArtifact(ctx, someRun, "a.json", strings.NewReader("x"), 9); return err },
		"Artifact": func() error {
			r, _, err := s.Artifact(ctx, someRun, "old.json")
			if err != nil {
				return err
			}
			_, err = io.ReadAll(r)
			return errors.Join(err, r.Close())
		},
		"Artifacts": func() error { _, err := s.Artifacts(ctx, someRun); return err },
		"PutMeta":   func() error { return s.PutMeta(ctx, someRun, []byte("{}")) },
		"Meta":      func() error { _, err := s.Meta(ctx, someRun); return err },
		"DeleteRun": func() error { return s.DeleteRun(ctx, someRun) },
		"Runs":      func() error { return s.Runs(ctx, func(RunInfo) error { return nil }) },
	}
}

// filled returns a store with a stream, an artifact and a document.
func filled(t *testing.T) (*hooked, *Store) {
	t.Helper()
	h, s := inMemory(t)
	wrote(t, s, "one")
	if _, err := s.PutArtifact(t.Context(), someRun, "old.json", strings.NewReader("old"), 9); err != nil {
		t.Fatal(err)
	}
	if err := s.PutMeta(t.Context(), someRun, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	return h, s
}

func TestStoreThatRefuses(t *testing.T) {
	t.Parallel()
	refusal := errors.New("403 Forbidden")
	for name := range calls(t.Context(), nil) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Each operation that the call makes is refused once.
			for step := 1; ; step++ {
				h, s := filled(t)
				count := 0
				h.before = func(context.Context, string, string) error {
					if count++; count == step {
						return refusal
					}
					return nil
				}
				err := calls(t.Context(), s)[name]()
				h.before = nil
				if err == nil {
					// A deletion of bytes that nobody can read any more may fail quietly.
					if count < step {
						return
					}
					continue
				}
				if !errors.Is(err, ErrStore) || !errors.Is(err, refusal) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrOffset) {
					t.Errorf("operation %d refused: %v; want ErrStore alone, with its reason", step, err)
				}
				if text := err.Error(); name != "Check" && name != "Runs" && !strings.Contains(text, "shop/uid-1") {
					t.Errorf("operation %d refused: %v; want it to name the run", step, err)
				}
				if name == "DeleteRun" {
					continue
				}
				// What was there is there, and the call works when the store does.
				wantBeginning(t, s, "one")
				if err := calls(t.Context(), s)[name](); err != nil {
					t.Errorf("after operation %d was refused: %v", step, err)
				}
			}
		})
	}
}

func wantBeginning(t *testing.T, s *Store, want string) {
	t.Helper()
	if got := string(contents(t, s)); !strings.HasPrefix(got, want) {
		t.Errorf("%q is read back, want %q first", got, want)
	}
}

func TestSlowStore(t *testing.T) {
	t.Parallel()
	for name := range calls(t.Context(), nil) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, s := filled(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			h.before = func(ctx context.Context, _, _ string) error {
				cancel()
				// Answers as late as it may.
				<-ctx.Done()
				return ctx.Err()
			}
			err := calls(ctx, s)[name]()
			if !errors.Is(err, ErrStore) || !errors.Is(err, context.Canceled) {
				t.Errorf("%v; want ErrStore and the context's error", err)
			}
		})
	}
	t.Run("Queue", func(t *testing.T) {
		t.Parallel()
		h, s := filled(t)
		entered, proceed := make(chan struct{}), make(chan struct{})
		h.before = func(_ context.Context, op, _ string) error {
			if op == "put" {
				close(entered)
				<-proceed
			}
			return nil
		}
		done := make(chan error)
		go func() { _, err := s.Append(t.Context(), someRun, "journal", "pod-1", 3, []byte("two")); done <- err }()
		<-entered
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Append(ctx, someRun, "journal", "pod-1", 3, []byte("two")); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrStore) {
			t.Errorf("an append behind a slow one: %v; want ErrStore and the context's error", err)
		}
		close(proceed)
		if err := <-done; err != nil {
			t.Errorf("the slow one: %v", err)
		}
		wantContents(t, s, "onetwo")
	})
}

// TestUnfitStore has a store that does not honour the condition of a write, as some S3 servers do not.
func TestUnfitStore(t *testing.T) {
	t.Parallel()
	s := newStore(careless{&blobs{bucket: openMemory()}})
	err := s.Check(t.Context())
	if !errors.Is(err, ErrStore) || !strings.Contains(err.Error(), "If-None-Match") {
		t.Errorf("Check: %v; want ErrStore that names the header", err)
	}
}

type careless struct{ objects }

func (c careless) put(ctx context.Context, key string, r io.Reader, how put) (int64, error) {
	how.create = false
	return c.objects.put(ctx, key, r, how)
}

// TestCompactionThatFails sees to it that appends go on, that someone is told, and that it is not tried at every append.
func TestCompactionThatFails(t *testing.T) {
	t.Parallel()
	var told atomic.Int32
	refusal := errors.New("no room for that")
	h, s := inMemory(t, OnError(func(err error) {
		if !errors.Is(err, refusal) || !errors.Is(err, ErrStore) {
			t.Errorf("told of %v", err)
		}
		told.Add(1)
	}))
	wrote(t, s, "x")
	h.before = func(_ context.Context, op, key string) error {
		if op == "put" && strings.HasSuffix(key, ".base") {
			return refusal
		}
		return nil
	}
	const appends = 400
	for i := 1; i < appends; i++ {
		if _, err := s.Append(t.Context(), someRun, "journal", "pod-1", int64(i), []byte("x")); err != nil {
			t.Fatalf("append %d: %v", i, err)
		}
	}
	wantContents(t, s, strings.Repeat("x", appends))
	if n := told.Load(); n < 2 || n > appends/fewSegments+1 {
		t.Errorf("%d compactions were tried in %d appends; want one in %d", n, appends, fewSegments)
	}
}

// TestCloseEndsCompaction closes a store whose compaction hangs.
func TestCloseEndsCompaction(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	h := &hooked{objects: &blobs{bucket: openMemory()}}
	s := newStore(h, OnError(func(err error) { t.Errorf("told of %v, which is nothing to worry about", err) }))
	h.before = func(ctx context.Context, op, key string) error {
		if op == "put" && strings.HasSuffix(key, ".base") && !strings.Contains(key, "/0000000000000000000-") {
			close(entered)
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	for i := range fewSegments {
		if _, err := s.Append(t.Context(), someRun, "journal", "pod-1", int64(i), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	<-entered
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// TestCompactionThatHangs sees to it that appends then compact in their own time, each time a part has as many segments,
// and not ever more.
func TestCompactionThatHangs(t *testing.T) {
	t.Parallel()
	h := &hooked{objects: &blobs{bucket: openMemory()}}
	s := newStore(h)
	var bases atomic.Int32
	hangs := make(chan struct{})
	var first sync.Once
	h.before = func(ctx context.Context, op, key string) error {
		if op != "put" || !strings.HasSuffix(key, ".base") || strings.Contains(key, "/0000000000000000000-") {
			return nil
		}
		// The store's own context is that of the background.
		if ctx.Value(inCallersTime{}) == nil {
			first.Do(func() { close(hangs) })
			<-ctx.Done()
			return ctx.Err()
		}
		bases.Add(1)
		return nil
	}
	ctx := context.WithValue(t.Context(), inCallersTime{}, true)
	const rounds = 5
	for i := range rounds*tooMany*fewSegments + 1 {
		if _, err := s.Append(ctx, someRun, "journal", "pod-1", int64(i), []byte("x")); err != nil {
			t.Fatal(err)
		}
		// One that began later might find nothing left to do, and so not hang.
		if i == fewSegments {
			<-hangs
		}
	}
	if n := bases.Load(); n != rounds {
		t.Errorf("the part was compacted %d times; want %d times, once in %d segments", n, rounds, tooMany*fewSegments)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

type inCallersTime struct{}

// TestForgetting sees to it that what is remembered of parts does not grow for ever.
func TestForgetting(t *testing.T) {
	t.Parallel()
	_, s := inMemory(t)
	const most = 10
	s.streams.most = most
	for round := range 3 {
		for i := range 2 * most {
			part := fmt.Sprintf("pod-%d", i)
			if _, err := s.Append(t.Context(), someRun, "journal", part, int64(round), []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(s.streams.m); n != most {
		t.Errorf("%d parts are remembered; want %d", n, most)
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	for begin, want := range map[int64]int{0: 64, 8<<20 - 1: 64, 8 << 20: 128, 100 << 20: 256, 1 << 40: 256} {
		if got := (tail{begin: begin}).due(); got != want {
			t.Errorf("a part of %d bytes is compacted at %d segments; want %d", begin, got, want)
		}
	}
	// A bucket lists 1000 names in one request.
	if most := tooMany*manySegments + fewSegments; most > 900 {
		t.Errorf("a part may have %d segments", most)
	}
	if compactionLimit < time.Minute {
		t.Error("large parts take their time")
	}
}
