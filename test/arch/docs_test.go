package arch

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// link is the target of a Markdown link to a file of this repository.
	link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	// makes is a call of make in a page, with its targets.
	makes = regexp.MustCompile("(?m)(?:^|`|\\$ )make ((?:[a-z0-9-]+ ?)+)")
	// target is the definition of a target in the Makefile.
	target = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
)

func TestLinksOfPagesLeadSomewhere(t *testing.T) {
	t.Parallel()
	for page, content := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(content, -1) {
			path := filepath.Join(root, filepath.Dir(page), m[1])
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
}

func TestPagesNameOnlyTargetsThereAre(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, m := range target.FindAllStringSubmatch(string(makefile), -1) {
		targets = append(targets, m[1])
	}
	found := 0
	for page, content := range pages(t) {
		for _, m := range makes.FindAllStringSubmatch(content, -1) {
			for _, name := range strings.Fields(m[1]) {
				found++
				if !slices.Contains(targets, name) {
					t.Errorf("%s says `make %s`; the Makefile has no such target", page, name)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("found %d calls of make in all pages: the expression that looks for them is wrong", found)
	}
}

const root = "../.."

// pages returns the content of the repository's Markdown files by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "*.md")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("not in a git checkout: %v", err)
	}
	found := map[string]string{}
	for path := range strings.Lines(string(out)) {
		path = strings.TrimSpace(path)
		content, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		found[path] = string(content)
	}
	return found
}
