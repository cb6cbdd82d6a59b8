package main

import (
	"archive/tar"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// write makes a file below dir and returns dir.
func write(t *testing.T, dir, name, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return dir
}

// read returns the image that a run of imagetar wrote.
func read(t *testing.T, args ...string) v1.Image {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.tar")
	if err := run(append([]string{"-o", out}, args...)); err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(out, nil)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// names lists the last layer of an image as "mode name".
func names(t *testing.T, img v1.Image) string {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[len(layers)-1].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var got []string
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if err == io.EOF {
			return strings.Join(got, ",")
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.FileInfo().Mode().String()+" "+h.Name)
	}
}

func TestImage(t *testing.T) {
	src := write(t, write(t, t.TempDir(), "b/run", "x", 0o700), "a", "y", 0o600)
	base := filepath.Join(t.TempDir(), "base.tar")
	if err := run([]string{"-o", base, "-ref", "localhost/base:1", "-file", "/bin/run=" + src + "/b/run",
		"-user", "65532", "-env", "A=1", "-entrypoint", "/bin/run"}); err != nil {
		t.Fatal(err)
	}
	img := read(t, "-ref", "localhost/top:1", "-from", base, "-dir", "/dbt/shop="+src, "-env", "B=2", "-arch", "arm64")
	if got, want := names(t, img), "drwxr-xr-x dbt/,drwxr-xr-x dbt/shop/,-rw-r--r-- dbt/shop/a,drwxr-xr-x dbt/shop/b/,-rwxr-xr-x dbt/shop/b/run"; got != want {
		t.Errorf("layer of -dir: got %s, want %s", got, want)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := file.Config
	if len(file.RootFS.DiffIDs) != 2 || c.User != "65532" || strings.Join(c.Env, " ") != "A=1 B=2" || c.Entrypoint[0] != "/bin/run" || file.OS != "linux" || file.Architecture != "arm64" {
		t.Errorf("configuration: got %+v with %d layers", c, len(file.RootFS.DiffIDs))
	}
}

func TestSameContentSameDigest(t *testing.T) {
	digest := func(dir string) v1.Hash {
		h, err := read(t, "-ref", "localhost/x:1", "-dir", "/x="+dir).ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	one, other := write(t, t.TempDir(), "a", "y", 0o600), write(t, t.TempDir(), "a", "y", 0o644)
	if err := os.Chtimes(filepath.Join(other, "a"), time.Unix(0, 0), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	if digest(one) != digest(other) {
		t.Error("two folders of the same content gave images of different digests")
	}
	if digest(one) == digest(write(t, t.TempDir(), "a", "z", 0o600)) {
		t.Error("two folders of different content gave images of the same digest")
	}
}

func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		reason, want string
		args         []string
	}{
		{"without a name nothing could find the image", "-ref are needed", []string{"-o", "x"}},
		{"a relative place has no meaning in an image", "want /DST=SRC", []string{"-o", "x", "-ref", "localhost/x:1", "-dir", "x=y"}},
		{"a folder that is not there is a typing error", "no such file", []string{"-o", "x", "-ref", "localhost/x:1", "-dir", "/x=/nowhere"}},
		{"a word too many is a typing error", "no further arguments", []string{"-o", "x", "-ref", "localhost/x:1", "more"}},
	} {
		if err := run(tc.args); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want an error with %q", tc.reason, err, tc.want)
		}
	}
}
