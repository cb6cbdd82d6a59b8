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

// A manifest that no page tells of is not found, and its warehouse's side is missing.
func TestEveryWarehouseHasItsRecipe(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "warehouses.md"))
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := filepath.Glob(filepath.Join(root, "examples", "warehouses", "*.yaml"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no manifests in examples/warehouses (error %v)", err)
	}
	for _, path := range manifests {
		if file := filepath.Base(path); !strings.Contains(string(page), "](../examples/warehouses/"+file+")") {
			t.Errorf("docs/warehouses.md has no link to %s", file)
		}
	}
	for _, section := range strings.Split(string(page), "\n## ")[1:] {
		name, _, _ := strings.Cut(section, "\n")
		if name != "What all of them need" && name != "AWS: the role" && !strings.Contains(section, "**Read**") {
			t.Errorf("docs/warehouses.md: %s does not say where it was read, or that it is run here", name)
		}
	}
}

// The image of those who have a container engine is the one that test/e2e looks into: nothing but what is copied into it,
// and a user by number who is not root.
func TestDockerfileEndsInNothing(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	stages := regexp.MustCompile(`(?m)^FROM `).Split(string(raw), -1)
	last := stages[len(stages)-1]
	if !strings.HasPrefix(last, "scratch\n") {
		t.Errorf("the last stage begins with %.40q, want scratch", last)
	}
	if !regexp.MustCompile(`(?m)^USER [1-9]\d*:[1-9]\d*$`).MatchString(last) {
		t.Error("the last stage sets no user and group by number other than root")
	}
	if strings.Contains(last, "RUN ") {
		t.Error("the last stage runs something, which takes a shell")
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
