package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func TestPackagesImportOnlyWhatTheyMayKnow(t *testing.T) {
	t.Parallel()
	for _, p := range list(t) {
		for _, finding := range check(p, rules, isStandard) {
			t.Error(finding)
		}
	}
}

func TestEveryRuleNamesAPackage(t *testing.T) {
	t.Parallel()
	for name, r := range rules {
		for _, imported := range r.imports {
			if _, ok := rules[imported]; !ok {
				t.Errorf("rule of %s allows %s, which has no rule of its own: a package was renamed or removed", name, imported)
			}
		}
	}
}

// A check that cannot fail is worth nothing: each kind of breach is found in a made-up package.
func TestBreachesAreFound(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		reason string
		pkg    pkg
		want   string
	}{
		"PackageOfThisModule": {
			reason: "a decision that knows the controllers could call back into them",
			pkg:    pkg{ImportPath: module + "internal/lifecycle", Imports: []string{module + "internal/controller"}},
			want:   "internal/lifecycle imports internal/controller",
		},
		"PackageOfAnotherModule": {
			reason: "a client in a decision is I/O",
			pkg:    pkg{ImportPath: module + "internal/lifecycle", Imports: []string{"sigs.k8s.io/controller-runtime/pkg/client"}},
			want:   "internal/lifecycle imports sigs.k8s.io/controller-runtime/pkg/client",
		},
		"InputAndOutput": {
			reason: "a decision that reads a file is not one",
			pkg:    pkg{ImportPath: module + "internal/lifecycle", Imports: []string{"os"}},
			want:   "internal/lifecycle imports os",
		},
		"ThroughAnotherPackage": {
			reason: "the runner must stay small however it comes by a package",
			pkg:    pkg{ImportPath: module + "internal/dbt", Deps: []string{"k8s.io/apimachinery/pkg/types"}},
			want:   "internal/dbt depends on k8s.io/apimachinery/pkg/types",
		},
		"SubfolderOfAPackageWithARule": {
			reason: "a new folder does not escape the rule above it",
			pkg:    pkg{ImportPath: module + "internal/runner/git", Imports: []string{"k8s.io/api/core/v1"}},
			want:   "internal/runner/git imports k8s.io/api/core/v1",
		},
		"PackageWithoutARule": {
			reason: "a new package must say what it may know",
			pkg:    pkg{ImportPath: module + "internal/novelty"},
			want:   "internal/novelty has no rule",
		},
		"TestHelper": {
			reason: "helpers of tests must not be shipped",
			pkg:    pkg{ImportPath: module + "cmd/manager", Imports: []string{module + "internal/testutil"}},
			want:   "cmd/manager imports internal/testutil",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := check(tc.pkg, rules, isStandard)
			if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, tc.want) }) {
				t.Errorf("%s: check(...) = %q, want a finding with %q", tc.reason, got, tc.want)
			}
		})
	}
}

// check returns what a package breaks, a sentence each.
func check(p pkg, rules map[string]rule, standard func(string) bool) []string {
	name := strings.TrimPrefix(p.ImportPath, module)
	if within(name, outside) {
		return nil
	}
	r, ok := ruleOf(name, rules)
	if !ok {
		return []string{fmt.Sprintf("%s has no rule: add it to test/arch/rules_test.go and to .golangci.yml, with what it may import", name)}
	}
	var findings []string
	for _, imported := range p.Imports {
		own, isOwn := strings.CutPrefix(imported, module)
		switch {
		case isOwn && !slices.Contains(r.imports, own) && !strings.HasPrefix(own, name+"/"),
			!isOwn && !standard(imported) && !hasPrefix(imported, r.external),
			r.pure && slices.Contains(impure, imported):
			findings = append(findings, fmt.Sprintf("%s imports %s, which it must not know (test/arch/rules_test.go)", name, strings.TrimPrefix(imported, module)))
		}
	}
	// One forbidden package brings many with it: the first says enough.
	if i := slices.IndexFunc(p.Deps, func(dep string) bool { return hasPrefix(dep, r.never) }); i >= 0 {
		findings = append(findings, fmt.Sprintf("%s depends on %s, which it must never know, be it through another package (test/arch/rules_test.go)", name, p.Deps[i]))
	}
	return findings
}

// ruleOf returns the rule of a package, or of the nearest folder above it that has one.
func ruleOf(name string, rules map[string]rule) (rule, bool) {
	for {
		if r, ok := rules[name]; ok {
			return r, true
		}
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return rule{}, false
		}
		name = name[:i]
	}
}

func within(name string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return name == f || strings.HasPrefix(name, f+"/") })
}

func hasPrefix(path string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
}

// isStandard reports whether a path is of the standard library: its first element has no dot.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// list returns the packages of the module, without their tests.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps", module+"...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var pkgs []pkg
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("reading what go list printed: %v", err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < len(rules)/2 {
		t.Fatalf("go list found %d packages of %s: fewer than there are rules", len(pkgs), module)
	}
	return pkgs
}
