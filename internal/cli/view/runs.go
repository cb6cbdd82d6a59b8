package view

import (
	"strconv"
	"strings"
	"time"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Columns say what a table of runs has beside the usual.
type Columns struct {
	Namespace bool
	Wide      bool
}

// Runs returns a table of runs, with the columns that `kubectl get dbtruns` has.
func (s Style) Runs(runs []v1alpha1.DbtRun, columns Columns, now time.Time) string {
	head := []string{"NAME", "PROJECT", "STATUS", "NODES", "FAILED", "DURATION", "AGE"}
	if columns.Namespace {
		head = append([]string{"NAMESPACE"}, head...)
	}
	if columns.Wide {
		head = append(head, "REQUESTER", "REVISION", "MESSAGE")
	}
	rows := [][]cell{plain(head...)}
	for i := range runs {
		rows = append(rows, runRow(&runs[i], columns, now))
	}
	return s.table(rows)
}

func runRow(run *v1alpha1.DbtRun, columns Columns, now time.Time) []cell {
	var row []cell
	if columns.Namespace {
		row = append(row, cell{text: run.Namespace})
	}
	failed := cell{}
	if n := run.Status.FailedNodes; n != nil {
		failed.text = strconv.Itoa(int(*n))
		if *n > 0 {
			failed.colour = red
		}
	}
	phase := Phase(run)
	row = append(row,
		cell{text: run.Name}, cell{text: Project(run)}, cell{string(phase), colourOf(phase)}, cell{text: run.Status.Nodes}, failed,
		cell{text: Took(run, now)}, cell{text: age(now, run.CreationTimestamp.Time)})
	if columns.Wide {
		row = append(row, plain(Requester(run), short(Source(run)), oneLine(run.Status.Message))...)
	}
	return row
}

// Phase returns where a run is; Pending for one that the operator has not seen.
func Phase(run *v1alpha1.DbtRun) v1alpha1.Phase {
	if run.Status.Phase == "" {
		return v1alpha1.PhasePending
	}
	return run.Status.Phase
}

// Project returns the name of a run's project.
func Project(run *v1alpha1.DbtRun) string {
	if run.Spec.ProjectRef == nil {
		return v1alpha1.InlineProject
	}
	return run.Spec.ProjectRef.Name
}

// Requester returns who asked for a run, empty if nobody was stamped.
func Requester(run *v1alpha1.DbtRun) string {
	if run.Spec.RequestedBy == nil {
		return ""
	}
	return run.Spec.RequestedBy.Username
}

// Source returns the revision of a run's source.
func Source(run *v1alpha1.DbtRun) string {
	if run.Status.Revision == nil {
		return ""
	}
	return run.Status.Revision.Source
}

// Took returns how long a run took, or has taken so far.
func Took(run *v1alpha1.DbtRun, now time.Time) string {
	switch {
	case run.Status.Duration != "":
		return run.Status.Duration
	case run.Status.StartTime == nil || run.Status.Phase.Finished():
		return ""
	}
	return max(0, now.Sub(run.Status.StartTime.Time)).Truncate(time.Second).String()
}

// short shortens a digest as git does.
func short(revision string) string {
	const most = 12
	kind, digest, ok := strings.Cut(revision, ":")
	if !ok {
		kind, digest = "", revision
	} else {
		kind += ":"
	}
	return kind + digest[:min(len(digest), most)]
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
