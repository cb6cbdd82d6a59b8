package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/store"
)

// Place opens stores on one place: each call is a process of its own that sees what the others left.
type Place func(t *testing.T) *store.Store

// Run proves the contract for a place.
func Run(t *testing.T, open Place) {
	t.Run("Check", func(t *testing.T) { check(t, open) })
	t.Run("Append", func(t *testing.T) { appends(t, open) })
	t.Run("Parts", func(t *testing.T) { parts(t, open) })
	t.Run("Compact", func(t *testing.T) { compact(t, open) })
	t.Run("CompactWhileRead", func(t *testing.T) { compactWhileRead(t, open) })
	t.Run("Restart", func(t *testing.T) { restart(t, open) })
	t.Run("TwoWriters", func(t *testing.T) { twoWriters(t, open) })
	t.Run("ManyAppends", func(t *testing.T) { manyAppends(t, open) })
	t.Run("AtOnce", func(t *testing.T) { atOnce(t, open) })
	t.Run("Random", func(t *testing.T) { random(t, open) })
	t.Run("Names", func(t *testing.T) { names(t, open) })
	t.Run("Artifacts", func(t *testing.T) { artifacts(t, open) })
	t.Run("ArtifactRefused", func(t *testing.T) { artifactRefused(t, open) })
	t.Run("Meta", func(t *testing.T) { meta(t, open) })
	t.Run("DeleteRun", func(t *testing.T) { deleteRun(t, open) })
	t.Run("Runs", func(t *testing.T) { runs(t, open) })
	t.Run("ContextEnds", func(t *testing.T) { contextEnds(t, open) })
}

const (
	journal = "journal"
	first   = "pod-1"
)

// newRun returns a run that no other test has.
func newRun() store.Run {
	return store.Run{Namespace: "shop", UID: fmt.Sprintf("uid-%016x", rand.Uint64())}
}

// add appends text at an offset and fails the test if that does not end where it should.
func add(t *testing.T, s *store.Store, run store.Run, offset int, text string) {
	t.Helper()
	end, err := s.Append(t.Context(), run, journal, first, int64(offset), []byte(text))
	if want := int64(offset + len(text)); err != nil || end != want {
		t.Fatalf("Append(%d, %q) = %d, %v; want %d", offset, text, end, err, want)
	}
}

// read returns all of the first part.
func read(t *testing.T, s *store.Store, run store.Run) string {
	t.Helper()
	r, err := s.Read(t.Context(), run, journal, first)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return drain(t, r)
}

func drain(t *testing.T, r io.ReadCloser) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatalf("reading: %v", err)
	}
	return string(b)
}

func wantRead(t *testing.T, s *store.Store, run store.Run, want string) {
	t.Helper()
	if diff := cmp.Diff(want, read(t, s, run)); diff != "" {
		t.Fatalf("what is read back (-want +got):\n%s", diff)
	}
}

// info returns what Runs says of a run, or false.
func info(t *testing.T, s *store.Store, run store.Run) (store.RunInfo, bool) {
	t.Helper()
	var found store.RunInfo
	var ok bool
	if err := s.Runs(t.Context(), func(i store.RunInfo) error {
		if i.Run == run {
			found, ok = i, true
		}
		return nil
	}); err != nil {
		t.Fatalf("Runs: %v", err)
	}
	return found, ok
}

func check(t *testing.T, open Place) {
	s := open(t)
	for range 2 {
		if err := s.Check(t.Context()); err != nil {
			t.Fatalf("Check: %v", err)
		}
	}
}

// names tries each method with names that would lead elsewhere.
func names(t *testing.T, open Place) {
	s := open(t)
	bad := []string{
		"", ".", "..", "../other", "a/b", "/", "a\\b", "a\x00b", "A", "ä", "a b", "a\n", "-a", "a-", ".a", "a:b", "a*", "%2e%2e", "\xff",
		strings.Repeat("a", 10_000),
	}
	ctx, good := t.Context(), newRun()
	calls := map[string]func(bad string) error{
		"Namespace": func(n string) error { return s.PutMeta(ctx, store.Run{Namespace: n, UID: good.UID}, nil) },
		"UID":       func(n string) error { return s.PutMeta(ctx, store.Run{Namespace: "shop", UID: n}, nil) },
		"Meta": func(n string) error {
			_, err := s.Meta(ctx, store.Run{Namespace: "shop", UID: n})
			return err
		},
		"DeleteRun": func(n string) error { return s.DeleteRun(ctx, store.Run{Namespace: "shop", UID: n}) },
		"Stream":    func(n string) error { _, err := s.Append(ctx, good, n, first, 0, []byte("x")); return err },
		"Part":      func(n string) error { _, err := s.Append(ctx, good, journal, n, 0, []byte("x")); return err },
		"Size":      func(n string) error { _, err := s.Size(ctx, good, journal, n); return err },
		"Parts":     func(n string) error { _, err := s.Parts(ctx, good, n); return err },
		"Read":      func(n string) error { _, err := s.Read(ctx, good, n, first); return err },
		"Compact":   func(n string) error { return s.Compact(ctx, good, n, first) },
		"Artifact": func(n string) error {
			_, _, err := s.Artifact(ctx, good, n)
			if n == "a-" {
				return store.ErrName // An artifact may end with a dash.
			}
			return err
		},
		"PutArtifact": func(n string) error {
			if n == "a-" {
				return store.ErrName
			}
			_, err := s.PutArtifact(ctx, good, n, strings.NewReader("x"), 10)
			return err
		},
		"Artifacts": func(n string) error {
			_, err := s.Artifacts(ctx, store.Run{Namespace: n, UID: good.UID})
			return err
		},
	}
	for name, call := range calls {
		for _, n := range bad {
			err := call(n)
			if !errors.Is(err, store.ErrName) {
				t.Errorf("%s of %.20q: %v; want ErrName", name, n, err)
			} else if len(err.Error()) > 400 {
				t.Errorf("%s of %.20q: the message has %d bytes", name, n, len(err.Error()))
			}
		}
	}
	if _, ok := info(t, s, good); ok {
		t.Error("something was kept for the run all the same")
	}
	for _, n := range []string{"a..json", "a.", "a/../b"} {
		if _, err := s.PutArtifact(ctx, good, n, strings.NewReader("x"), 10); !errors.Is(err, store.ErrName) {
			t.Errorf("artifact %q: %v; want ErrName", n, err)
		}
	}
}

func meta(t *testing.T, open Place) {
	s, run, ctx := open(t), newRun(), t.Context()
	if _, err := s.Meta(ctx, run); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Meta of a new run: %v; want ErrNotFound", err)
	}
	for _, doc := range []string{`{"a":1}`, "", `{"b":2}`} {
		if err := s.PutMeta(ctx, run, []byte(doc)); err != nil {
			t.Fatalf("PutMeta: %v", err)
		}
		got, err := open(t).Meta(ctx, run)
		if err != nil || string(got) != doc {
			t.Errorf("Meta = %q, %v; want %q", got, err, doc)
		}
	}
	if err := s.PutMeta(ctx, run, make([]byte, store.MaxMeta+1)); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("PutMeta of too much: %v; want ErrTooLarge", err)
	}
	if got, err := s.Meta(ctx, run); err != nil || string(got) != `{"b":2}` {
		t.Errorf("Meta after a refused one = %q, %v", got, err)
	}
}

func deleteRun(t *testing.T, open Place) {
	s, run, other, ctx := open(t), newRun(), newRun(), t.Context()
	// A name that begins as the other's does.
	longer := store.Run{Namespace: run.Namespace, UID: run.UID + "0"}
	for _, r := range []store.Run{run, other, longer} {
		add(t, s, r, 0, "one")
		if _, err := s.PutArtifact(ctx, r, "manifest.json", strings.NewReader("{}"), 10); err != nil {
			t.Fatalf("PutArtifact: %v", err)
		}
		if err := s.PutMeta(ctx, r, []byte("{}")); err != nil {
			t.Fatalf("PutMeta: %v", err)
		}
	}
	for range 2 {
		if err := s.DeleteRun(ctx, run); err != nil {
			t.Fatalf("DeleteRun: %v", err)
		}
	}
	if i, ok := info(t, s, run); ok {
		t.Errorf("after DeleteRun there is still %+v", i)
	}
	if _, err := s.Read(ctx, run, journal, first); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Read: %v; want ErrNotFound", err)
	}
	for _, r := range []store.Run{other, longer} {
		wantRead(t, s, r, "one")
	}
	// The store that deleted it still remembers where the part ended.
	end, err := s.Append(ctx, run, journal, first, 3, []byte("two"))
	if !errors.Is(err, store.ErrOffset) || end != 0 {
		t.Errorf("an append to a deleted run = %d, %v; want 0 and ErrOffset", end, err)
	}
	if i, ok := info(t, s, run); ok && i.Objects > 0 && i.Bytes > 0 {
		t.Errorf("the refused append left %+v", i)
	}
	add(t, s, run, 0, "anew")
	wantRead(t, s, run, "anew")
}

func runs(t *testing.T, open Place) {
	s, ctx := open(t), t.Context()
	// Namespaces of which one begins as the other does sort differently as folders and as names.
	var want []store.Run
	for _, namespace := range []string{"team", "team-a", "team-b"} {
		for range 2 {
			run := store.Run{Namespace: namespace, UID: newRun().UID}
			want = append(want, run)
			add(t, s, run, 0, "one")
			if err := s.PutMeta(ctx, run, []byte("{}")); err != nil {
				t.Fatalf("PutMeta: %v", err)
			}
		}
	}
	for _, run := range want {
		got, ok := info(t, open(t), run)
		if !ok {
			t.Errorf("run %s is not listed", run)
			continue
		}
		if got.Bytes != 5 || got.Objects != 4 || got.LastWrite.IsZero() {
			t.Errorf("run %s: %+v; want 5 bytes in 4 objects, and a time", run, got)
		}
	}
	stop := errors.New("enough")
	seen := 0
	if err := s.Runs(ctx, func(store.RunInfo) error { seen++; return stop }); !errors.Is(err, stop) || errors.Is(err, store.ErrStore) || seen != 1 {
		t.Errorf("Runs that is stopped: %v after %d; want its own error after 1", err, seen)
	}
	if err := s.Runs(ctx, func(i store.RunInfo) error { return s.DeleteRun(ctx, i.Run) }); err != nil {
		t.Errorf("Runs that deletes: %v", err)
	}
	if err := s.Runs(ctx, func(i store.RunInfo) error { return fmt.Errorf("there is still %+v", i) }); err != nil {
		t.Error(err)
	}
}

func contextEnds(t *testing.T, open Place) {
	s, run := open(t), newRun()
	add(t, s, run, 0, "one")
	r, err := s.Read(t.Context(), run, journal, first)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	reading, err := s.Read(ended, run, journal, first)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	cancel()
	calls := map[string]func() error{
		"Append":      func() error { _, err := s.Append(ended, run, journal, first, 3, []byte("two")); return err },
		"Size":        func() error { _, err := s.Size(ended, run, journal, first); return err },
		"Reading":     func() error { _, err := io.ReadAll(reading); return err },
		"PutArtifact": func() error { _, err := s.PutArtifact(ended, run, "a.json", strings.NewReader("x"), 10); return err },
		"PutMeta":     func() error { return s.PutMeta(ended, run, []byte("{}")) },
		"Runs":        func() error { return s.Runs(ended, func(store.RunInfo) error { return nil }) },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) || !errors.Is(err, store.ErrStore) {
			t.Errorf("%s after the context's end: %v; want ErrStore and context.Canceled", name, err)
		}
	}
	wantRead(t, s, run, "one")
	add(t, s, run, 3, "two")
	if all, err := s.Artifacts(t.Context(), run); err != nil || len(all) > 0 {
		t.Errorf("Artifacts = %v, %v; want none", all, err)
	}
}
