package tracing_test

import (
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/tracing"
)

// attribute is one of a span, as the page's table names it.
var attribute = regexp.MustCompile("`((?:dbt|k8s|container|process)\\.[a-z_.0-9]+)`")

// docs/tracing.md names each attribute that spans have, and none beside.
func TestPageNamesEveryAttribute(t *testing.T) {
	page, err := os.ReadFile("../../docs/tracing.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| .* \| .* \| .*$`).FindAllString(string(page), -1) {
		for _, m := range attribute.FindAllStringSubmatch(row, -1) {
			told[m[1]] = true
		}
	}
	many := timeline()
	for i := range tracing.MaxSpans {
		many.Apply(journal.Entry{Kind: journal.KindResult, Node: &journal.Node{ID: fmt.Sprint(i), Status: "success"}})
	}
	has := map[string]bool{}
	for s := range tracing.Spans(run(func(r *tracing.Run) { r.TraceParent = "malformed" }), many) {
		for _, a := range s.Attributes {
			has[string(a.Key)] = true
		}
	}
	if diff := cmp.Diff(has, told); diff != "" {
		t.Errorf("docs/tracing.md is not what is sent (-sent +page):\n%s", diff)
	}
}
