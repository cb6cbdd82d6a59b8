package view

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Run returns one page about a run: who asked for what, what became of it, and why.
func (s Style) Run(run *v1alpha1.DbtRun, now time.Time) string {
	var out strings.Builder
	part := func(title, text string) {
		if text != "" {
			out.WriteString("\n" + s.paint(bold, title) + "\n" + indent("  ", text))
		}
	}
	out.WriteString(s.table(s.facts(run, now)))
	part("Commands", s.commands(run))
	part("Nodes", s.nodes(run, now))
	part("Failures", s.Failures(failuresOf(run)))
	part("Slowest", s.slowest(run))
	part("Attempts", s.attempts(run, now))
	part("Conditions", s.conditions(run, now))
	part("Kept", s.kept(run))
	return out.String()
}

// facts are the page's head.
func (s Style) facts(run *v1alpha1.DbtRun, now time.Time) [][]cell {
	phase := Phase(run)
	status := string(phase)
	if c := condition(run, v1alpha1.ConditionSucceeded); c != nil && c.Reason != status {
		status += " (" + c.Reason + ")"
	}
	var rows [][]cell
	add := func(name, value, colour string) {
		if value != "" {
			rows = append(rows, []cell{{name + ":", dim}, {value, colour}})
		}
	}
	add("Run", run.Name, bold)
	add("Namespace", run.Namespace, "")
	add("Project", projectLine(run), "")
	add("Target", run.Spec.Target, "")
	add("Status", status, colourOf(phase))
	add("Message", oneLine(run.Status.Message), "")
	add("Requested by", requesterLine(run), "")
	add("Trigger", triggerLine(run), "")
	if run.Spec.ResumeFrom != nil {
		add("Goes on from", run.Spec.ResumeFrom.Name, "")
	}
	if run.Spec.Cancel != nil && *run.Spec.Cancel && !phase.Finished() {
		add("Cancel", "asked for", yellow)
	}
	add("Created", stamp(run.CreationTimestamp, now), "")
	if run.Status.StartTime != nil {
		add("Started", stamp(*run.Status.StartTime, now), "")
	}
	if run.Status.CompletionTime != nil {
		add("Ended", stamp(*run.Status.CompletionTime, now), "")
	}
	add("Duration", Took(run, now), "")
	if r := run.Status.Revision; r != nil {
		add("Source", r.Source, "")
		add("Image", r.Image, "")
		add("dbt", strings.TrimSpace(r.Dbt+" "+parenthesised(r.Adapter)), "")
	}
	add("State", stateLine(run.Status.State), "")
	if run.Status.Job != nil {
		add("Job", run.Status.Job.Name, "")
	}
	return rows
}

func parenthesised(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}

func projectLine(run *v1alpha1.DbtRun) string {
	line := Project(run)
	if p := run.Status.Project; p != nil && p.Generation > 0 {
		line += fmt.Sprintf(" (generation %d)", p.Generation)
	}
	return line
}

// stateLine says whose manifest dbt has as its state, or why it has none.
func stateLine(s *v1alpha1.StateStatus) string {
	switch {
	case s == nil:
		return ""
	case s.Run == "":
		return "none: " + oneLine(s.Message)
	case s.Target == "":
		return "run " + s.Run
	}
	return "run " + s.Run + " " + parenthesised("target "+s.Target)
}

func requesterLine(run *v1alpha1.DbtRun) string {
	by := run.Spec.RequestedBy
	if by == nil {
		return "nobody is stamped"
	}
	groups := slices.DeleteFunc(slices.Clone(by.Groups), func(g string) bool { return g == "system:authenticated" })
	const most = 5
	line := by.Username
	if len(groups) > 0 {
		line += " (" + strings.Join(groups[:min(len(groups), most)], ", ")
		if more := len(groups) - most; more > 0 {
			line += fmt.Sprintf(" and %d more", more)
		}
		line += ")"
	}
	return line
}

func triggerLine(run *v1alpha1.DbtRun) string {
	var parts []string
	if t := run.Spec.Trigger; t != nil {
		part := string(t.Type)
		if t.ScheduleRef != nil {
			part += " of DbtSchedule " + t.ScheduleRef.Name
		}
		parts = append(parts, part)
		if t.ScheduledTime != nil {
			parts = append(parts, "tick "+t.ScheduledTime.UTC().Format(time.RFC3339))
		}
	}
	if agent := run.Annotations[v1alpha1.AnnotationAgent]; agent != "" {
		// Anybody can have written it: quoted, it is what it seems on a terminal.
		const most = 150
		parts = append(parts, "through agent "+strconv.QuoteToGraphic(agent[:min(len(agent), most)]))
	}
	return strings.Join(parts, ", ")
}

func stamp(at metav1.Time, now time.Time) string {
	return fmt.Sprintf("%s (%s ago)", at.UTC().Format(time.RFC3339), age(now, at.Time))
}

func condition(run *v1alpha1.DbtRun, kind string) *metav1.Condition {
	for i := range run.Status.Conditions {
		if run.Status.Conditions[i].Type == kind {
			return &run.Status.Conditions[i]
		}
	}
	return nil
}

func (s Style) commands(run *v1alpha1.DbtRun) string {
	rows := [][]cell{}
	for _, c := range run.Status.Commands {
		code := cell{}
		if c.ExitCode != nil {
			code.text = "exit " + strconv.Itoa(int(*c.ExitCode))
			if *c.ExitCode != 0 {
				code.colour = red
			}
		}
		took := ""
		if c.StartTime != nil && c.EndTime != nil {
			took = c.EndTime.Sub(c.StartTime.Time).Round(time.Second).String()
		}
		rows = append(rows, []cell{{text: c.Command}, code, {text: took}, {text: oneLine(c.Note)}})
	}
	// What was not begun.
	begun := len(run.Status.Commands)
	if begun > 0 && strings.HasPrefix(run.Status.Commands[0].Command, "dbt deps") && !strings.HasSuffix(run.Spec.Commands[0], "deps") {
		begun--
	}
	for _, c := range run.Spec.Commands[min(begun, len(run.Spec.Commands)):] {
		rows = append(rows, []cell{{c, dim}, {"not begun", dim}})
	}
	return s.table(rows)
}

func (s Style) nodes(run *v1alpha1.DbtRun, now time.Time) string {
	var out strings.Builder
	if run.Status.Phase == v1alpha1.PhaseRunning && run.Status.Progress != nil {
		for _, line := range s.Progress(run, now) {
			out.WriteString(line + "\n")
		}
	}
	if r := run.Status.Results; r != nil {
		out.WriteString(s.results(*r) + "\n")
	} else if run.Status.Nodes != "" && out.Len() == 0 {
		out.WriteString(run.Status.Nodes + "\n")
	}
	return out.String()
}

// results are counts of nodes; what there is none of is left out.
func (s Style) results(r v1alpha1.Results) string {
	var out []string
	for _, each := range []struct {
		n            int32
		word, colour string
	}{
		{r.Success, "success", green},
		{r.Warn, "warn", yellow},
		{r.Fail, "fail", red},
		{r.Error, "error", red},
		{r.Skipped, "skipped", dim},
		{r.NoOp, "no-op", dim},
		{r.Reused, "reused", dim},
	} {
		if each.n > 0 {
			out = append(out, s.paint(each.colour, fmt.Sprintf("%d %s", each.n, each.word)))
		}
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

func (s Style) slowest(run *v1alpha1.DbtRun) string {
	rows := [][]cell{}
	for _, n := range run.Status.Slowest {
		rows = append(rows, plain(n.UniqueID, n.Seconds+"s"))
	}
	return s.table(rows)
}

func (s Style) attempts(run *v1alpha1.DbtRun, now time.Time) string {
	rows := [][]cell{}
	for _, a := range run.Status.Attempts {
		code, took := "", ""
		if a.ExitCode != nil {
			code = "exit " + strconv.Itoa(int(*a.ExitCode))
		}
		if a.StartTime != nil {
			end := now
			if a.EndTime != nil {
				end = a.EndTime.Time
			}
			took = max(0, end.Sub(a.StartTime.Time)).Truncate(time.Second).String()
		}
		rows = append(rows, plain(a.Pod, a.Node, took, code, a.Reason))
	}
	return s.table(rows)
}

func (s Style) conditions(run *v1alpha1.DbtRun, now time.Time) string {
	rows := [][]cell{}
	for _, c := range run.Status.Conditions {
		rows = append(rows, plain(c.Type, string(c.Status), c.Reason, age(now, c.LastTransitionTime.Time)))
	}
	return s.table(rows)
}

func (s Style) kept(run *v1alpha1.DbtRun) string {
	rows := [][]cell{}
	if l := run.Status.Log; l != nil && l.URI != "" {
		rows = append(rows, plain("log", size(l.Bytes)+" compressed"))
	}
	for _, a := range run.Status.Artifacts {
		rows = append(rows, plain(a.Name, size(a.Bytes)))
	}
	return s.table(rows)
}

// size returns bytes for people.
func size(n int64) string {
	const step = 1024
	units := []string{"B", "KiB", "MiB", "GiB"}
	value := float64(n)
	for i, unit := range units {
		if value < step || i == len(units)-1 {
			if i == 0 {
				return fmt.Sprintf("%d %s", n, unit)
			}
			return fmt.Sprintf("%.1f %s", value, unit)
		}
		value /= step
	}
	return ""
}
