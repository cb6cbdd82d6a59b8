package pages_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/test/docs/pages"
)

func TestCalls(t *testing.T) {
	t.Parallel()
	page := pages.Page{
		Path: "docs/x.md",
		Blocks: []pages.Block{
			{Line: 10, Language: "sh", Text: "make a   # why\n\ntoken=$(kubectl create token \"x y\") && curl \\\n  -H \"T: $token\" 'a b' &\n"},
			{Line: 20, Language: "console", Text: "$ helm install \\\n  x\nmake nothing of what is printed\n$ grep a | head -1\n"},
			{Line: 30, Language: "yaml", Text: "make: no command\n"},
			{Line: 33, Language: "yaml", Text: pages.Workflow + "x.yaml\nsteps:\n  - run: make d\n  - name: x\n    run: |\n      make e \\\n        f\n  - name: y\n"},
		},
		Spans: []pages.Span{{Line: 40, Text: "kubectl dbt run"}, {Line: 41, Text: "makes"}, {Line: 42, Text: "make"}},
	}
	want := []pages.Call{
		{Line: 10, Words: []string{"make", "a"}},
		{Line: 12, Words: []string{"kubectl", "create", "token", "x y"}},
		{Line: 12, Words: []string{"curl", "-H", "T: $", "a b"}},
		{Line: 20, Words: []string{"helm", "install", "x"}},
		{Line: 23, Words: []string{"grep", "a"}},
		{Line: 23, Words: []string{"head", "-1"}},
		{Line: 35, Words: []string{"make", "d"}},
		{Line: 38, Words: []string{"make", "e", "f"}},
		{Line: 40, Words: []string{"kubectl", "dbt", "run"}, Span: true},
	}
	got, err := page.Calls()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, calls (-want +got):\n%s", err, diff)
	}
}

func TestCallsThatNoShellReads(t *testing.T) {
	t.Parallel()
	page := pages.Page{Path: "docs/x.md", Blocks: []pages.Block{{Line: 10, Language: "sh", Text: "make a\necho 'open\n"}}}
	_, err := page.Calls()
	if want := "docs/x.md:11: a shell cannot read it: reached EOF without closing quote `'`"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
