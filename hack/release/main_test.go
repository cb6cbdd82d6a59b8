package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/google/go-containerregistry/pkg/name"
	"sigs.k8s.io/yaml"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

const plugin = "kubectl-dbt_linux_amd64.tar.gz"

// made returns a folder with a release of made-up files, whose pieces agree.
func made(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "install.yaml", "kind: Namespace\n")
	for prefix, modules := range needed {
		suffix := ""
		if prefix == "kubectl-dbt_" {
			suffix = ".tar.gz"
		}
		put(t, dir, prefix+"linux_amd64"+suffix, "\x7fELF "+prefix)
		put(t, dir, prefix+"linux_amd64"+bomSuffix, bom(t, modules...))
	}
	manifest, err := krew("v1.2.3", []string{filepath.Join(dir, plugin)})
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, krewFile, string(manifest))
	seal(t, dir)
	return dir
}

// seal writes what speaks of the other files.
func seal(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	statement, err := provenance(build{"v1.2.3", commit, repository, "go1.26"}, files)
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, provenanceFile, string(statement))
	var sums strings.Builder
	for _, path := range append(files, filepath.Join(dir, provenanceFile)) {
		sum, err := digest(path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&sums, "%s  %s\n", sum, filepath.Base(path))
	}
	put(t, dir, sumsFile, sums.String())
}

func put(t *testing.T, dir, file, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func bom(t *testing.T, modules ...string) string {
	t.Helper()
	var components []map[string]string
	for _, m := range modules {
		components = append(components, map[string]string{"type": "library", "name": m})
	}
	raw, err := json.Marshal(map[string]any{"bomFormat": "CycloneDX", "components": components})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(dir string)
		want   string
	}{
		"Whole":   {"all agrees", func(string) {}, ""},
		"Changed": {"a binary was changed afterwards", func(dir string) { put(t, dir, "runner_linux_amd64", "other") }, "runner_linux_amd64: SHA256SUMS says"},
		"NotAttested": {"the sums were made anew, the provenance was not", func(dir string) {
			put(t, dir, "install.yaml", "kind: Pod\n")
			old := readFile(t, dir, provenanceFile)
			seal(t, dir)
			put(t, dir, provenanceFile, old)
		}, "install.yaml: provenance.intoto.json says"},
		"Further": {"a file nobody tells of", func(dir string) { put(t, dir, "extra", "x") }, `extra: SHA256SUMS says ""`},
		"Missing": {"a file was left out", func(dir string) { _ = os.Remove(filepath.Join(dir, "install.yaml")) }, "install.yaml is told of and not there"},
		"NoBom": {"a binary without a bill of materials", func(dir string) {
			_ = os.Remove(filepath.Join(dir, "manager_linux_amd64"+bomSuffix))
			_ = os.Remove(filepath.Join(dir, sumsFile))
			_ = os.Remove(filepath.Join(dir, provenanceFile))
			seal(t, dir)
		}, "manager_linux_amd64.cdx.json: no such file"},
		"ThinBom": {"a bill of materials that lacks a module", func(dir string) {
			put(t, dir, "manager_linux_amd64"+bomSuffix, bom(t, "k8s.io/client-go"))
		}, "does not list sigs.k8s.io/controller-runtime"},
		"OldKrew": {"the plugin was built anew, krew's manifest was not made", func(dir string) {
			put(t, dir, plugin, "other")
			seal(t, dir)
		}, plugin + ": dbt.krew.yaml says"},
		"NotInKrew": {"a platform that krew is not told of", func(dir string) {
			put(t, dir, "kubectl-dbt_darwin_arm64.tar.gz", "x")
			put(t, dir, "kubectl-dbt_darwin_arm64"+bomSuffix, bom(t, needed["kubectl-dbt_"]...))
			seal(t, dir)
		}, "kubectl-dbt_darwin_arm64.tar.gz is not told of in dbt.krew.yaml"},
		"NoPluginBom": {"the plugin without a bill of materials", func(dir string) {
			put(t, dir, "kubectl-dbt_linux_amd64"+bomSuffix, bom(t, "github.com/spf13/cobra"))
		}, "kubectl-dbt_linux_amd64.cdx.json does not list k8s.io/cli-runtime"},
		"NoSums": {"nothing to check by", func(dir string) { _ = os.Remove(filepath.Join(dir, sumsFile)) }, "SHA256SUMS"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := made(t)
			tc.change(dir)
			err := run([]string{"check", dir})
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%s: got %v, want %q", tc.reason, err, tc.want)
			}
		})
	}
}

func readFile(t *testing.T, dir, file string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestProvenance(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "b", "two")
	put(t, dir, "a", "one")
	out := filepath.Join(dir, "out")
	args := []string{"provenance", "-version", "v1.2.3", "-commit", commit, "-o", out, filepath.Join(dir, "b"), filepath.Join(dir, "a")}
	if err := run(args); err != nil {
		t.Fatal(err)
	}
	first := readFile(t, dir, "out")
	const want = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":"7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"}},{"name":"b","digest":{"sha256":"3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{`
	if !strings.HasPrefix(first, want) || !strings.Contains(first, `"gitCommit":"`+commit+`"`) || !strings.Contains(first, `"version":"v1.2.3"`) {
		t.Errorf("got %s\nwant %s…", first, want)
	}
	if err := run(args); err != nil {
		t.Fatal(err)
	}
	if second := readFile(t, dir, "out"); second != first {
		t.Errorf("made twice it differs:\n%s%s", first, second)
	}
}

func TestIndex(t *testing.T) {
	dir := t.TempDir()
	var images []string
	for _, arch := range []string{"amd64", "arm64"} {
		img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: arch})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, arch+".tar")
		if err := tarball.WriteToFile(path, name.MustParseReference("localhost/x:1"), img); err != nil {
			t.Fatal(err)
		}
		images = append(images, path)
	}
	index := func(file string) string {
		if err := run(append([]string{"index", "-o", filepath.Join(dir, file), "-ref", "localhost/x:1"}, images...)); err != nil {
			t.Fatal(err)
		}
		return readFile(t, dir, file)
	}
	if index("one.tar") != index("two.tar") {
		t.Error("the same images gave two indexes")
	}
	unpack(t, filepath.Join(dir, "one.tar"), filepath.Join(dir, "layout"))
	outer, err := layout.ImageIndexFromPath(filepath.Join(dir, "layout"))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := outer.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 || manifest.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "localhost/x:1" {
		t.Fatalf("the layout has %+v, %v", manifest, err)
	}
	inner, err := outer.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err = inner.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range manifest.Manifests {
		got = append(got, m.Platform.String())
	}
	if strings.Join(got, " ") != "linux/amd64 linux/arm64" {
		t.Errorf("platforms: got %q", got)
	}
}

// unpack unpacks a tar that this program wrote.
func unpack(t *testing.T, path, dir string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, h.Name)), 0o750); err != nil {
			t.Fatal(err)
		}
		put(t, dir, h.Name, string(raw))
	}
}

func TestRefusals(t *testing.T) {
	for reason, tc := range map[string]struct {
		args []string
		want string
	}{
		"nothing to do":            {nil, "want archive, krew, index, provenance or check"},
		"no such thing":            {[]string{"sign"}, `found "sign"`},
		"an index of nothing":      {[]string{"index", "-o", "x", "-ref", "y"}, "at least one image"},
		"provenance of nothing":    {[]string{"provenance", "-o", "x"}, "at least one file"},
		"a commit that is none":    {[]string{"provenance", "-o", "x", "-version", "v1", "-commit", "main", "f"}, "want a version and 40 hexadecimal digits"},
		"a file that is not there": {[]string{"provenance", "-o", "x", "-version", "v1", "-commit", commit, "/nowhere"}, "no such file"},
	} {
		if err := run(tc.args); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want an error with %q", reason, err, tc.want)
		}
	}
}

func TestArchive(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "kubectl-dbt", "program")
	put(t, dir, "LICENSE", "text")
	program := filepath.Join(dir, "kubectl-dbt")
	if err := os.Chmod(program, 0o700); err != nil {
		t.Fatal(err)
	}
	files := []string{program, filepath.Join(dir, "LICENSE")}
	first, second := filepath.Join(dir, "a.tar.gz"), filepath.Join(dir, "b.tar.gz")
	if err := writeArchive(first, files); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	if err := errors.Join(os.Chtimes(program, later, later), os.Chmod(program, 0o755), writeArchive(second, files)); err != nil {
		t.Fatal(err)
	}
	if readFile(t, dir, "a.tar.gz") != readFile(t, dir, "b.tar.gz") {
		t.Error("the same files give other bytes")
	}
	zip, err := gzip.NewReader(strings.NewReader(readFile(t, dir, "a.tar.gz")))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for in := tar.NewReader(zip); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		b, readErr := io.ReadAll(in)
		if err := errors.Join(err, readErr); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %o %s", h.Name, h.Mode, b))
	}
	if want := "kubectl-dbt 755 program, LICENSE 644 text"; strings.Join(got, ", ") != want {
		t.Errorf("packed %q, want %s", got, want)
	}
	if err := writeArchive(first, []string{filepath.Join(dir, "nothing")}); err == nil {
		t.Error("a file that is not there was packed")
	}
}

func TestKrew(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "kubectl-dbt_windows_amd64.tar.gz", "w")
	put(t, dir, "kubectl-dbt_linux_arm64.tar.gz", "l")
	manifest, err := krew("v1.2.3", []string{filepath.Join(dir, "kubectl-dbt_windows_amd64.tar.gz"), filepath.Join(dir, "kubectl-dbt_linux_arm64.tar.gz")})
	if err != nil {
		t.Fatal(err)
	}
	var p krewPlugin
	if err := yaml.UnmarshalStrict(manifest, &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Spec.Platforms) != 2 {
		t.Fatalf("found %d platforms", len(p.Spec.Platforms))
	}
	linux, windows := p.Spec.Platforms[0], p.Spec.Platforms[1]
	if linux.URI != repository+"/releases/download/v1.2.3/kubectl-dbt_linux_arm64.tar.gz" || linux.Bin != "kubectl-dbt" || linux.Selector.MatchLabels["arch"] != "arm64" {
		t.Errorf("linux: %+v", linux)
	}
	if windows.Bin != "kubectl-dbt.exe" || windows.Selector.MatchLabels["os"] != "windows" || len(windows.SHA256) != 64 {
		t.Errorf("windows: %+v", windows)
	}
	if _, err := krew("v1.2.3", []string{filepath.Join(dir, "kubectl-dbt.tar.gz")}); err == nil {
		t.Error("an archive without a platform was taken")
	}
}
