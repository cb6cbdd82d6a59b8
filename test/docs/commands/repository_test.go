package commands

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dbt-operator/dbt-operator/test/docs/pages"
)

// target is the definition of a target in the Makefile, variable a word that sets one.
var (
	target   = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
	variable = regexp.MustCompile(`^[A-Z_]+=`)
)

// makefile checks calls of make: the targets are there.
func makefile(t *testing.T, r *pages.Repository) checker {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(r.Root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, m := range target.FindAllStringSubmatch(string(content), -1) {
		targets = append(targets, m[1])
	}
	return func(_ string, call pages.Call) string {
		for _, word := range call.Words[1:] {
			if !variable.MatchString(word) && !slices.Contains(targets, word) {
				return "the Makefile has no target " + word
			}
		}
		return ""
	}
}

// script checks calls of files: they are there, and can be executed.
func script(r *pages.Repository) checker {
	return func(page string, call pages.Call) string {
		name, ok := find(r, page, call.Words[0])
		if !ok {
			return "there is no file " + call.Words[0]
		}
		info, err := os.Stat(filepath.Join(r.Root, name))
		if err != nil {
			return err.Error()
		}
		// A file or folder that the text only names is no call.
		if !info.IsDir() && info.Mode()&0o111 == 0 && !(call.Span && len(call.Words) == 1) {
			return name + " cannot be executed"
		}
		return ""
	}
}

// golang checks calls of go run and go test: the packages are there, and the tests.
func golang(r *pages.Repository) checker {
	return func(_ string, call pages.Call) string {
		run, folder := "", ""
		for i, word := range call.Words {
			switch {
			case folder != "" && call.Words[1] == "run":
				// What follows is the program's.
			case word == "-run" && i+1 < len(call.Words):
				run = call.Words[i+1]
			case strings.HasPrefix(word, "./"):
				folder = path.Clean(strings.TrimSuffix(word, "..."))
				if !r.Files[folder] {
					return "there is no folder " + folder
				}
			}
		}
		if call.Words[1] == "run" && folder != "" && !contains(r, folder, "package main\n") {
			return folder + " is no command: it has no package main"
		}
		name, _, _ := strings.Cut(strings.Trim(run, "^$"), "/")
		if name != "" && folder != "" && !contains(r, folder, "func "+name) {
			return fmt.Sprintf("no test of %s is called %s", folder, name)
		}
		return ""
	}
}

// contains reports whether a Go file of a folder holds a text.
func contains(r *pages.Repository, folder, text string) bool {
	files, err := filepath.Glob(filepath.Join(r.Root, folder, "*.go"))
	if err != nil {
		return false
	}
	for _, file := range files {
		if content, err := os.ReadFile(file); err == nil && strings.Contains("\n"+string(content), "\n"+text) {
			return true
		}
	}
	return false
}

// find returns a file or folder that a page speaks of, from the repository's root or from where the page lies.
func find(r *pages.Repository, page, name string) (string, bool) {
	for _, at := range []string{path.Clean(name), path.Join(path.Dir(page), name)} {
		if r.Files[at] {
			return at, true
		}
	}
	return "", false
}
