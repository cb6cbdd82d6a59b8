package model

import (
	"slices"
	"strings"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// Classes of results: what a node is coloured by.
const (
	ClassSuccess     = "success"
	ClassWarn        = "warn"
	ClassFail        = "fail"
	ClassError       = "error"
	ClassSkipped     = "skipped"
	ClassNoOp        = "no-op"
	ClassReused      = "reused"
	ClassInterrupted = "interrupted"
	ClassRunning     = "running"
	// ClassNone: the node did not run, or it is not known what became of it.
	ClassNone = "none"
)

// Class returns the class of a node that was run, by its status; an empty status is that of a node that runs.
func Class(status string) string {
	var c dbt.Counts
	c.Count(strings.ToLower(status))
	if c != (dbt.Counts{}) {
		return classOf(c)
	}
	switch status {
	case "":
		return ClassRunning
	case journal.StatusInterrupted:
		return ClassInterrupted
	}
	return ClassNone
}

func classOf(c dbt.Counts) string {
	switch {
	case c.Success > 0:
		return ClassSuccess
	case c.Warn > 0:
		return ClassWarn
	case c.Fail > 0:
		return ClassFail
	case c.Error > 0:
		return ClassError
	case c.Skipped > 0:
		return ClassSkipped
	case c.NoOp > 0:
		return ClassNoOp
	}
	return ClassReused
}

// Name returns what a node is called among those of its project: the unique_id without its type and package, and without
// the hash that dbt puts behind a test's.
func Name(id string) string {
	parts := strings.Split(id, ".")
	if len(parts) < 3 {
		return id
	}
	if parts[0] == "test" && len(parts) == 4 {
		return parts[2]
	}
	return strings.Join(parts[2:], ".")
}

// Type returns the resource type that a unique_id begins with.
func Type(id string) string {
	kind, _, _ := strings.Cut(id, ".")
	return kind
}

func isTest(kind string) bool { return kind == "test" || kind == "unit_test" }

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}
