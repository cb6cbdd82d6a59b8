package dbt

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

const (
	asks   = "packages:\n  - package: dbt-labs/dbt_utils\n    version: [\">=1.0.0\", \"<2.0.0\"]\n"
	locked = "packages:\n  - package: dbt-labs/dbt_utils\n    name: dbt_utils\n    version: 1.3.0\nsha1_hash: 0a1b\n"
)

func TestPinnedPackages(t *testing.T) {
	t.Parallel()
	commit := strings.Repeat("0a", 20)
	for name, c := range map[string]struct {
		reason string
		files  fstest.MapFS
		err    string
	}{
		"locked":       {"versions of the registry", files("packages.yml", asks, "package-lock.yml", locked), ""},
		"commit":       {"commits of git", files("dependencies.yml", asks, "package-lock.yml", "packages:\n  - git: https://example.com/p\n    revision: "+commit+"\n"), ""},
		"no lock":      {"ranges are resolved each time", files("packages.yml", asks), "no package-lock.yml: commit the one that dbt deps writes"},
		"branch":       {"a branch moves on", files("packages.yml", asks, "package-lock.yml", "packages:\n  - git: https://example.com/p\n    revision: main\n"), "neither a version"},
		"tarball":      {"what an address gives may change", files("packages.yml", asks, "package-lock.yml", "packages:\n  - tarball: https://example.com/p.tar.gz\n    name: p\n"), "neither a version"},
		"local":        {"a folder is not in the lock", files("packages.yml", asks, "package-lock.yml", "packages:\n  - local: ../p\n"), "neither a version"},
		"jinja":        {"what it says is not in the files", files("packages.yml", "packages:\n  - git: \"https://{{ env_var('TOKEN') }}@example.com/p\"\n", "package-lock.yml", locked), "packages.yml holds Jinja"},
		"empty lock":   {"it says nothing", files("packages.yml", asks, "package-lock.yml", ""), "lists no packages"},
		"lock of text": {"it cannot be read", files("packages.yml", asks, "package-lock.yml", "\t:"), "lists no packages"},
	} {
		got, err := PinnedPackages(c.files)
		if c.err == "" && (err != nil || len(got) != 64) || c.err != "" && (!errors.Is(err, ErrNotPinned) || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s (%s): %q, %v; want %q", name, c.reason, got, err, c.err)
		}
	}
}

func TestPinnedPackagesDigest(t *testing.T) {
	t.Parallel()
	digest := func(f fs.FS) string {
		d, err := PinnedPackages(f)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	before := digest(files("packages.yml", asks, "package-lock.yml", locked))
	for reason, f := range map[string]fs.FS{
		"another lock":  files("packages.yml", asks, "package-lock.yml", strings.Replace(locked, "1.3.0", "1.3.1", 1)),
		"another wish":  files("packages.yml", asks+"\n", "package-lock.yml", locked),
		"another file":  files("dependencies.yml", asks, "package-lock.yml", locked),
		"one file more": files("packages.yml", asks, "dependencies.yml", "projects: []", "package-lock.yml", locked),
	} {
		if digest(f) == before {
			t.Errorf("%s: the digest is the same", reason)
		}
	}
	if digest(files("packages.yml", asks, "package-lock.yml", locked, "models/a.sql", "select 1")) != before {
		t.Error("a model changes the digest of packages")
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	project := []string{"dbt_project.yml", "name: a", "models/a.sql", "select 1", "dbt_packages/p/macros/m.sql", "x"}
	digest := func(more ...string) string {
		d, err := Fingerprint(files(append(append([]string{}, project...), more...)...))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	before := digest()
	for reason, more := range map[string][]string{
		"a file changed":         {"models/a.sql", "select 2"},
		"a file came":            {"models/b.sql", ""},
		"a package changed":      {"dbt_packages/p/macros/m.sql", "y"},
		"a seed came":            {"seeds/a.csv", "a\n1\n"},
		"a folder called target": {"models/target/b.sql", "select 1"},
	} {
		if digest(more...) == before {
			t.Errorf("%s: the fingerprint is the same", reason)
		}
	}
	for reason, more := range map[string][]string{
		"what dbt wrote":  {"target/manifest.json", "{}"},
		"what dbt logged": {"logs/dbt.log", "x"},
		"git's own":       {".git/HEAD", "x"},
	} {
		if digest(more...) != before {
			t.Errorf("%s: the fingerprint is another", reason)
		}
	}
	linked := files(project...)
	linked["models/b.sql"] = &fstest.MapFile{Data: []byte("/elsewhere"), Mode: fs.ModeSymlink}
	if _, err := Fingerprint(linked); !errors.Is(err, ErrLink) || !strings.Contains(err.Error(), "models/b.sql") {
		t.Errorf("with a link: %v", err)
	}
}

func TestFingerprintOfWhatDependsOnTheRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reason, file, text, want string
	}{
		"config":        {"it is rendered as the file is parsed", "models/a.sql", "{{ config(alias='a_' ~ run_started_at.strftime('%Y')) }} select 1", "models/a.sql uses run_started_at"},
		"nested":        {"behind a call within the config", "models/a.sql", "{{ config(tags=[tag(')'), invocation_id]) }}", "models/a.sql uses invocation_id"},
		"flags":         {"dbt's flags are other ones in the next run", "models/a.sql", "{{ config(materialized='table' if flags.FULL_REFRESH else 'view') }}", "uses flags."},
		"python":        {"models in Python", "models/a.py", "def model(dbt, s):\n    dbt.config(meta={'at': run_started_at})", "models/a.py uses run_started_at"},
		"yaml":          {"properties are rendered, too", "models/a.yml", "models:\n- name: a\n  config:\n    schema: \"{{ modules.datetime.date.today() }}\"", "uses modules.datetime"},
		"project":       {"so is dbt_project.yml", "dbt_project.yml", "models:\n  +enabled: \"{{ flags . WHICH == 'run' }}\"", "uses flags ."},
		"schema name":   {"dbt calls the macro as it parses", "macros/names.sql", "{% macro generate_schema_name(name, node) %}{{ run_started_at }}{% endmacro %}", "macros/names.sql uses run_started_at"},
		"dispatched":    {"so it does one of an adapter's", "macros/names.sql", "{% macro duckdb__generate_alias_name(name, node) %}{{ invocation_id }}{% endmacro %}", "uses invocation_id"},
		"in a package":  {"packages are parsed alike", "dbt_packages/p/models/a.sql", "{{ config(alias=run_started_at) }}", "dbt_packages/p/models/a.sql"},
		"not closed":    {"dbt will say so", "models/a.sql", "{{ config(alias=run_started_at", "uses run_started_at"},
		"a body":        {"the body is rendered anew in each run", "models/a.sql", "{{ config(alias='a') }} select '{{ run_started_at }}' as loaded_at", ""},
		"a macro":       {"so is a macro's", "macros/log.sql", "{% macro stamp() %}{{ modules.datetime.datetime.now() }}{% endmacro %}", ""},
		"a description": {"it is text", "models/a.yml", "description: what run_started_at means", ""},
		"a column":      {"another name", "models/a.sql", "{{ config(alias='last_run_started_at_day') }} select my_flags.a", ""},
		"documentation": {"dbt keeps its text alone", "models/a.md", "{{ run_started_at }}", ""},
		"compiled":      {"dbt wrote it", "target/compiled/a.sql", "{{ config(alias=run_started_at) }}", ""},
	} {
		_, err := Fingerprint(files(c.file, c.text))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s (%s): %v", name, c.reason, err)
		case c.want != "" && (!errors.Is(err, ErrVolatile) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s (%s): %v, want %q", name, c.reason, err, c.want)
		}
	}
}
