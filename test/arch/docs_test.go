package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

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
