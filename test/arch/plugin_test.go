package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// typed is a call of the plugin in a page, with its command.
	typed = regexp.MustCompile("(?m)(?:^\\$ |`|&& |^)kubectl dbt ([a-z]+)([^`\\n]*)")
	// offered is a command as its source defines it.
	offered = regexp.MustCompile(`Use:\s+"([a-z]+)`)
	// flagged is a flag in a page.
	flagged = regexp.MustCompile(`--([a-z][a-z-]+)`)
)

// What pages say to type is there: each command of the plugin, and each flag.
func TestPagesNameOnlyCommandsThereAre(t *testing.T) {
	t.Parallel()
	sources, err := filepath.Glob(filepath.Join(root, "internal", "cli", "command", "*.go"))
	if err != nil || len(sources) == 0 {
		t.Fatalf("no sources of the plugin's commands (error %v)", err)
	}
	// Cobra's and kubectl's own.
	commands := map[string]bool{"completion": true, "options": true, "help": true}
	var code strings.Builder
	for _, path := range sources {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(b)
		for _, m := range offered.FindAllStringSubmatch(string(b), -1) {
			commands[m[1]] = true
		}
	}
	found := 0
	for page, content := range pages(t) {
		for _, m := range typed.FindAllStringSubmatch(content, -1) {
			found++
			if !commands[m[1]] {
				t.Errorf("%s says `kubectl dbt %s`; there is no such command", page, m[1])
			}
			mine, _, _ := strings.Cut(m[2], " -- ")
			for _, f := range flagged.FindAllStringSubmatch(mine, -1) {
				if !strings.Contains(code.String(), `"`+f[1]+`"`) && !kubectls[f[1]] {
					t.Errorf("%s says `kubectl dbt %s --%s`; the plugin has no such flag", page, m[1], f[1])
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("found %d calls of the plugin in all pages: the expression that looks for them is wrong", found)
	}
}

// kubectls are flags that the plugin has of kubectl's libraries, or hands on to dbt as they are.
var kubectls = map[string]bool{"namespace": true, "context": true, "as": true, "help": true, "watch": true}
