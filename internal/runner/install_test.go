package runner

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInstall(t *testing.T) {
	dir := t.TempDir()
	self, path := filepath.Join(dir, "self"), filepath.Join(dir, "runner")
	makeFile(t, self, "new program")
	makeFile(t, path, "old program, of another length")
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	old, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Close() }()
	if err := Install(self, path); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, path); got != "new program" {
		t.Errorf("installed %q", got)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o555 != 0o555 {
		t.Errorf("mode %v, %v, want all to read and execute it: dbt's container runs as another user", info.Mode(), err)
	}
	b := make([]byte, 100)
	if n, _ := old.Read(b); string(b[:n]) != "old program, of another length" {
		t.Errorf("who had the old program open sees %q: the file was written to, not replaced", b[:n])
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("something was left behind: %v", entries)
	}
}

func TestInstallFails(t *testing.T) {
	dir := t.TempDir()
	self, path := filepath.Join(dir, "self"), filepath.Join(dir, "runner")
	makeFile(t, path, "old program")
	if err := Install(self, path); err == nil || !strings.Contains(err.Error(), "installing the runner") {
		t.Errorf("a program that is not there: %v", err)
	}
	if err := Install(dir, path); err == nil {
		t.Error("a folder was installed")
	}
	if got := readFile(t, path); got != "old program" {
		t.Errorf("a failed install left %q: it must appear whole or not at all", got)
	}
	if err := Install(path, filepath.Join(dir, "no", "folder")); err == nil {
		t.Error("a folder that is not there was installed to")
	}
	_ = filepath.WalkDir(dir, func(p string, _ fs.DirEntry, _ error) error {
		if strings.HasSuffix(p, ".new") {
			t.Errorf("a failed install left %s", p)
		}
		return nil
	})
}
