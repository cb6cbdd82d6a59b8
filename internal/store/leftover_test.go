package store

import (
	"context"
	"errors"
	"os"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

// wantArtifacts wants that an owner's artifacts have these contents, and that nothing else is there.
func wantArtifacts(t *testing.T, s *Store, of Owner, want map[string]string) {
	t.Helper()
	objects, err := s.objects.list(t.Context(), layout.ArtifactsPrefix(of))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, o := range objects {
		b, err := s.readAll(t.Context(), o.Key, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		name := path.Base(path.Dir(o.Key))
		if path.Base(o.Key) != "current" {
			got[name] += string(b)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(objects) != 2*len(want) {
		t.Errorf("%d objects are kept, want %d; their bytes (-want +got):\n%s", len(objects), 2*len(want), diff)
	}
	for name := range want {
		r, _, err := s.Artifact(t.Context(), of, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = r.Close()
	}
}

// TestArtifactThatIsNotPublished has what goes wrong after the bytes of an artifact are there: one copy of it stays.
func TestArtifactThatIsNotPublished(t *testing.T) {
	t.Parallel()
	refusal := errors.New("403 Forbidden")
	key := layout.CurrentKey(someRun, "a.json")
	tests := map[string]struct {
		reason        string
		before, after string
		closes        bool
		want          string
	}{
		"Refused":        {"the store takes no more", "put", "", false, "old"},
		"Closed":         {"whoever sent it is gone", "put", "", true, "old"},
		"Lost":           {"it is published, and nobody was told", "", "put", false, "new"},
		"LostAndClosed":  {"nor waits for it", "", "put", true, "new"},
		"NotSeen":        {"it is published, and when is not known", "stat", "", false, "new"},
		"ClosedAtTheEnd": {"it is published, and whoever sent it is gone before the old one is deleted", "", "stat", true, "new"},
	}
	for name, tc := range tests {
		for _, old := range []string{"old", ""} {
			t.Run(name+old, func(t *testing.T) {
				t.Parallel()
				h, s := inMemory(t)
				if old != "" {
					if _, err := s.PutArtifact(t.Context(), someRun, "a.json", strings.NewReader(old), 9); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				fails := func(which string) func(context.Context, string, string) error {
					return func(_ context.Context, op, on string) error {
						if op != which || on != key {
							return nil
						}
						if tc.closes {
							cancel()
						}
						if tc.closes && op == "stat" {
							return nil
						}
						return refusal
					}
				}
				h.before, h.after = fails(tc.before), fails(tc.after)
				_, err := s.PutArtifact(ctx, someRun, "a.json", strings.NewReader("new"), 9)
				if (err == nil) != (name == "ClosedAtTheEnd") {
					t.Errorf("PutArtifact: %v", err)
				}
				h.before, h.after = nil, nil
				want := map[string]string{"a.json": tc.want}
				if tc.want == "old" && old == "" {
					delete(want, "a.json")
				}
				wantArtifacts(t, s, someRun, want)
			})
		}
	}
}

// TestTwoPutsOfOneArtifact has two that would replace the same one.
func TestTwoPutsOfOneArtifact(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, s := inMemory(t)
		if _, err := s.PutArtifact(t.Context(), someRun, "a.json", strings.NewReader("old"), 9); err != nil {
			t.Fatal(err)
		}
		proceed := make(chan struct{})
		h.before = func(_ context.Context, op, key string) error {
			if op == "put" && path.Base(key) == "current" {
				<-proceed
			}
			return nil
		}
		done := make(chan error, 2)
		put := func() {
			_, err := s.PutArtifact(t.Context(), someRun, "a.json", strings.NewReader("new"), 9)
			done <- err
		}
		go put()
		go put()
		// Both are as far as they get.
		synctest.Wait()
		close(proceed)
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
		wantArtifacts(t, s, someRun, map[string]string{"a.json": "new"})

		// One that waits for its turn gives up when nobody waits for it.
		proceed = make(chan struct{})
		go put()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := s.PutArtifact(ctx, someRun, "a.json", strings.NewReader("late"), 9)
			done <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || !errors.Is(err, ErrStore) {
			t.Errorf("%v; want ErrStore and the context's error", err)
		}
		close(proceed)
		if err := <-done; err != nil {
			t.Error(err)
		}
		wantArtifacts(t, s, someRun, map[string]string{"a.json": "new"})
	})
}

// TestDeleteLeftovers has what processes left that died while they wrote.
func TestDeleteLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, ctx := inFolder(t, dir), t.Context()
	of := Project{Namespace: "shop", UID: "uid-1"}
	for _, name := range []string{"a.json", "b.json"} {
		if _, err := s.PutArtifact(ctx, of, name, strings.NewReader(name), 9); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-time.Hour)
	left := func(key string, at time.Time) {
		t.Helper()
		spoil(t, file(dir, key), "left")
		if err := os.Chtimes(file(dir, key), at, at); err != nil {
			t.Fatal(err)
		}
	}
	age := func() {
		t.Helper()
		all, err := s.objects.list(ctx, of.Prefix())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all {
			if err := os.Chtimes(file(dir, o.Key), long, long); err != nil {
				t.Fatal(err)
			}
		}
	}
	age()
	if err := os.MkdirAll(file(dir, layout.ArtifactPrefix(of, "never.json")), 0o750); err != nil {
		t.Fatal(err)
	}
	left(layout.DataKey(of, "a.json", unique()), long)
	left(layout.DataKey(of, "a.json", unique())+".18c2a5.tmp", long)
	left(layout.DataKey(of, "never.json", unique()), long)
	young := layout.DataKey(of, "b.json", unique())
	left(young, time.Now())
	if err := s.DeleteLeftovers(ctx, of, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	if there, err := s.there(ctx, young); err != nil || !there {
		t.Errorf("what may be published yet is there: %t, %v", there, err)
	}
	remove(t, file(dir, young))
	wantArtifacts(t, s, of, map[string]string{"a.json": "a.json", "b.json": "b.json"})

	// What cannot be told is left.
	spoil(t, file(dir, layout.CurrentKey(of, "a.json")), "torn")
	age()
	if err := s.DeleteLeftovers(ctx, of, time.Now().Add(-time.Minute)); !errors.Is(err, ErrStore) || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("%v; want ErrStore that says what is damaged", err)
	}
	if all, err := s.objects.list(ctx, of.Prefix()); err != nil || len(all) != 4 {
		t.Errorf("%d objects, %v; want 4", len(all), err)
	}
}
