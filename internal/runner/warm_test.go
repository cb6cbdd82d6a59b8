package runner

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/testutil/collectortest"
)

// warmPod returns a pod of dbt 1.x whose run may use and put caches.
func warmPod(t *testing.T, c *collectortest.Collector) *pod {
	t.Helper()
	p := attemptOf(t, c, "pod-a")
	p.plan.Caches = &plan.Caches{Write: true, Parse: true}
	p.dbt.python("dbt_core-1.12.6", "dbt_duckdb-1.11.1")
	p.plan.ProfilesDir = t.TempDir()
	makeFile(t, filepath.Join(p.plan.ProfilesDir, "profiles.yml"), "shop: {target: dev}")
	return p
}

// again is the next run's pod: nothing is left of the one before but what the collector has.
func (p *pod) again() *pod {
	p.t.Helper()
	for _, dir := range []string{p.paths.Workspace, p.paths.TerminationLog} {
		if err := os.RemoveAll(dir); err != nil {
			p.t.Fatal(err)
		}
	}
	makeFile(p.t, filepath.Join(p.paths.Workspace, ".keep"), "")
	p.screen = newScreen()
	return p
}

// mustRun runs the plan, which must end well, and returns what dbt was called with from the nth call on.
func (p *pod) mustRun(from int) []string {
	p.t.Helper()
	if code, report := p.run(); code != 0 {
		p.t.Fatalf("exit code %d, %+v; printed was:\n%s", code, report, p.screen)
	}
	return p.dbt.subCommands()[from:]
}

func (p *pod) parsed() string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.paths.Workspace, "target", partialParse))
	if err != nil {
		return "none"
	}
	return string(b)
}

func parses(content string) step { return step{Target: map[string]string{partialParse: content}} }

func TestParseIsGoneOnWith(t *testing.T) {
	c := collectortest.New(t)
	p := warmPod(t, c)
	p.dbt.script(1, parses("the manifest"))
	p.mustRun(0)
	if len(c.Caches()) != 1 {
		t.Fatalf("kept were %d caches; printed was:\n%s", len(c.Caches()), p.screen)
	}
	p.again().mustRun(1)
	if got := p.parsed(); got != "the manifest" || !strings.Contains(p.screen.String(), "dbt parses on from what an earlier run parsed") {
		t.Errorf("the next run had %q; printed was:\n%s", got, p.screen)
	}
	if len(c.Caches()) != 1 {
		t.Errorf("kept are %d caches", len(c.Caches()))
	}
}

// TestNoStaleParse changes, one after the other, everything that what dbt parsed depends on.
func TestNoStaleParse(t *testing.T) {
	file := func(name, content string) func(*pod) {
		return func(p *pod) { makeFile(p.t, filepath.Join(p.paths.ConfigMap, name), content) }
	}
	for name, change := range map[string]func(*pod){
		"a model":       file("models__a.sql", "select 2"),
		"a new file":    file("b.sql", ""),
		"the project":   file("dbt_project.yml", "name: shop\nvars: {a: 1}\n"),
		"the profile":   func(p *pod) { makeFile(p.t, filepath.Join(p.plan.ProfilesDir, "profiles.yml"), "shop: {target: prod}") },
		"the target":    func(p *pod) { p.plan.Target = "prod" },
		"the variables": func(p *pod) { p.plan.Vars = []byte(`{"a": 1}`) },
		"a variable":    func(p *pod) { p.env = append(p.env, "REGION=eu") },
		"dbt":           func(p *pod) { p.dbt.python("dbt_core-1.12.7", "dbt_duckdb-1.11.1") },
		"the adapter":   func(p *pod) { p.dbt.python("dbt_core-1.12.6", "dbt_duckdb-1.11.2") },
	} {
		t.Run(name, func(t *testing.T) {
			c := collectortest.New(t)
			p := warmPod(t, c)
			file("models__a.sql", "select 1")(p)
			p.dbt.script(1, parses("stale"))
			p.mustRun(0)
			change(p)
			p.dbt.script(2, parses("fresh"))
			p.again()
			p.mustRun(1)
			if got := p.parsed(); got != "fresh" || strings.Contains(p.screen.String(), "parses on") {
				t.Errorf("it went on from %q; printed was:\n%s", got, p.screen)
			}
			if len(c.Caches()) != 2 {
				t.Errorf("kept are %d caches, want one of each", len(c.Caches()))
			}
		})
	}
}

func TestParseIsNotKept(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		change func(*pod)
		says   string
	}{
		"volatile": {"the next run would have this one's time", func(p *pod) {
			makeFile(p.t, filepath.Join(p.paths.ConfigMap, "a.sql"), "{{ config(alias=run_started_at) }}")
		}, "dbt parses all of the project: parsing depends on the run: a.sql uses run_started_at"},
		"secret":        {"dbt notes values of variables", func(p *pod) { p.env = append(p.env, "API_TOKEN=correct-horse") }, "The next run will not find the parse of this one: it holds what must not leave the pod"},
		"deps":          {"packages may change", func(p *pod) { p.plan.Commands = [][]string{{"deps"}, {"build"}} }, "dbt deps is one of its commands"},
		"never":         {"the project says so", func(p *pod) { p.plan.Caches.Parse = false }, ""},
		"read":          {"the run is of a revision of its own", func(p *pod) { p.plan.Caches.Write = false }, ""},
		"no caches":     {"the project is inline", func(p *pod) { p.plan.Caches = nil }, ""},
		"dbt 2.x":       {"it has nothing to go on from", func(p *pod) { p.dbt.binary() }, ""},
		"what is there": {"it cannot be seen", func(p *pod) { p.dbt.python() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			col := collectortest.New(t)
			p := warmPod(t, col)
			c.change(p)
			for n := 1; n <= 2; n++ {
				p.dbt.script(n, parses("manifest correct-horse"))
			}
			p.mustRun(0)
			if len(col.Caches()) != 0 || !strings.Contains(p.screen.String(), c.says) {
				t.Errorf("%s: kept are %d caches; printed was:\n%s", c.reason, len(col.Caches()), p.screen)
			}
		})
	}
}

func TestDamagedCachesAreDoneWithout(t *testing.T) {
	c := collectortest.New(t)
	p := warmPod(t, c)
	p.plan.InstallDeps = true
	makeFile(t, filepath.Join(p.paths.ConfigMap, "packages.yml"), askedPackages)
	makeFile(t, filepath.Join(p.paths.ConfigMap, "package-lock.yml"), lockedPackages)
	p.dbt.script(1, installs("macro"))
	p.dbt.script(2, parses("the manifest"))
	p.mustRun(0)
	for name, content := range c.Caches() {
		c.SetCache(name, content[:len(content)/2])
	}
	p.dbt.script(3, installs("macro"))
	p.dbt.script(4, parses("another"))
	if got := p.again().mustRun(2); !slices.Equal(got, []string{"deps", "build"}) {
		t.Errorf("dbt was called with %q; printed was:\n%s", got, p.screen)
	}
	if got := p.parsed(); got != "another" {
		t.Errorf("it went on from %q", got)
	}
	for _, says := range []string{"The packages of an earlier run could not be had: ", "What an earlier run parsed could not be had: "} {
		if !strings.Contains(p.screen.String(), says) {
			t.Errorf("it did not say %q; printed was:\n%s", says, p.screen)
		}
	}
}

const (
	askedPackages  = "packages: [{package: dbt-labs/dbt_utils, version: 1.3.0}]\n"
	lockedPackages = "packages:\n  - package: dbt-labs/dbt_utils\n    version: 1.3.0\nsha1_hash: 0a1b\n"
)

// installs is what dbt deps does.
func installs(content string) step {
	return step{Target: map[string]string{"../project/dbt_packages/dbt_utils/macros/m.sql": content}}
}

func TestPackagesAreKept(t *testing.T) {
	c := collectortest.New(t)
	p := warmPod(t, c)
	p.plan.InstallDeps, p.plan.Caches.Parse = true, false
	makeFile(t, filepath.Join(p.paths.ConfigMap, "packages.yml"), askedPackages)
	makeFile(t, filepath.Join(p.paths.ConfigMap, "package-lock.yml"), lockedPackages)
	p.dbt.script(1, installs("a macro"))
	if got := p.mustRun(0); !slices.Equal(got, []string{"deps", "build"}) {
		t.Fatalf("the first run called dbt with %q", got)
	}
	if got := p.again().mustRun(2); !slices.Equal(got, []string{"build"}) {
		t.Fatalf("the next run called dbt with %q; printed was:\n%s", got, p.screen)
	}
	if got := readFile(t, filepath.Join(p.paths.Workspace, "project/dbt_packages/dbt_utils/macros/m.sql")); got != "a macro" {
		t.Errorf("the next run had %q", got)
	}
	if !strings.Contains(p.screen.String(), "The packages are those of an earlier run: 1 files, as package-lock.yml has them") {
		t.Errorf("printed was:\n%s", p.screen)
	}
	makeFile(t, filepath.Join(p.paths.ConfigMap, "package-lock.yml"), strings.Replace(lockedPackages, "1.3.0", "1.3.1", 1))
	if got := p.again().mustRun(3); !slices.Equal(got, []string{"deps", "build"}) {
		t.Errorf("with another lock dbt was called with %q", got)
	}
}

func TestPackagesAreNotKept(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		change func(*pod)
		does   step
		says   string
	}{
		"no lock": {"versions are resolved anew each time", func(p *pod) { _ = os.Remove(filepath.Join(p.paths.ConfigMap, "package-lock.yml")) }, installs("x"), "no package-lock.yml"},
		"other lock": {"dbt found that the lock was out of date", nil, step{Target: map[string]string{
			"../project/package-lock.yml": "packages: [{package: a, version: 2}]", "../project/dbt_packages/a/macros/m.sql": "x",
		}}, ""},
		"a secret":    {"somebody put one into a package", func(p *pod) { p.env = append(p.env, "API_TOKEN=correct-horse") }, installs("correct-horse"), "The next run will not find the packages of this one: it holds what must not leave the pod"},
		"no right to": {"the run is of a revision of its own", func(p *pod) { p.plan.Caches.Write = false }, installs("x"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			col := collectortest.New(t)
			p := warmPod(t, col)
			p.plan.InstallDeps, p.plan.Caches.Parse = true, false
			p.plan.LogFormat = plan.LogText
			makeFile(t, filepath.Join(p.paths.ConfigMap, "packages.yml"), askedPackages)
			makeFile(t, filepath.Join(p.paths.ConfigMap, "package-lock.yml"), lockedPackages)
			if c.change != nil {
				c.change(p)
			}
			p.dbt.script(1, c.does)
			p.mustRun(0)
			if len(col.Caches()) != 0 || !strings.Contains(p.screen.String(), c.says) {
				t.Errorf("%s: kept are %d caches; printed was:\n%s", c.reason, len(col.Caches()), p.screen)
			}
		})
	}
}
