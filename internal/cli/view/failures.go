package view

import (
	"strings"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Failure is a node that did not end well.
type Failure struct {
	ID      string `json:"uniqueId"`
	Type    string `json:"resourceType,omitempty"`
	Status  string `json:"status,omitempty"`
	Message string `json:"message,omitempty"`
	Path    string `json:"path,omitempty"`
	// SQL is what went to the warehouse, if Compiled; else the template.
	SQL      string `json:"sql,omitempty"`
	Compiled bool   `json:"compiled,omitempty"`
}

func failuresOf(run *v1alpha1.DbtRun) []Failure { return Failures(run.Status.Failures) }

// Failures returns those of a status.
func Failures(of []v1alpha1.Failure) []Failure {
	out := make([]Failure, 0, len(of))
	for _, f := range of {
		out = append(out, Failure{ID: f.UniqueID, Type: f.ResourceType, Status: f.Status, Message: f.Message, Path: f.Path})
	}
	return out
}

// Failures returns nodes that did not end well, each with its message, file and SQL.
func (s Style) Failures(failures []Failure) string {
	var out strings.Builder
	for i, f := range failures {
		if i > 0 {
			out.WriteString("\n")
		}
		out.WriteString(s.paint(red, f.Status) + " " + s.paint(bold, f.ID) + "\n")
		if f.Path != "" {
			out.WriteString("  " + s.paint(dim, f.Path) + "\n")
		}
		out.WriteString(indent("  ", f.Message))
		if f.SQL != "" {
			title := "SQL (template):"
			if f.Compiled {
				title = "SQL (compiled):"
			}
			out.WriteString("  " + title + "\n" + indent("    ", f.SQL))
		}
	}
	return out.String()
}
