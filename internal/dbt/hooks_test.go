package dbt

import (
	"testing"
	"testing/fstest"
)

func TestEndHooks(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		files  map[string]string
		want   bool
	}{
		"none":       {"the usual", map[string]string{"dbt_project.yml": "name: shop\n"}, false},
		"start":      {"it is over when nodes have ended", map[string]string{"dbt_project.yml": "on-run-start: select 1\n"}, false},
		"one":        {"as text", map[string]string{"dbt_project.yml": "on-run-end: \"{{ grant() }}\"\n"}, true},
		"several":    {"as a list", map[string]string{"dbt_project.yml": "on-run-end:\n  - select 1\n"}, true},
		"empty":      {"there is nothing to run", map[string]string{"dbt_project.yml": "on-run-end: []\n"}, false},
		"package":    {"those of packages run too", map[string]string{"dbt_project.yml": "name: shop\n", "dbt_packages/elementary/dbt_project.yml": "on-run-end: [x]\n"}, true},
		"elsewhere":  {"in the folder that the project names", map[string]string{"dbt_project.yml": "packages-install-path: lib\n", "lib/p/dbt_project.yml": "on-run-end: [x]\n"}, true},
		"out of it":  {"nobody knows", map[string]string{"dbt_project.yml": "packages-install-path: ../lib\n"}, true},
		"not YAML":   {"nobody knows", map[string]string{"dbt_project.yml": ":\n\t-"}, true},
		"no project": {"there is nothing to run", map[string]string{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := fstest.MapFS{}
			for file, text := range c.files {
				dir[file] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := EndHooks(dir); got != c.want {
				t.Errorf("%s: %t", c.reason, got)
			}
		})
	}
}
