package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// imageFiles is all that the operator's image holds.
var imageFiles = []string{"etc/ssl/certs/ca-certificates.crt", "manager", "runner"}

// The image that was built for this cluster runs as a user who is not root, by number, so that kubelet can tell; it holds
// two static programs and the CA bundle, and so neither a shell nor a library.
func TestOperatorImage(t *testing.T) {
	t.Parallel()
	parts := readTar(t, openTar(t, newestImage(t)))
	var manifest []struct {
		Config string
		Layers []string
	}
	decode(t, parts["manifest.json"], &manifest)
	if len(manifest) != 1 {
		t.Fatalf("the tar holds %d images", len(manifest))
	}
	var config struct {
		Config struct{ User string }
	}
	decode(t, parts[manifest[0].Config], &config)
	if !regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`).MatchString(config.Config.User) {
		t.Errorf("the image runs as %q, want a user and a group by number, neither of them root", config.Config.User)
	}
	var got []string
	for _, name := range manifest[0].Layers {
		layer, err := gzip.NewReader(bytes.NewReader(parts[name]))
		if err != nil {
			t.Fatal(err)
		}
		for path, content := range readTar(t, layer) {
			got = append(got, path)
			if !strings.Contains(path, "/") {
				static(t, path, content)
			}
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, imageFiles) {
		t.Errorf("the image holds %q, want %q", got, imageFiles)
	}
}

// static fails when a program needs an interpreter or a library.
func static(t *testing.T, path string, content []byte) {
	t.Helper()
	program, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		t.Fatalf("%s is no program: %v", path, err)
	}
	libraries, err := program.ImportedLibraries()
	interpreted := slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	if err != nil || len(libraries) > 0 || interpreted {
		t.Errorf("%s is not static: libraries %q, interpreter %t, error %v", path, libraries, interpreted, err)
	}
}

// newestImage returns the tar of the operator's image that was built last.
func newestImage(t *testing.T) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "..", "bin", "images", "operator-*.tar"))
	if err != nil || len(paths) == 0 {
		t.Skipf("no image of the operator in bin/images (error %v): this cluster got it in another way", err)
	}
	age := func(path string) time.Time {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime()
	}
	return slices.MaxFunc(paths, func(a, b string) int { return age(a).Compare(age(b)) })
}

func openTar(t *testing.T, path string) io.Reader {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// readTar returns the files of a tar; anything but files and folders fails the test.
func readTar(t *testing.T, in io.Reader) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(in); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		switch h.Typeflag {
		case tar.TypeReg:
			if files[h.Name], err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		case tar.TypeDir:
		default:
			t.Errorf("%s is neither a file nor a folder", h.Name)
		}
	}
}

func decode(t *testing.T, raw []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}
