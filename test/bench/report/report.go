// Package report is how benchmarks tell what they found: as tables in Markdown whose rows end in "met" or "not met", and
// as a file of JSON with the raw samples, the machine and the versions. It knows tables and the machine; it never knows
// what is measured.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Folder is where the files go, one per benchmark, from the repository's root.
const Folder = "test/bench/results"

// Report is what one benchmark found.
type Report struct {
	Name    string    `json:"name"`
	At      time.Time `json:"at"`
	Machine Machine   `json:"machine"`
	// Kubernetes is the API server's version, empty where there was none.
	Kubernetes string         `json:"kubernetes,omitempty"`
	Tables     []*Table       `json:"tables"`
	Raw        map[string]any `json:"raw,omitempty"`
}

// Table has a row for each thing that was measured. The first column says what.
type Table struct {
	Columns []string `json:"columns"`
	Rows    []Row    `json:"rows"`
}

// Row is what was found. Met is nil where there is no budget.
type Row struct {
	Cells []string `json:"cells"`
	Met   *bool    `json:"met,omitempty"`
}

// New begins the report of a benchmark.
func New(name string) *Report {
	return &Report{Name: name, At: time.Now().UTC().Truncate(time.Second), Machine: thisMachine(), Raw: map[string]any{}}
}

// Table adds a table with these columns.
func (r *Report) Table(columns ...string) *Table {
	t := &Table{Columns: columns}
	r.Tables = append(r.Tables, t)
	return t
}

// Row adds a row with a budget.
func (t *Table) Row(met bool, cells ...string) { t.Rows = append(t.Rows, Row{cells, &met}) }

// Note adds a row without one.
func (t *Table) Note(cells ...string) { t.Rows = append(t.Rows, Row{Cells: cells}) }

// Durations keeps raw samples, in seconds.
func (r *Report) Durations(name string, samples []time.Duration) {
	seconds := make([]float64, len(samples))
	for i, s := range samples {
		seconds[i] = s.Seconds()
	}
	r.Raw[name] = seconds
}

// Met reports whether all budgets are met.
func (r *Report) Met() bool {
	for _, t := range r.Tables {
		for _, row := range t.Rows {
			if row.Met != nil && !*row.Met {
				return false
			}
		}
	}
	return true
}

// Finish prints the tables, writes the file, and reports whether all budgets are met.
func (r *Report) Finish() (met bool, err error) {
	for i, t := range r.Tables {
		if i > 0 {
			fmt.Println()
		}
		fmt.Print(t.Markdown())
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return false, err
	}
	if err := os.MkdirAll(Folder, 0o755); err != nil {
		return false, err
	}
	return r.Met(), os.WriteFile(filepath.Join(Folder, r.Name+".json"), append(b, '\n'), 0o600)
}

// Markdown returns the table as Markdown, with a last column for the verdicts.
func (t *Table) Markdown() string {
	var b strings.Builder
	line := func(cells []string, last string) {
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(cells, " | "), last)
	}
	line(t.Columns, "")
	fmt.Fprintf(&b, "|%s\n", strings.Repeat("---|", len(t.Columns)+1))
	for _, row := range t.Rows {
		cells := append(row.Cells, make([]string, max(0, len(t.Columns)-len(row.Cells)))...)
		line(cells, row.Verdict())
	}
	return b.String()
}

// Verdict is how a row ends: empty where there is no budget.
func (r Row) Verdict() string {
	switch {
	case r.Met == nil:
		return ""
	case *r.Met:
		return "met"
	default:
		return "not met"
	}
}

// Exit ends a benchmark's command: with 1 when it could not be run, with 2 when a budget is not met.
func Exit(name string, met bool, err error) {
	switch {
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	case !met:
		os.Exit(2)
	}
}

// Seconds writes a duration in seconds with a number of decimals.
func Seconds(d time.Duration, decimals int) string {
	return fmt.Sprintf("%.*f", decimals, d.Seconds())
}

// MiB writes a size.
func MiB(bytes int64) string { return fmt.Sprintf("%d MiB", bytes>>20) }
