package view

import (
	"fmt"
	"strings"

	"github.com/dbt-operator/dbt-operator/internal/cli/compare"
)

// changeColours are those of changes that are for better or worse.
var changeColours = map[compare.Change]string{
	compare.Broken: red, compare.Mended: green, compare.Added: cyan, compare.Removed: yellow, compare.Slower: yellow, compare.Faster: green,
}

// Diff returns what two runs differ in.
func (s Style) Diff(d compare.Diff) string {
	var out strings.Builder
	rows := [][]cell{plain("", d.A, d.B)}
	for _, f := range d.Fields {
		rows = append(rows, plain(f.Name, dash(f.A), dash(f.B)))
	}
	out.WriteString(s.table(rows))
	if d.Partial != "" {
		out.WriteString("\nNodes are not compared: " + d.Partial + "\n")
		return out.String()
	}
	if len(d.Nodes) > 0 {
		rows = [][]cell{plain("NODE", "CHANGE", d.A, d.B)}
		for _, n := range d.Nodes {
			rows = append(rows, []cell{
				{text: n.ID},
				{string(n.Change), changeColours[n.Change]},
				{text: ended(n.StatusA, n.SecondsA)},
				{text: ended(n.StatusB, n.SecondsB)},
			})
		}
		out.WriteString("\n" + s.table(rows))
	}
	fmt.Fprintf(&out, "\n%d nodes differ, %d do not\n", len(d.Nodes), d.Same)
	return out.String()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func ended(status string, seconds float64) string {
	if status == "" {
		return "-"
	}
	return fmt.Sprintf("%s %.2fs", status, seconds)
}
