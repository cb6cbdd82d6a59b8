package commands

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dbt-operator/dbt-operator/test/docs/pages"
)

// checker says what is wrong with a call of a page; nothing if it can be typed.
type checker func(page string, call pages.Call) string

// Every command of every page can be typed, or stands in the list of those that nothing here can try.
func TestCommandsCanBeTyped(t *testing.T) {
	t.Parallel()
	r, err := pages.Read(t.Context(), filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	checks := checkers(t, r)
	used := map[string]bool{}
	counted := map[string]int{}
	for _, p := range r.Pages {
		calls, err := p.Calls()
		if err != nil {
			t.Error(err)
		}
		for _, call := range calls {
			counted[call.Words[0]]++
			if finding := judge(p.Path, call, checks, used); finding != "" {
				t.Error(finding)
			}
		}
	}
	for prefix := range exceptions {
		if !used[prefix] {
			t.Errorf("no page says to type %q any more: remove it from the exceptions of exceptions_test.go", prefix)
		}
	}
	// A reader of pages that finds nothing would find nothing wrong.
	for name, least := range map[string]int{"make": 30, "kubectl": 60, "helm": 2, "go": 4} {
		if counted[name] < least {
			t.Errorf("found %d calls of %s in all pages, want at least %d: what looks for them is wrong", counted[name], name, least)
		}
	}
}

// Blocks that no test knows the language of would be passed over.
func TestBlocksHaveALanguage(t *testing.T) {
	t.Parallel()
	r, err := pages.Read(t.Context(), filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"sh", "console", "yaml", "json", "sql", "text", "go", "mermaid", "python"}
	for _, p := range r.Pages {
		for _, b := range p.Blocks {
			if !slices.Contains(known, b.Language) {
				t.Errorf("%s:%d: a block of language %q: use one of %s", p.Path, b.Line, b.Language, strings.Join(known, ", "))
			}
		}
	}
}

func TestWrongCommandsAreFound(t *testing.T) {
	r, err := pages.Read(t.Context(), filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	checks := checkers(t, r)
	const chart = "helm install dbt-operator charts/dbt-operator "
	for line, want := range map[string]string{
		"make build":          "",
		"make bench N=3":      "",
		"make biuld":          "`make biuld`: the Makefile has no target biuld",
		"hack/test.sh unit":   "",
		"hack/tset.sh unit":   "`hack/tset.sh unit`: there is no file hack/tset.sh",
		"hack/tools/go.mod":   "`hack/tools/go.mod`: hack/tools/go.mod cannot be executed",
		"go test ./test/arch": "",
		"go test ./test/arhc": "`go test ./test/arhc`: there is no folder test/arhc",
		"go test ./internal/lifecycle -run TestGone": "`go test ./internal/lifecycle -run TestGone`: no test of internal/lifecycle is called TestGone",
		"go run ./test/bench/summary":                "",
		"go run ./internal/text":                     "`go run ./internal/text`: internal/text is no command: it has no package main",
		"kubectl dbt run shop -- build --x":          "",
		"kubectl dbt rnu shop":                       "`kubectl dbt rnu shop`: unknown command \"rnu\" for \"kubectl dbt\"",
		"kubectl dbt run shop --tagret ci":           "`kubectl dbt run shop --tagret ci`: unknown flag: --tagret",
		"kubectl dbt run":                            "`kubectl dbt run`: requires at least 1 arg(s), only received 0",
		"kubectl get dbtruns -A":                     "",
		"kubectl gte dbtruns":                        "`kubectl gte dbtruns`: unknown command \"gte\" for \"kubectl\"",
		"kubectl get dbtruns --allnamespaces":        "`kubectl get dbtruns --allnamespaces`: unknown flag: --allnamespaces",
		"kubectl get dbtrunz":                        "`kubectl get dbtrunz`: dbtrunz is no kind that pages speak of",
		"kubectl wait dbtrun/x --for=condition=Done": "`kubectl wait dbtrun/x --for=condition=Done`: the kinds have no condition Done",
		"kubectl patch dbtrun x -p {":                "`kubectl patch dbtrun x -p {`: the patch is no YAML: error converting YAML to JSON: yaml: line 1: did not find expected node content",
		"kubectl apply -f config/samples/gone.yaml":  "`kubectl apply -f config/samples/gone.yaml`: there is no file config/samples/gone.yaml",
		"kubectl apply -k config/rbca":               "`kubectl apply -k config/rbca`: there is no kustomization in config/rbca",
		"helm uninstall x -n y":                      "",
		"helm unistall x":                            "`helm unistall x`: unknown command \"unistall\" for \"helm\"",
		chart + "--set runner.delivery=image-volume": "",
		chart + "--set replica=2":                    "`" + chart + "--set replica=2`: values don't meet the specifications of the schema(s) in the following chart(s): dbt-operator: - at '': additional properties 'replica' not allowed",
		"helm install dbt-operator charts/operator":  "`helm install dbt-operator charts/operator`: there is no chart charts/operator",
		"terraform apply":                            "`terraform apply`: no test knows terraform: correct it, or name it in the exceptions of exceptions_test.go with the reason",
	} {
		got := strings.TrimPrefix(judge("docs/x.md", pages.Call{Line: 3, Words: strings.Fields(line)}, checks, map[string]bool{}), "docs/x.md:3: ")
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// judge says where a call stands and what is wrong with it, and notes which exception it is.
func judge(page string, call pages.Call, checks map[string]checker, used map[string]bool) string {
	line := call.String() + " "
	for prefix := range exceptions {
		if strings.HasPrefix(line, prefix+" ") {
			used[prefix] = true
			return ""
		}
	}
	name := call.Words[0]
	check, known := checks[name]
	switch {
	case strings.Contains(name, "/"):
		check = checks["/"]
	case !known:
		check = func(string, pages.Call) string {
			return fmt.Sprintf("no test knows %s: correct it, or name it in the exceptions of exceptions_test.go with the reason", name)
		}
	}
	if wrong := check(page, call); wrong != "" {
		// Of several lines, as Helm writes them, one is enough to mend it.
		return fmt.Sprintf("%s:%d: `%s`: %s", page, call.Line, call, strings.Join(strings.Fields(wrong), " "))
	}
	return ""
}

// checkers returns what looks at calls, by their first word; "/" for files of the repository that are executed.
func checkers(t *testing.T, r *pages.Repository) map[string]checker {
	return map[string]checker{
		"make": makefile(t, r), "go": golang(r), "kubectl": kubectl(r), "helm": helm(r), "/": script(r),
	}
}
