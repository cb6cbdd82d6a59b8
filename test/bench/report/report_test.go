package report_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/test/bench/report"
)

func TestMarkdownAndVerdict(t *testing.T) {
	r := report.New("x")
	table := r.Table("what", "found", "budget")
	table.Row(true, "a", "1", "2")
	table.Note("b", "3")
	if !r.Met() {
		t.Error("a row without a budget is not met")
	}
	table.Row(false, "c", "3", "2")
	want := "| what | found | budget |  |\n|---|---|---|---|\n| a | 1 | 2 | met |\n| b | 3 |  |  |\n| c | 3 | 2 | not met |\n"
	if diff := cmp.Diff(want, table.Markdown()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r.Met() {
		t.Error("a budget that is not met goes unnoticed")
	}
}
