package storetest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dbt-operator/dbt-operator/internal/store"
)

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// noTime compares artifacts but for the store's clock.
var noTime = cmpopts.IgnoreFields(store.Artifact{}, "Time")

func wantArtifact(t *testing.T, s *store.Store, run store.Run, name, want string) {
	t.Helper()
	r, a, err := s.Artifact(t.Context(), run, name)
	if err != nil {
		t.Fatalf("Artifact %s: %v", name, err)
	}
	if got := drain(t, r); got != want {
		t.Errorf("artifact %s has %d bytes, not %d, or others", name, len(got), len(want))
	}
	meant := store.Artifact{Name: name, Bytes: int64(len(want)), SHA256: digest(want)}
	if diff := cmp.Diff(meant, a, noTime); diff != "" || a.Time.IsZero() {
		t.Errorf("artifact %s at %v (-want +got):\n%s", name, a.Time, diff)
	}
}

func artifacts(t *testing.T, open Place) {
	s, run, ctx := open(t), newRun(), t.Context()
	if _, _, err := s.Artifact(ctx, run, "manifest.json"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Artifact of a new run: %v; want ErrNotFound", err)
	}
	if all, err := s.Artifacts(ctx, run); err != nil || len(all) > 0 {
		t.Errorf("Artifacts of a new run = %v, %v; want none", all, err)
	}
	// Large enough for an upload in parts where there are such.
	large := strings.Repeat("0123456789abcdef", 20<<20/16)
	kept := map[string]string{
		"manifest.json":       large,
		"run_results-1.json":  "{}",
		"index.html":          "",
		"a":                   "x",
		digest("a cache"):     "named by a digest",
		"manifest.json.attrs": "a name that the folder's driver has another use for",
	}
	for name, text := range kept {
		// A reader that gives little at a time and has no other ways to be read.
		a, err := s.PutArtifact(ctx, run, name, io.MultiReader(strings.NewReader(text)), int64(len(text)))
		if err != nil {
			t.Fatalf("PutArtifact %s: %v", name, err)
		}
		meant := store.Artifact{Name: name, Bytes: int64(len(text)), SHA256: digest(text)}
		if diff := cmp.Diff(meant, a, noTime); diff != "" || a.Time.IsZero() {
			t.Errorf("PutArtifact %s at %v (-want +got):\n%s", name, a.Time, diff)
		}
	}
	for name, text := range kept {
		wantArtifact(t, open(t), run, name, text)
	}
	all, err := s.Artifacts(ctx, run)
	if err != nil {
		t.Fatalf("Artifacts: %v", err)
	}
	var names []string
	for _, a := range all {
		names = append(names, a.Name)
		if a.SHA256 != digest(kept[a.Name]) || a.Bytes != int64(len(kept[a.Name])) || a.Time.IsZero() {
			t.Errorf("listed as %+v", a)
		}
	}
	want := []string{digest("a cache"), "a", "index.html", "manifest.json", "manifest.json.attrs", "run_results-1.json"}
	if diff := cmp.Diff(want, names, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("names of Artifacts (-want +got):\n%s", diff)
	}

	before, _ := info(t, s, run)
	if _, err := s.PutArtifact(ctx, run, "manifest.json", strings.NewReader("new"), 10); err != nil {
		t.Fatalf("PutArtifact: %v", err)
	}
	wantArtifact(t, s, run, "manifest.json", "new")
	if after, _ := info(t, s, run); after.Objects != before.Objects || after.Bytes > before.Bytes-int64(len(large))+100 {
		t.Errorf("after the replacement %+v, before %+v: the old bytes are still there", after, before)
	}
}

// artifactRefused tears uploads in each way: what was there stays, and nothing new can be read.
func artifactRefused(t *testing.T, open Place) {
	cut := errors.New("the connection was cut")
	long := strings.Repeat("x", 18<<20)
	tests := map[string]struct {
		reason string
		r      io.Reader
		limit  int64
		err    error
	}{
		"OverTheLimit":     {"one byte too many", strings.NewReader("12345678901"), 10, store.ErrTooLarge},
		"FarOverTheLimit":  {"an endless body", io.MultiReader(strings.NewReader(long), strings.NewReader(long)), 17 << 20, store.ErrTooLarge},
		"NoLimit":          {"a limit of 0 takes nothing", strings.NewReader("1"), 0, store.ErrTooLarge},
		"TornAtOnce":       {"the body fails before its first byte", iotest.ErrReader(cut), 10, cut},
		"Torn":             {"the body fails in the middle", io.MultiReader(strings.NewReader("12345"), iotest.ErrReader(cut)), 10, cut},
		"TornAtTheEnd":     {"the body fails where it could have ended: a digest that is not the promised one", io.MultiReader(strings.NewReader("1234567890"), iotest.ErrReader(cut)), 10, cut},
		"TornInLaterParts": {"the body fails when parts of it have been uploaded", io.MultiReader(strings.NewReader(long), iotest.ErrReader(cut)), 20 << 20, cut},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s, run, ctx := open(t), newRun(), t.Context()
			if _, err := s.PutArtifact(ctx, run, "kept.json", strings.NewReader("old"), 10); err != nil {
				t.Fatalf("PutArtifact: %v", err)
			}
			// Only now, as each reader is good for one use.
			_, err := s.PutArtifact(ctx, run, "kept.json", tc.r, tc.limit)
			if !errors.Is(err, tc.err) || errors.Is(err, store.ErrStore) {
				t.Errorf("%s: %v; want %v alone", tc.reason, err, tc.err)
			}
			wantArtifact(t, s, run, "kept.json", "old")
			if _, err := s.PutArtifact(ctx, run, "new.json", iotest.ErrReader(cut), 10); !errors.Is(err, cut) {
				t.Errorf("%s: %v; want %v", tc.reason, err, cut)
			}
			if _, _, err := s.Artifact(ctx, run, "new.json"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: a new artifact can be read: %v", tc.reason, err)
			}
			all, err := s.Artifacts(ctx, run)
			if err != nil || len(all) != 1 {
				t.Errorf("%s: Artifacts = %v, %v; want the old one", tc.reason, all, err)
			}
			if i, _ := info(t, s, run); i.Objects != 2 {
				t.Errorf("%s: %+v is left; want 2 objects", tc.reason, i)
			}
		})
	}
}
