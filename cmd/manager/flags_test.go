package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documented is a flag in the table of docs/operations.md.
var documented = regexp.MustCompile("`--([a-z-]+)`")

// The table of docs/operations.md has each flag, and no other; those of the logger are controller-runtime's.
func TestFlagsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## Flags of the manager\n")
	section, _, found := strings.Cut(section, "\n## ")
	if !found {
		t.Fatal("docs/operations.md has no section on the flags of the manager")
	}
	named := map[string]bool{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, m := range documented.FindAllStringSubmatch(cells[1], -1) {
			named[m[1]] = true
		}
	}
	var o options
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	o.bind(flags)
	flags.VisitAll(func(f *flag.Flag) {
		if !named[f.Name] {
			t.Errorf("docs/operations.md does not name --%s", f.Name)
		}
		delete(named, f.Name)
	})
	for name := range named {
		if !strings.HasPrefix(name, "zap-") {
			t.Errorf("docs/operations.md names --%s, which the manager does not have", name)
		}
	}
}
