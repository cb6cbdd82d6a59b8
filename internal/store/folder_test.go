package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inFolder opens a store in a folder, and returns the folder.
func inFolder(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), "file://"+dir)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// file returns the path of a key.
func file(dir, key string) string { return filepath.Join(dir, filepath.FromSlash(key)) }

// spoil overwrites a file.
func spoil(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFullFolder fills a small file system under the store.
func TestFullFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a file system that is small")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	s, ctx := inFolder(t, dir), t.Context()
	if _, err := s.PutArtifact(ctx, someRun, "kept.json", strings.NewReader("old"), 10); err != nil {
		t.Fatalf("PutArtifact: %v", err)
	}
	if err := s.PutMeta(ctx, someRun, []byte("{}")); err != nil {
		t.Fatalf("PutMeta: %v", err)
	}
	chunk := strings.Repeat("x", 100<<10)
	var kept strings.Builder
	var err error
	for range 20 {
		if _, err = s.Append(ctx, someRun, "journal", "pod-1", int64(kept.Len()), []byte(chunk)); err != nil {
			break
		}
		kept.WriteString(chunk)
	}
	wantFull := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrFull) || !errors.Is(err, ErrStore) || !strings.Contains(err.Error(), "the store is full") {
			t.Errorf("%s: %v; want ErrFull, which is ErrStore", what, err)
		}
	}
	wantFull("Append", err)
	if kept.Len() < 5*len(chunk) {
		t.Errorf("it was full after %d bytes", kept.Len())
	}
	_, err = s.PutArtifact(ctx, someRun, "kept.json", strings.NewReader(strings.Repeat(chunk, 3)), 1<<20)
	wantFull("PutArtifact", err)
	wantFull("PutMeta", s.PutMeta(ctx, someRun, []byte(strings.Repeat(chunk, 3))))
	wantFull("Compact", s.Compact(ctx, someRun, "journal", "pod-1"))
	wantFull("Append to another", func() error {
		_, err := s.Append(ctx, Run{Namespace: "shop", UID: "uid-2"}, "journal", "pod-1", 0, []byte(strings.Repeat(chunk, 3)))
		return err
	}())

	// What was there before can be read, and goes on when there is room.
	wantContents(t, s, kept.String())
	if got, err := s.Meta(ctx, someRun); err != nil || string(got) != "{}" {
		t.Errorf("Meta = %q, %v", got, err)
	}
	if all, err := s.Artifacts(ctx, someRun); err != nil || len(all) != 1 || all[0].Bytes != 3 {
		t.Errorf("Artifacts = %v, %v; want the old one", all, err)
	}
	left, err := s.objects.list(ctx, "runs/")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range left {
		if strings.HasSuffix(o.Key, ".tmp") {
			t.Errorf("%s of %d bytes takes room", o.Key, o.Size)
		}
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=8m"); err != nil {
		t.Fatalf("making room: %v", err)
	}
	if _, err = s.Append(ctx, someRun, "journal", "pod-1", int64(kept.Len()), []byte("more")); err != nil {
		t.Errorf("Append when there is room: %v", err)
	}
	if err := s.Compact(ctx, someRun, "journal", "pod-1"); err != nil {
		t.Errorf("Compact when there is room: %v", err)
	}
	wantContents(t, s, kept.String()+"more")
}

// TestPowerFailure makes a folder look as a file system may leave it whose machine lost power: the newest segments, which
// were not synced, are empty, short or missing.
func TestPowerFailure(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		reason string
		spoils func(t *testing.T, dir string)
		end    int64
	}{
		"Empty":   {"the name was kept, the bytes were not", func(t *testing.T, dir string) { spoil(t, file(dir, somePlace.SegmentKey(6)), "") }, 6},
		"Short":   {"some of the bytes were kept", func(t *testing.T, dir string) { spoil(t, file(dir, somePlace.SegmentKey(6)), "th") }, 8},
		"Missing": {"the last is not there", func(t *testing.T, dir string) { remove(t, file(dir, somePlace.SegmentKey(6))) }, 6},
		"Middle":  {"one before the last is not there", func(t *testing.T, dir string) { remove(t, file(dir, somePlace.SegmentKey(3))) }, 3},
		"Several": {"two are empty", func(t *testing.T, dir string) {
			spoil(t, file(dir, somePlace.SegmentKey(3)), "")
			spoil(t, file(dir, somePlace.SegmentKey(6)), "")
		}, 3},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			wrote(t, inFolder(t, dir), "one", "two", "three")
			tc.spoils(t, dir)
			s, ctx := inFolder(t, dir), t.Context()
			const source = "onetwothreefour"
			end, err := s.Append(ctx, someRun, "journal", "pod-1", 11, []byte("four"))
			if !errors.Is(err, ErrOffset) || end != tc.end {
				t.Fatalf("%s: the next append = %d, %v; want %d and ErrOffset", tc.reason, end, err, tc.end)
			}
			// The writer goes on from there, in chunks that are cut elsewhere.
			if _, err := s.Append(ctx, someRun, "journal", "pod-1", end, []byte(source[end:])); err != nil {
				t.Fatalf("%s: Append at %d: %v", tc.reason, end, err)
			}
			wantContents(t, s, source)
			if err := s.Compact(ctx, someRun, "journal", "pod-1"); err != nil {
				t.Errorf("%s: Compact: %v", tc.reason, err)
			}
			wantContents(t, s, source)
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// TestDamage changes files behind the store's back: it says so, and never gives out less or other bytes as if all were well.
func TestDamage(t *testing.T) {
	t.Parallel()
	compacted := func(t *testing.T, dir string) (s *Store, base string) {
		s = inFolder(t, dir)
		wrote(t, s, "one", "two")
		if err := s.Compact(t.Context(), someRun, "journal", "pod-1"); err != nil {
			t.Fatal(err)
		}
		v, err := s.look(t.Context(), somePlace)
		if err != nil {
			t.Fatal(err)
		}
		return s, file(dir, v.Base)
	}
	artifact := func(t *testing.T, dir string) (s *Store, data string) {
		s = inFolder(t, dir)
		if _, err := s.PutArtifact(t.Context(), someRun, "old.json", strings.NewReader("12345"), 9); err != nil {
			t.Fatal(err)
		}
		matches, err := filepath.Glob(file(dir, "runs/shop/uid-1/artifacts/old.json/*.data"))
		if err != nil || len(matches) != 1 {
			t.Fatalf("%v, %v", matches, err)
		}
		return s, matches[0]
	}
	tests := map[string]struct {
		reason string
		make   func(t *testing.T, dir string) (*Store, string)
		spoils func(t *testing.T, path string)
		call   string
		want   string
	}{
		"ShortBase":       {"a base was cut off", compacted, func(t *testing.T, p string) { spoil(t, p, "onet") }, "Read", "is damaged: it has 4 bytes, not 6"},
		"ShortBaseAppend": {"nothing is added to such a one", compacted, func(t *testing.T, p string) { spoil(t, p, "onet") }, "Append", "is damaged: it has 4 bytes, not 6"},
		"ShortArtifact":   {"an artifact was cut off", artifact, func(t *testing.T, p string) { spoil(t, p, "1234") }, "Artifact", "1 bytes are missing"},
		"OtherArtifact":   {"an artifact was changed", artifact, func(t *testing.T, p string) { spoil(t, p, "12346") }, "Artifact", "not those that were kept"},
		"LongArtifact":    {"what was added to an artifact is not given out", artifact, func(t *testing.T, p string) { spoil(t, p, "123456") }, "Artifact", ""},
		"NoArtifact":      {"an artifact's bytes were deleted", artifact, remove, "Artifact", "its bytes are gone"},
		"Current":         {"an artifact's document was torn", artifact, func(t *testing.T, p string) { spoil(t, filepath.Join(filepath.Dir(p), "current"), `{"byt`) }, "Artifact", "is damaged"},
		"CurrentLeads": {"an artifact's document leads elsewhere", artifact, func(t *testing.T, p string) {
			spoil(t, filepath.Join(filepath.Dir(p), "current"), `{"bytes":1,"sha256":"`+strings.Repeat("0", 64)+`","data":"../../meta.json"}`)
		}, "Artifact", "is damaged"},
		"CurrentListed": {"the same in a list", artifact, func(t *testing.T, p string) { spoil(t, filepath.Join(filepath.Dir(p), "current"), `{}`) }, "Artifacts", "is damaged"},
		"CurrentAnew":   {"such a one can be replaced", artifact, func(t *testing.T, p string) { spoil(t, filepath.Join(filepath.Dir(p), "current"), `{}`) }, "PutArtifact", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s, path := tc.make(t, dir)
			tc.spoils(t, path)
			err := calls(t.Context(), s)[tc.call]()
			if tc.want == "" {
				if err != nil {
					t.Errorf("%s: %v", tc.reason, err)
				}
				return
			}
			if !errors.Is(err, ErrStore) || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v; want ErrStore that says %q", tc.reason, err, tc.want)
			}
		})
	}
}

// TestLeftovers has what a process leaves that died while it wrote.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, ctx := inFolder(t, dir), t.Context()
	wrote(t, s, "one")
	if _, err := s.PutArtifact(ctx, someRun, "a.json", strings.NewReader("x"), 9); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		somePlace.SegmentKey(3), somePlace.BaseKey(3, unique()), "runs/shop/uid-1/artifacts/a.json/current",
		"runs/shop/uid-1/artifacts/a.json/" + unique() + ".data", "runs/shop/uid-1/streams/journal/.order/000002-pod-2",
	} {
		spoil(t, file(dir, key)+".18c2a5.tmp", "half of")
	}
	wantContents(t, s, "one")
	if all, err := s.Artifacts(ctx, someRun); err != nil || len(all) != 1 {
		t.Errorf("Artifacts = %v, %v; want one", all, err)
	}
	if parts, err := s.Parts(ctx, someRun, "journal"); err != nil || len(parts) != 1 {
		t.Errorf("Parts = %v, %v; want one", parts, err)
	}
	if err := s.DeleteRun(ctx, someRun); err != nil {
		t.Errorf("DeleteRun: %v", err)
	}
	if _, err := os.Stat(file(dir, "runs/shop/uid-1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after DeleteRun the run's folder: %v; want that it is gone", err)
	}
}

// TestLock has the folder's lock in other hands, of another process or of this one: callers wait as long as their contexts let
// them, and then do nothing.
func TestLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := inFolder(t, dir)
	wrote(t, s, "one")
	refused := func(t *testing.T) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		err := s.objects.(*folder).exclusive(ctx, func() error {
			t.Error("two had the lock at once")
			return nil
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting for the lock: %v; want the context's error", err)
		}
		_, err = s.Append(ctx, someRun, "journal", "pod-1", 3, []byte("two"))
		if !errors.Is(err, ErrStore) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Append: %v; want ErrStore and the context's error", err)
		}
	}
	// A lock belongs to the open file, so a second one is as good as a second process.
	other, err := os.Open(filepath.Join(dir, lockName))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	refused(t)
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	if err := s.objects.(*folder).exclusive(t.Context(), func() error { refused(t); return nil }); err != nil {
		t.Errorf("the lock when it is free: %v", err)
	}
	wrote(t, s, "two")
	wantContents(t, s, "onetwo")
}

// TestLinks has a folder in which somebody else put a link that leads out.
func TestLinks(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	s := inFolder(t, dir)
	spoil(t, filepath.Join(outside, "kept"), "x")
	if err := os.MkdirAll(filepath.Join(dir, "runs", "shop"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "runs", "shop", "uid-1")); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteRun(t.Context(), someRun); err != nil {
		t.Errorf("DeleteRun: %v", err)
	}
	if _, err := os.Stat(filepath.Join(outside, "kept")); err != nil {
		t.Errorf("what a link led to: %v", err)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "plain")
	spoil(t, plain, "no folder")
	tests := map[string]struct{ reason, url, want string }{
		"Empty":       {"nothing was set", "", "use file:///FOLDER"},
		"Path":        {"a path is no URL", "/var/lib/store", "use file:///FOLDER"},
		"Scheme":      {"a scheme that nobody knows", "ftp://host/x", `the scheme "ftp"`},
		"Host":        {"two slashes make a host of the folder", "file://var/lib/store", "three slashes"},
		"Relative":    {"where the process stands is chance", "file:store", "three slashes"},
		"Root":        {"the root folder", "file:///", "root folder"},
		"RootInDots":  {"the root folder in disguise", "file:///var/..", "root folder"},
		"FolderQuery": {"parameters of the driver that would break it", "file:///tmp/x?metadata=", "takes none"},
		"NoBucket":    {"S3 without a bucket", "s3:///x", "has a path"},
		"BucketPath":  {"a path would be ignored", "s3://bucket/a/b", "?prefix=a/b/"},
		"NoName":      {"no bucket at all", "s3://", "names no bucket"},
		"User":        {"a secret in the URL", "s3://key:hush@bucket", "credentials never belong there"},
		"Parameter":   {"a parameter that the driver does not know", "s3://bucket?regoin=x", "regoin"},
		"Unreadable":  {"no URL", "s3://buc ket?secret=hush", "cannot be read"},
		"NoFolder":    {"a file where the folder is to be", "file://" + plain, "not a directory"},
		"BelowFile":   {"a folder below a file", "file://" + plain + "/x", "not a directory"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := Open(t.Context(), tc.url)
			if err == nil {
				t.Fatalf("%s: %s was opened: %v", tc.reason, tc.url, s.Close())
			}
			if !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("%s: %v; want it to say %q, and no secret", tc.reason, err, tc.want)
			}
		})
	}
}
