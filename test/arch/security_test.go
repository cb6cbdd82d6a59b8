package arch

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const (
	// inputs is how many inputs and faults are to be tried.
	inputs = 43
	// ofPolicies begins the names of tests that come with config/policy, and need not be there before it is.
	ofPolicies = "TestItem"
)

var (
	// row is a row of the table in docs/security.md: number, input, expected result, tests.
	row = regexp.MustCompile(`(?m)^\| (\d+) \| (.*) \| (.*) \| (.*) \|$`)
	// testName is the name of a test in a page.
	testName = regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
	// testFunc is the beginning of a test.
	testFunc = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(t \*testing\.T\)`)
)

// The table has all rows, no empty cell, and names only tests that there are.
func TestEveryInputIsTried(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, policies := os.Stat(filepath.Join(root, "config", "policy"))
	for _, finding := range untried(string(page), testFuncs(t), policies == nil) {
		t.Error(finding)
	}
}

func TestUntriedInputsAreFound(t *testing.T) {
	t.Parallel()
	rows := func(change func(n int, cells []string)) string {
		var page strings.Builder
		for n := 1; n <= inputs; n++ {
			cells := []string{strconv.Itoa(n), "an input", "refused", "`TestThere`"}
			if change != nil {
				change(n, cells)
			}
			if cells[0] != "" {
				page.WriteString("| " + strings.Join(cells, " | ") + " |\n")
			}
		}
		return page.String()
	}
	at := func(cell int, value string) func(int, []string) {
		return func(n int, cells []string) {
			if n == 5 {
				cells[cell] = value
			}
		}
	}
	for name, tc := range map[string]struct {
		reason, page string
		policies     bool
		want         string
	}{
		"Whole":    {"all is there", rows(nil), true, ""},
		"Missing":  {"a row is gone", rows(at(0, "")), true, "row 5 is missing"},
		"Empty":    {"nothing is expected", rows(at(2, "")), true, "row 5 has an empty cell"},
		"NoTest":   {"no test is named", rows(at(3, "soon")), true, "row 5 names no test"},
		"NotThere": {"a test was renamed", rows(at(3, "`TestGone`")), true, "row 5 names TestGone"},
		"Awaited":  {"the policies are to come", rows(at(3, "`TestItem5`")), false, ""},
		"Overdue":  {"the policies are there, their tests are not", rows(at(3, "`TestItem5`")), true, "row 5 names TestItem5"},
	} {
		got := strings.Join(untried(tc.page, map[string]bool{"TestThere": true}, tc.policies), "; ")
		if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %s: got %q, want %q", name, tc.reason, got, tc.want)
		}
	}
}

// untried says what the table of a page lacks, a sentence each.
func untried(page string, there map[string]bool, policies bool) []string {
	var findings []string
	add := func(n int, what string) {
		findings = append(findings, "docs/security.md: row "+strconv.Itoa(n)+" "+what)
	}
	rows := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(page, -1) {
		rows[m[1]] = m[2:]
	}
	for n := 1; n <= inputs; n++ {
		cells, ok := rows[strconv.Itoa(n)]
		if !ok {
			add(n, "is missing")
			continue
		}
		for _, cell := range cells {
			if strings.TrimSpace(cell) == "" {
				add(n, "has an empty cell")
			}
		}
		names := testName.FindAllStringSubmatch(cells[2], -1)
		if len(names) == 0 {
			add(n, "names no test")
		}
		for _, name := range names {
			if !there[name[1]] && (policies || !strings.HasPrefix(name[1], ofPolicies)) {
				add(n, "names "+name[1]+", which is no test of this repository")
			}
		}
	}
	return findings
}

// testFuncs returns the names of all tests of the repository.
func testFuncs(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "bin" || d.Name() == ".git" || d.Name() == ".cluster"):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		content, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllSubmatch(content, -1) {
			found[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
