// Command summary prints one table in Markdown of what all benchmarks found that left their results, with the machine
// beneath it. It ends with 2 when a budget is not met.
//
//	go run ./test/bench/summary
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dbt-operator/dbt-operator/test/bench/report"
)

func main() {
	met, err := summarize()
	report.Exit("summary", met, err)
}

func summarize() (met bool, err error) {
	files, err := filepath.Glob(filepath.Join(report.Folder, "*.json"))
	if err != nil {
		return false, err
	}
	if len(files) == 0 {
		return false, errors.New("no results in " + report.Folder + ": run `make bench`, or one benchmark, first")
	}
	met = true
	machines, versions := map[string]bool{}, map[string]bool{}
	all := &report.Table{Columns: []string{"benchmark", "what", "found", "budget"}}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return false, err
		}
		var r report.Report
		if err := json.Unmarshal(b, &r); err != nil {
			return false, fmt.Errorf("%s: %w", file, err)
		}
		for _, t := range r.Tables {
			addRows(all, r.Name, t)
		}
		met = met && r.Met()
		m := r.Machine
		machines[fmt.Sprintf("%s, %d cores, memory %s, Linux %s, %s", m.Processor, m.Cores, m.Memory, m.Kernel, m.Go)] = true
		if r.Kubernetes != "" {
			versions[r.Kubernetes] = true
		}
	}
	fmt.Print(all.Markdown())
	for m := range machines {
		fmt.Printf("\nMeasured on: %s.\n", m)
	}
	for v := range versions {
		fmt.Printf("Kubernetes %s.\n", v)
	}
	return met, nil
}

// addRows adds the rows of a benchmark's table, with what was found under the names of its columns.
func addRows(all *report.Table, name string, t *report.Table) {
	for _, row := range t.Rows {
		var found, budget []string
		for i := 1; i < min(len(row.Cells), len(t.Columns)); i++ {
			switch cell, column := row.Cells[i], t.Columns[i]; {
			case cell == "":
			case strings.HasPrefix(column, "budget"):
				budget = append(budget, cell)
			case column == "found":
				found = append(found, cell)
			default:
				found = append(found, column+": "+cell)
			}
		}
		cells := []string{name, row.Cells[0], strings.Join(found, "; "), strings.Join(budget, "; ")}
		all.Rows = append(all.Rows, report.Row{Cells: slices.Clone(cells), Met: row.Met})
	}
}
