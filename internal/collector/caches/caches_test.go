package caches

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/store"
)

var project = store.Project{Namespace: "shop", UID: "uid-1"}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func named(kind, key string) string { return kind + "-" + digest(key) }

func open(t *testing.T) *store.Store {
	t.Helper()
	return openIn(t, t.TempDir())
}

func openIn(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), "file://"+dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(t *testing.T, s Store, at Place, name, content string) {
	t.Helper()
	if _, err := Put(t.Context(), s, at, name, digest(content), strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
}

// got returns the content of a cache, "none" where there is none.
func got(t *testing.T, s Store, at Place, name string) string {
	t.Helper()
	in, _, err := Get(t.Context(), s, at, name)
	if errors.Is(err, store.ErrNotFound) {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	b, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestACacheIsFoundInItsPlaceAlone(t *testing.T) {
	s := open(t)
	at := Place{project, 3}
	name := named("parse", "k")
	put(t, s, at, name, "the manifest")
	for _, c := range []struct {
		reason string
		at     Place
		name   string
		want   string
	}{
		{"as it was put", at, name, "the manifest"},
		{"another key", at, named("parse", "other"), "none"},
		{"another kind", at, named("packages", "k"), "none"},
		{"the project's spec was changed", Place{project, 4}, name, "none"},
		{"the project was deleted and made again", Place{store.Project{Namespace: "shop", UID: "uid-2"}, 3}, name, "none"},
		{"another namespace", Place{store.Project{Namespace: "bank", UID: "uid-1"}, 3}, name, "none"},
	} {
		if found := got(t, s, c.at, c.name); found != c.want {
			t.Errorf("%s: found %q, want %q", c.reason, found, c.want)
		}
	}
	put(t, s, Place{project, 4}, named("packages", "k"), "packages")
	if found := got(t, s, at, name); found != "none" {
		t.Errorf("what was made of the spec before was not let go: %q", found)
	}
}

func TestWhatIsNotWholeIsNotKept(t *testing.T) {
	s := open(t)
	at, name := Place{project, 1}, named("parse", "k")
	put(t, s, at, name, "before")
	if _, err := Put(t.Context(), s, at, name, digest("whole"), strings.NewReader("who")); !errors.Is(err, store.ErrDigest) {
		t.Errorf("a body that breaks off: %v", err)
	}
	if found := got(t, s, at, name); found != "before" {
		t.Errorf("found %q", found)
	}
}

// What a manager leaves that dies before a cache is published can be read by nobody, and goes with a put that is much later.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	s, at := openIn(t, dir), Place{project, 1}
	put(t, s, at, named("parse", "k"), "kept")
	of := filepath.Join(dir, "projects", project.Namespace, project.UID, "artifacts")
	left := func(cache string, age time.Duration) string {
		folder, file := filepath.Join(of, at.artifact(cache)), filepath.Join(of, at.artifact(cache), "0123456789abcdef.data")
		written := time.Now().Add(-age)
		if err := errors.Join(os.MkdirAll(folder, 0o750), os.WriteFile(file, []byte("left"), 0o600), os.Chtimes(file, written, written)); err != nil {
			t.Fatal(err)
		}
		return file
	}
	beside, alone, young := left(named("parse", "k"), leftover+time.Minute), left(named("parse", "never"), leftover+time.Minute), left(named("packages", "k"), leftover-time.Minute)
	put(t, s, at, named("packages", "other"), "another")
	for file, want := range map[string]bool{beside: false, alone: false, young: true} {
		if _, err := os.Stat(file); (err == nil) != want {
			t.Errorf("%s is there: %v, want %t", file, err, want)
		}
	}
	if found := got(t, s, at, named("parse", "k")); found != "kept" {
		t.Errorf("found %q", found)
	}
}

func TestNames(t *testing.T) {
	s := open(t)
	for _, name := range []string{"", "parse", "parse-", "parse-" + digest("k")[1:], "manifest-" + digest("k"), "../parse-" + digest("k"), "parse-" + strings.ToUpper(digest("k"))} {
		if _, _, err := Get(t.Context(), s, Place{project, 1}, name); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get %q: %v", name, err)
		}
		if _, err := Put(t.Context(), s, Place{project, 1}, name, digest(""), strings.NewReader("")); err == nil {
			t.Errorf("Put %q: no error", name)
		}
	}
}

func TestSurplus(t *testing.T) {
	t.Parallel()
	base := time.Unix(1_700_000_000, 0)
	made := func(age int, generation int64, kind string, bytes int64) store.Artifact {
		return store.Artifact{Name: Place{Generation: generation}.artifact(named(kind, fmt.Sprint(age))), Bytes: bytes, Time: base.Add(-time.Duration(age) * time.Minute)}
	}
	var many []store.Artifact
	for age := range perKind + 2 {
		many = append(many, made(age, 1, "parse", 1))
	}
	name := func(a store.Artifact) string { return a.Name }
	tests := map[string]struct {
		reason string
		all    []store.Artifact
		want   []string
	}{
		"None":       {"nothing is kept", nil, nil},
		"Count":      {"the oldest of a kind go", append([]store.Artifact{made(99, 1, "packages", 1)}, many...), []string{name(many[perKind]), name(many[perKind+1])}},
		"Generation": {"what was made of another spec goes, older or newer", []store.Artifact{made(1, 1, "parse", 1), made(2, 0, "parse", 1), made(0, 2, "parse", 1)}, []string{name(made(0, 2, "parse", 1)), name(made(2, 0, "parse", 1))}},
		"Bytes":      {"so does the oldest of what is too much together", []store.Artifact{made(2, 1, "parse", 1), made(1, 1, "packages", perProject), made(0, 1, "parse", 5)}, []string{name(made(1, 1, "packages", 1))}},
		"Foreign":    {"and what nobody put here", []store.Artifact{{Name: "manifest.json"}, {Name: "gx-" + named("parse", "k")}}, []string{"gx-" + named("parse", "k"), "manifest.json"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, surplus(tc.all, 1)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
