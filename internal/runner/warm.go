package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/ship"
)

// Kinds of caches.
const (
	packagesCache = "packages"
	parseCache    = "parse"
)

// partialParse is the file of the target folder that dbt 1.x parses on from; 2.x has none.
const partialParse = "partial_parse.msgpack"

// caching reports whether the run has caches: a collector that was reached, and a plan that says so.
func (r *Runner) caching() bool {
	return r.plan.Caches != nil && r.collector != nil && r.collector.reached
}

// packagesKey names the cache of a project's packages, empty when there is none to be had.
func (r *Runner) packagesKey(p project) string {
	if !r.caching() {
		return ""
	}
	digest, err := dbt.PinnedPackages(os.DirFS(p.Dir))
	if err != nil {
		r.print.line("info", "The packages are installed anew in each run: "+err.Error())
		return ""
	}
	return cacheName(packagesCache, digest)
}

// cacheName names a cache by its kind and all that makes it valid.
func cacheName(kind string, validity ...string) string {
	h := sha256.New()
	for _, v := range append([]string{"1", kind}, validity...) {
		_, _ = fmt.Fprintf(h, "%d\x00%s\x00", len(v), v)
	}
	return kind + "-" + hex.EncodeToString(h.Sum(nil))
}

// restorePackages reports whether the packages of a project came out of a cache.
func (r *Runner) restorePackages(ctx context.Context, p project, key string) bool {
	if key == "" {
		return false
	}
	folder := filepath.Join(p.Dir, dbt.PackagesFolder(os.DirFS(p.Dir)))
	if leadsOut(folder, p.Dir) {
		return false
	}
	files := 0
	found, err := r.collector.client.Cache(ctx, key, func(body io.Reader) error {
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
		got, err := unpack(body, folder)
		files = len(got)
		return err
	})
	if found && err == nil {
		r.print.line("info", fmt.Sprintf("The packages are those of an earlier run: %d files, as package-lock.yml has them", files))
		return true
	}
	if err != nil {
		r.print.line("warn", "The packages of an earlier run could not be had: "+err.Error())
		_ = os.RemoveAll(folder) // dbt deps makes it
	}
	return false
}

// keepPackages keeps what `dbt deps` has installed, unless it resolved versions anew.
func (r *Runner) keepPackages(p project, key string) {
	if key == "" || !r.plan.Caches.Write || r.packagesKey(p) != key {
		return
	}
	folder := filepath.Join(p.Dir, dbt.PackagesFolder(os.DirFS(p.Dir)))
	r.keepCache(key, func(w io.Writer) error { return archiveFolder(w, folder) })
}

// restoreParse puts the manifest in place that dbt parses on from, or remembers to keep the one that dbt makes.
func (r *Runner) restoreParse(ctx context.Context, p project) {
	key, why := r.parseKey(p)
	if key == "" {
		if why != "" {
			r.print.line("info", "dbt parses all of the project: "+why)
		}
		return
	}
	found, err := r.collector.client.Cache(ctx, key, func(body io.Reader) error {
		return unzip(body, filepath.Join(r.folders.target(), partialParse))
	})
	switch {
	case err != nil:
		r.print.line("warn", "What an earlier run parsed could not be had: "+err.Error())
	case found:
		r.print.line("info", "dbt parses on from what an earlier run parsed of the same files")
	case r.plan.Caches.Write:
		r.parseToKeep = key
	}
}

// parseKey names the cache of what dbt parsed by everything that makes it valid, or says why there is none.
func (r *Runner) parseKey(p project) (key, why string) {
	if !r.caching() || !r.plan.Caches.Parse {
		return "", ""
	}
	if slices.ContainsFunc(r.plan.Commands, func(words []string) bool { return words[0] == "deps" }) {
		return "", "dbt deps is one of its commands, and may change what is parsed"
	}
	engine, ok := installed(r.environ)
	if !ok {
		return "", ""
	}
	source := os.DirFS(p.Dir)
	if missing, err := dbt.MissingPackages(source); err != nil || missing {
		return "", ""
	}
	files, err := dbt.Fingerprint(source)
	if err != nil {
		return "", err.Error()
	}
	profiles := r.plan.ProfilesDir
	if profiles == "" {
		profiles = p.Dir
	}
	profile, err := readSmall(filepath.Join(profiles, "profiles.yml"))
	if err != nil {
		return "", ""
	}
	validity := []string{engine, files, p.Dir, r.plan.Target, string(r.plan.Vars), r.redact.String(string(profile))}
	return cacheName(parseCache, append(validity, r.steady()...)...), ""
}

// keepParse keeps the manifest that dbt made for parsing on from it, once.
func (r *Runner) keepParse() {
	key := r.parseToKeep
	if r.parseToKeep = ""; key == "" {
		return
	}
	made := filepath.Join(r.folders.target(), partialParse)
	aside := filepath.Join(r.folders.artifacts(), partialParse)
	// The next command writes over it.
	err := errors.Join(os.MkdirAll(r.folders.artifacts(), 0o755), copyFile(made, aside))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		r.print.line("warn", "What was parsed is not kept: "+err.Error())
		return
	}
	r.keepCache(key, func(w io.Writer) error {
		in, err := os.Open(aside)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, in)
		return errors.Join(err, in.Close(), os.Remove(aside))
	})
}

// keepCache has what write gives kept, in the background. Nothing is kept that has a secret in it.
func (r *Runner) keepCache(key string, write func(io.Writer) error) {
	r.later(func(ctx context.Context) error {
		path := filepath.Join(r.folders.artifacts(), key)
		err := os.MkdirAll(r.folders.artifacts(), 0o755)
		if err == nil {
			err = r.redact.seal(path, write)
		}
		if err == nil {
			err = r.collector.client.PutCache(ctx, key, path)
		}
		if err != nil {
			kind, _, _ := strings.Cut(key, "-")
			r.print.line("warn", fmt.Sprintf("The next run will not find the %s of this one: %s", kind, err))
		}
		_ = os.Remove(path) // goes with the pod
		if errors.Is(err, ship.ErrRefused) {
			return err
		}
		return nil
	})
}

// perRun are variables of a container that differ in every run.
var perRun = []string{"HOSTNAME", "TRACEPARENT", "TRACESTATE"}

// steady returns the variables of dbt's process that are the same in each run with the same settings. Those whose value is
// a secret are left out: dbt itself looks whether one of them that a project uses has changed.
func (r *Runner) steady() []string {
	var out []string
	for _, e := range r.environ {
		name, value, _ := strings.Cut(e, "=")
		if !slices.Contains(owned, name) && !slices.Contains(perRun, name) && r.redact.String(value) == value {
			out = append(out, e)
		}
	}
	slices.Sort(out)
	return out
}

// installed returns the names and versions of all that is installed beside dbt; ok is false where that cannot be seen, and
// for dbt 2.x, which is one binary and keeps no manifest to parse on from.
func installed(environ []string) (names string, ok bool) {
	path, err := lookPath(environ)
	if err != nil {
		return "", false
	}
	interpreter, ok := interpreterOf(path)
	if !ok {
		return "", false
	}
	var found []string
	for _, packages := range []string{"site-packages", "dist-packages"} {
		matches, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(interpreter)), "lib", "python3*", packages, "*.dist-info"))
		if err == nil {
			found = append(found, matches...)
		}
	}
	slices.Sort(found)
	return strings.Join(found, "\n"), len(found) > 0
}

// interpreterOf returns the program in the first line of a script.
func interpreterOf(script string) (string, bool) {
	f, err := os.Open(script)
	if err != nil {
		return "", false
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 512)
	n, _ := io.ReadFull(f, head) // a script may be shorter
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	line, ok := strings.CutPrefix(line, "#!")
	words := strings.Fields(line)
	if !ok || len(words) == 0 || !filepath.IsAbs(words[0]) {
		return "", false
	}
	return words[0], true
}
