package runner

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// mount writes a ConfigMap as kubelet does: the files in a folder with a time for a name, "..data" a link to it, and a
// link per file or first folder into "..data".
func mount(t *testing.T, dir, version string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		makeFile(t, filepath.Join(dir, version, name), content)
		first, _, _ := strings.Cut(name, "/")
		link := filepath.Join(dir, first)
		if _, err := os.Lstat(link); err == nil {
			continue
		}
		if err := os.Symlink(filepath.Join("..data", first), link); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(dir, "..data")
	_ = os.Remove(data)
	if err := os.Symlink(version, data); err != nil {
		t.Fatal(err)
	}
}

// tree returns the regular files below dir by relative path, and fails the test for anything else but folders.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			t.Errorf("%s is no regular file: %s", p, d.Type())
			return nil
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		out[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMountedConfigMap(t *testing.T) {
	files := map[string]string{"dbt_project.yml": "name: shop", "models/a.sql": "select 1", "models/marts/b.sql": "select 2", ".hidden": "x"}
	p := newPod(t)
	p.paths.ConfigMap = t.TempDir()
	mount(t, p.paths.ConfigMap, "..2026_11_24_06_00_00.1", files)
	code, report := p.run()
	if code != 0 {
		t.Fatalf("exit code %d: %+v", code, report)
	}
	if diff := cmp.Diff(files, tree(t, p.paths.Workspace+"/project")); diff != "" {
		t.Errorf("the project must be the files of the ConfigMap (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(report.Source, "sha256:") {
		t.Errorf("source %q, want a digest", report.Source)
	}
}

func TestConfigMapDigest(t *testing.T) {
	base := map[string]string{"dbt_project.yml": "name: shop", "models/a.sql": "select 1"}
	with := func(name, content string) map[string]string {
		out := map[string]string{name: content}
		for n, c := range base {
			if _, set := out[n]; !set {
				out[n] = c
			}
		}
		return out
	}
	digest := func(t *testing.T, files map[string]string, version string) string {
		t.Helper()
		dir := t.TempDir()
		mount(t, dir, version, files)
		p, err := fetchConfigMap(dir, filepath.Join(t.TempDir(), "project"), "jaffle")
		if err != nil {
			t.Fatal(err)
		}
		return p.Revision
	}
	want := digest(t, base, "..1")
	if got := digest(t, base, "..2"); got != want {
		t.Errorf("the same files mounted at another time have digest %s, want %s", got, want)
	}
	packed := map[string]string{archiveKey: string(pack(t, file("dbt_project.yml", "name: shop"), file("models/a.sql", "select 1")))}
	if got := digest(t, packed, "..1"); got != want {
		t.Errorf("the same files as an archive have digest %s, want %s", got, want)
	}
	reordered := map[string]string{archiveKey: string(pack(t, folder("models"), file("models/a.sql", "select 1"), file("dbt_project.yml", "name: shop")))}
	if got := digest(t, reordered, "..1"); got != want {
		t.Errorf("the same files in another order have digest %s, want %s", got, want)
	}
	for name, files := range map[string]map[string]string{
		"content": with("models/a.sql", "select 2"), "added": with("models/b.sql", ""), "renamed": {"dbt_project.yml": "name: shop", "models/b.sql": "select 1"},
	} {
		if got := digest(t, files, "..1"); got == want {
			t.Errorf("%s: the digest did not change", name)
		}
	}
}

type entry struct {
	header tar.Header
	body   string
	size   int64 // zeros, in place of body
}

func file(name, body string) entry {
	return entry{header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600}, body: body}
}

func folder(name string) entry {
	return entry{header: tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}}
}

func link(kind byte, name, to string) entry {
	return entry{header: tar.Header{Name: name, Typeflag: kind, Linkname: to}}
}

func zeros(name string, size int64) entry {
	return entry{header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600}, size: size}
}

// pack returns a gzipped tar of the entries.
func pack(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	w := tar.NewWriter(zip)
	for _, e := range entries {
		e.header.Size = max(e.size, int64(len(e.body)))
		err := w.WriteHeader(&e.header)
		if e.size > 0 && err == nil {
			_, err = io.CopyN(w, zeroReader{}, e.size)
		} else if err == nil {
			_, err = io.WriteString(w, e.body)
		}
		if err != nil {
			t.Fatalf("packing %q: %v", e.header.Name, err)
		}
	}
	if err := errors.Join(w.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

var projectFile = file("dbt_project.yml", "name: shop")

func TestArchive(t *testing.T) {
	project := map[string]string{"dbt_project.yml": "name: shop", "models/a.sql": "select 1"}
	model := file("models/a.sql", "select 1")
	tests := map[string]struct {
		reason  string
		entries []entry
		dir     string
		want    map[string]string
	}{
		"Flat":     {"tar -C project .", []entry{folder("./"), {header: tar.Header{Name: "./dbt_project.yml", Typeflag: tar.TypeReg}, body: "name: shop"}, folder("./models/"), file("./models/a.sql", "select 1")}, "", project},
		"Bare":     {"files without their folders", []entry{projectFile, model}, "", project},
		"Top":      {"one folder at the top is the project", []entry{folder("shop-main/"), file("shop-main/dbt_project.yml", "name: shop"), file("shop-main/models/a.sql", "select 1")}, "shop-main", project},
		"Comment":  {"what git archive adds is no file", []entry{{header: tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "c0ffee"}}}, projectFile, model}, "", project},
		"Twice":    {"of a path packed twice the last counts, as tar has it", []entry{projectFile, file("models/a.sql", "old"), model}, "", project},
		"Dots":     {"dots in a name are no way out", []entry{projectFile, file("models/..a..sql", "x")}, "", map[string]string{"dbt_project.yml": "name: shop", "models/..a..sql": "x"}},
		"Empty":    {"empty files are files", []entry{projectFile, file("models/a.sql", "")}, "", map[string]string{"dbt_project.yml": "name: shop", "models/a.sql": ""}},
		"LongName": {"names longer than a classic header holds", []entry{projectFile, file("models/"+strings.Repeat("x", 200)+".sql", "x")}, "", map[string]string{"dbt_project.yml": "name: shop", "models/" + strings.Repeat("x", 200) + ".sql": "x"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			from, to := t.TempDir(), filepath.Join(t.TempDir(), "project")
			mount(t, from, "..1", map[string]string{archiveKey: string(pack(t, tc.entries...))})
			p, err := fetchConfigMap(from, to, "jaffle")
			if err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			if want := filepath.Join(to, tc.dir); p.Dir != want {
				t.Errorf("%s: project in %s, want %s", tc.reason, p.Dir, want)
			}
			if diff := cmp.Diff(tc.want, tree(t, p.Dir)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestArchiveRefused(t *testing.T) {
	many := make([]entry, 0, maxArchiveFiles+2)
	many = append(many, projectFile)
	for range maxArchiveFiles {
		many = append(many, folder("d"))
	}
	whole := pack(t, projectFile, file("models/a.sql", strings.Repeat("select 1 -- much\n", 5000)))
	out := `, which leads out of the project: archive the project's folder with relative paths`
	irregular := `, which is no regular file or folder: links and devices are not unpacked`
	const outside = "outside"
	tests := map[string]struct {
		reason  string
		archive []byte
		message string
	}{
		"Parent":       {"a path above", pack(t, projectFile, file("../outside", "x")), `holds "../outside"` + out},
		"Inner":        {"a path above, by a detour", pack(t, projectFile, file("models/../../outside", "x")), `holds "models/../../outside"` + out},
		"ParentFolder": {"a folder above", pack(t, projectFile, folder("../outside")), `holds "../outside"` + out},
		"Absolute":     {"an absolute path", pack(t, projectFile, file("/tmp/outside", "x")), `holds "/tmp/outside"` + out},
		"NUL":          {"a NUL in a name", nulArchive(t), "is not a tar archive: archive/tar: invalid tar header"},
		"Symlink":      {"a symbolic link", pack(t, projectFile, link(tar.TypeSymlink, "l", "../outside")), `holds "l"` + irregular},
		"HardLink":     {"a hard link", pack(t, projectFile, link(tar.TypeLink, "l", "dbt_project.yml")), `holds "l"` + irregular},
		"LinkThenFile": {"a link to outside and a file through it", pack(t, projectFile, link(tar.TypeSymlink, "l", ".."), file("l/outside", "x")), `holds "l"` + irregular},
		"Device":       {"a device", pack(t, projectFile, entry{header: tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}}), `holds "null"` + irregular},
		"Fifo":         {"a named pipe, which who reads it waits for", pack(t, projectFile, entry{header: tar.Header{Name: "p", Typeflag: tar.TypeFifo}}), `holds "p"` + irregular},
		"Bomb":         {"a small archive of much nothing", pack(t, projectFile, zeros("big.csv", maxArchiveBytes)), "unpacks to more than 64 MiB: leave out what is no source, such as target/ and data"},
		"BombInParts":  {"the same in many files", pack(t, projectFile, zeros("a", maxArchiveBytes/2), zeros("b", maxArchiveBytes/2)), "unpacks to more than 64 MiB: leave out what is no source, such as target/ and data"},
		"TooMany":      {"a small archive of many entries", pack(t, many...), "holds more than 20000 files"},
		"NotGzip":      {"a plain tar", []byte("dbt_project.yml"), "is not gzip: gzip: invalid header"},
		"Empty":        {"an empty key", nil, "is not gzip: EOF"},
		"NotTar":       {"gzip of something else", zipped(t, strings.Repeat("no tar at all ", 100)), "is not a tar archive: archive/tar: invalid tar header"},
		"Truncated":    {"an archive cut short in a file", whole[:len(whole)-40], "ends too early: pack it anew"},
		"TruncatedTop": {"an archive cut short in its header", whole[:20], "ends too early: pack it anew"},
		"Corrupt":      {"an archive with a wrong byte", corrupt(whole), "is not a tar archive: gzip: invalid checksum"},
		"FileAsFolder": {"a file where a folder has to be", pack(t, projectFile, file("models", "x"), file("models/a.sql", "x")), `writing "models/a.sql": mkdirat models: file exists`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPod(t)
			p.paths.ConfigMap = t.TempDir()
			mount(t, p.paths.ConfigMap, "..1", map[string]string{archiveKey: string(tc.archive)})
			code, report := p.run()
			if code != journal.ExitSourceFailed || report.Outcome != journal.SourceFailed {
				t.Errorf("%s: exit code %d, outcome %s, want %d and %s", tc.reason, code, report.Outcome, journal.ExitSourceFailed, journal.SourceFailed)
			}
			if want := "ConfigMap jaffle, key project.tar.gz: " + tc.message; report.Message != want {
				t.Errorf("%s:\n got %q\nwant %q", tc.reason, report.Message, want)
			}
			for _, where := range []string{filepath.Dir(p.paths.Workspace), p.paths.Workspace, "/tmp"} {
				if exists(filepath.Join(where, outside)) {
					t.Errorf("%s: something was written outside, to %s", tc.reason, where)
				}
			}
			if n := len(p.dbt.invocations()); n != 0 {
				t.Errorf("%s: dbt was started %d times", tc.reason, n)
			}
			if size := sizeOf(t, p.paths.Workspace); size > maxArchiveBytes+1<<20 {
				t.Errorf("%s: %d bytes were written", tc.reason, size)
			}
		})
	}
}

// nulArchive is a tar whose extended header gives a file a name with a NUL. archive/tar writes no such thing.
func nulArchive(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: strings.Repeat("n", 120), Typeflag: tar.TypeReg, Format: tar.FormatPAX}); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	raw := bytes.Replace(b.Bytes(), []byte("path=n"), []byte("path=\x00"), 1)
	return zipped(t, string(raw))
}

func zipped(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, s)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// corrupt changes the checksum at an archive's end.
func corrupt(archive []byte) []byte {
	out := bytes.Clone(archive)
	out[len(out)-6] ^= 0xff
	return out
}

func sizeOf(t *testing.T, dir string) int64 {
	t.Helper()
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

func TestConfigMapUnavailable(t *testing.T) {
	p := newPod(t)
	p.paths.ConfigMap = filepath.Join(t.TempDir(), "nothing")
	code, report := p.run()
	if code != journal.ExitSourceUnavailable || !strings.HasPrefix(report.Message, "ConfigMap jaffle: ") {
		t.Errorf("a mount that is not there may be there in the next pod: got %d, %+v", code, report)
	}
}

func TestConfigMapLinksOut(t *testing.T) {
	// Kubelet mounts no such thing; whoever can, must not get a file of the node or of a token into the project.
	p := newPod(t)
	p.paths.ConfigMap = t.TempDir()
	mount(t, p.paths.ConfigMap, "..1", map[string]string{"dbt_project.yml": "name: shop"})
	secret := filepath.Join(t.TempDir(), "secret")
	makeFile(t, secret, "secret")
	if err := os.Symlink(secret, filepath.Join(p.paths.ConfigMap, "..1", "leak.sql")); err != nil {
		t.Fatal(err)
	}
	p.run()
	if got := tree(t, p.paths.Workspace+"/project"); len(got) != 1 {
		t.Errorf("a link was followed: %q", got)
	}
}

func TestNoProject(t *testing.T) {
	p := newPod(t)
	p.paths.ConfigMap = t.TempDir()
	mount(t, p.paths.ConfigMap, "..1", map[string]string{"models.sql": "select 1"})
	code, report := p.run()
	want := "spec.source.configMap: found no dbt_project.yml in " + p.paths.Workspace + "/project: name the folder of the dbt project"
	if code != journal.ExitSourceFailed || report.Message != want {
		t.Errorf("got %d %q, want %q", code, report.Message, want)
	}
}
