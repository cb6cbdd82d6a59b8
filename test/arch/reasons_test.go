package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// inCell is a name in a cell of a table.
var inCell = regexp.MustCompile("(?m)\\| `([A-Z][A-Za-z]+)` \\|")

// The page of reasons has each reason of the API and each event of the controllers, and no other.
func TestReasonsAreExplained(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "reference", "reasons.md"))
	if err != nil {
		t.Fatal(err)
	}
	conditions, events, found := strings.Cut(string(page), "\n## Events\n")
	if !found {
		t.Fatal("docs/reference/reasons.md has no section Events")
	}
	reasons := constants(t, filepath.Join("api", "v1alpha1", "conditions.go"))
	for name := range reasons {
		if !strings.Contains(conditions, "| `"+name+"` |") {
			t.Errorf("docs/reference/reasons.md does not explain the reason %s", name)
		}
	}
	for _, m := range inCell.FindAllStringSubmatch(conditions, -1) {
		if !reasons[m[1]] {
			t.Errorf("docs/reference/reasons.md explains the reason %s, which api/v1alpha1 does not have", m[1])
		}
	}
	said := literals(t, filepath.Join("internal", "controller", "dbtschedule", "events.go"), filepath.Join("internal", "controller", "dbtrun", "events.go"))
	for _, name := range said {
		if !strings.Contains(events, "| `"+name+"` |") {
			t.Errorf("docs/reference/reasons.md has no event %s", name)
		}
	}
	for _, m := range inCell.FindAllStringSubmatch(events, -1) {
		if !slices.Contains(said, m[1]) && !reasons[m[1]] && !reasons[strings.TrimPrefix(m[1], "Author")] {
			t.Errorf("docs/reference/reasons.md has the event %s, which no controller makes", m[1])
		}
	}
}

// constants returns the values of a file's constants whose names begin with Reason.
func constants(t *testing.T, path string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	ast.Inspect(parsed(t, path), func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
			return true
		}
		if name := unquoted(spec.Values[0]); name != "" {
			out[name] = true
		}
		return true
	})
	if len(out) < 20 {
		t.Fatalf("found %d reasons in %s: what looks for them is wrong", len(out), path)
	}
	return out
}

// literals returns the reasons that files give to events as they stand: in calls of Eventf, and where reason is set.
func literals(t *testing.T, paths ...string) []string {
	t.Helper()
	var out []string
	for _, path := range paths {
		ast.Inspect(parsed(t, path), func(n ast.Node) bool {
			var value ast.Expr
			switch n := n.(type) {
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Eventf" && len(n.Args) > 3 {
					value = n.Args[3]
				}
			case *ast.AssignStmt:
				if name, ok := n.Lhs[0].(*ast.Ident); ok && name.Name == "reason" && len(n.Rhs) == 1 {
					value = n.Rhs[0]
				}
			}
			if name := unquoted(value); name != "" {
				out = append(out, name)
			}
			return true
		})
	}
	if len(out) < 5 {
		t.Fatalf("found the events %v in %v: what looks for them is wrong", out, paths)
	}
	return out
}

func parsed(t *testing.T, path string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// unquoted returns the value of a string literal; nothing of any other expression.
func unquoted(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	value, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return value
}
