package model

import (
	"slices"
	"strings"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// Failures are the nodes of a run that did not end well.
type Failures struct {
	Nodes []Failure `json:"nodes"`
	// Of is how many there are.
	Of    int      `json:"of"`
	Notes []string `json:"notes,omitempty"`
}

// Failure is a node that did not end well.
type Failure struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Type    string `json:"type"`
	Class   string `json:"class"`
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
	Path    string `json:"path,omitempty"`
	Code
}

// Code is a node's SQL.
type Code struct {
	SQL string `json:"sql,omitempty"`
	// Compiled: as it went to the warehouse; else it is the template.
	Compiled bool   `json:"compiled,omitempty"`
	Language string `json:"language,omitempty"`
}

// maxFailures bounds a page.
const maxFailures = 500

// FailuresOf returns the nodes that did not end well: from a journal's nodes by unique_id, or where it cannot be read (nil)
// those of the run's status.
func FailuresOf(run *v1alpha1.DbtRun, nodes map[string]journal.Node) Failures {
	f := Failures{Nodes: []Failure{}}
	for _, n := range nodes {
		if n.Failed() {
			f.Nodes = append(f.Nodes, failureOf(n.ID, n.ResourceType, n.Status, n.Message, n.Path))
		}
	}
	if nodes == nil {
		for _, n := range run.Status.Failures {
			f.Nodes = append(f.Nodes, failureOf(n.UniqueID, n.ResourceType, n.Status, n.Message, n.Path))
		}
	}
	slices.SortFunc(f.Nodes, func(a, b Failure) int { return strings.Compare(a.ID, b.ID) })
	f.Of = len(f.Nodes)
	if n := run.Status.FailedNodes; n != nil {
		f.Of = max(f.Of, int(*n))
	}
	f.Nodes = f.Nodes[:min(len(f.Nodes), maxFailures)]
	return f
}

func failureOf(id, kind, status, message, path string) Failure {
	if kind == "" {
		kind = Type(id)
	}
	return Failure{ID: id, Name: Name(id), Type: kind, Class: Class(status), Status: status, Message: message, Path: path}
}

// CodeOf returns the code of a node of lineage.json.
func CodeOf(n dbt.LineageNode) Code {
	if n.SQL == nil {
		return Code{}
	}
	return Code{n.SQL.Code, n.SQL.Compiled, n.SQL.Language}
}
