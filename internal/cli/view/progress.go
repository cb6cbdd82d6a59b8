package view

import (
	"fmt"
	"strings"
	"time"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// barWidth is how many columns the bar has.
const barWidth = 30

// Progress returns the lines that show, on a terminal, how far a run is: a bar, and the nodes that run.
func (s Style) Progress(run *v1alpha1.DbtRun, now time.Time) []string {
	phase := Phase(run)
	head := s.paint(colourOf(phase), string(phase))
	p := run.Status.Progress
	if p == nil || p.Total == 0 {
		line := head
		if took := Took(run, now); took != "" {
			line += "  " + took
		}
		if m := oneLine(run.Status.Message); m != "" {
			line += "  " + s.narrowed(m, len(phase)+2+len(Took(run, now))+2)
		}
		return []string{line}
	}
	filled := int(int64(barWidth) * int64(min(p.Done, p.Total)) / int64(p.Total))
	line := fmt.Sprintf("%s  %s%s  %d/%d", head, s.paint(green, strings.Repeat("█", filled)), s.paint(dim, strings.Repeat("░", barWidth-filled)), p.Done, p.Total)
	if n := run.Status.FailedNodes; n != nil && *n > 0 {
		line += "  " + s.paint(red, fmt.Sprintf("%d failed", *n))
	}
	if took := Took(run, now); took != "" {
		line += "  " + took
	}
	lines := []string{line}
	const most = 4
	for i, id := range p.Running {
		if i == most && len(p.Running) > most+1 {
			lines = append(lines, fmt.Sprintf("  and %d more", len(p.Running)-most))
			break
		}
		lines = append(lines, s.cut("  "+id))
	}
	return lines
}

// narrowed shortens a text to what is left of the width.
func (s Style) narrowed(text string, used int) string {
	if s.Width <= 0 {
		return text
	}
	return Style{Width: max(10, s.Width-used)}.cut(text)
}

// Steps turns what a run goes through into lines, each said once.
type Steps struct {
	Style Style
	phase v1alpha1.Phase
	nodes string
	told  map[string]bool
}

// Failed returns a line for each node that failed since the last call.
func (t *Steps) Failed(run *v1alpha1.DbtRun) []string {
	if t.told == nil {
		t.told = map[string]bool{}
	}
	var out []string
	for _, f := range run.Status.Failures {
		if key := f.UniqueID + "\x00" + f.Status; !t.told[key] {
			t.told[key] = true
			line := t.Style.paint(red, f.Status) + "  " + f.UniqueID
			if f.Message != "" {
				line += ": " + t.Style.narrowed(oneLine(f.Message), len(f.Status)+len(f.UniqueID)+4)
			}
			out = append(out, line)
		}
	}
	return out
}

// Lines returns what is new of a run, for where there is no terminal: a line for each phase, each step of progress and each
// failure.
func (t *Steps) Lines(run *v1alpha1.DbtRun, now time.Time) []string {
	at := now.UTC().Format(time.TimeOnly)
	var out []string
	for _, line := range t.Failed(run) {
		out = append(out, at+"  "+line)
	}
	phase, nodes := Phase(run), ""
	if p := run.Status.Progress; p != nil && p.Total > 0 {
		nodes = fmt.Sprintf("%d/%d nodes", p.Done, p.Total)
		if len(p.Running) > 0 {
			nodes += ", running " + strings.Join(p.Running, " ")
		}
	}
	if phase == t.phase && (nodes == "" || nodes == t.nodes) || phase.Finished() {
		t.phase = phase
		return out
	}
	line := at + "  " + string(phase)
	if nodes != "" {
		line += "  " + nodes
	} else if m := oneLine(run.Status.Message); m != "" {
		line += "  " + m
	}
	t.phase, t.nodes = phase, nodes
	return append(out, line)
}

// End returns the last lines about a run that was watched.
func (s Style) End(run *v1alpha1.DbtRun) string {
	phase := Phase(run)
	line := fmt.Sprintf("DbtRun %s %s", run.Name, s.paint(colourOf(phase), strings.ToLower(string(phase))))
	if run.Status.Duration != "" {
		line += " after " + run.Status.Duration
	}
	if r := run.Status.Results; r != nil {
		line += ": " + s.results(*r)
	}
	line += "\n"
	if phase != v1alpha1.PhaseSucceeded && run.Status.Message != "" {
		line += oneLine(run.Status.Message) + "\n"
	}
	return line
}
