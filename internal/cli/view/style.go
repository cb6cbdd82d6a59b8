package view

import (
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/duration"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Style says what the text is for.
type Style struct {
	// Colour is for terminals.
	Colour bool
	// Width is the terminal's in columns, 0 for none.
	Width int
}

// Colours, as terminals take them.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
	dim    = "2"
	bold   = "1"
)

func (s Style) paint(code, text string) string {
	if !s.Colour || code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// cut shortens a line to the terminal's width.
func (s Style) cut(line string) string {
	if s.Width <= 0 || utf8.RuneCountInString(line) <= s.Width {
		return line
	}
	return string([]rune(line)[:max(0, s.Width-1)]) + "…"
}

// colourOf returns the colour of a phase.
func colourOf(phase v1alpha1.Phase) string {
	switch phase {
	case v1alpha1.PhaseSucceeded:
		return green
	case v1alpha1.PhaseFailed:
		return red
	case v1alpha1.PhaseCancelled:
		return yellow
	case v1alpha1.PhaseRunning:
		return cyan
	case v1alpha1.PhasePending, v1alpha1.PhaseQueued:
	}
	return dim
}

// cell is a piece of a table, with its colour.
type cell struct{ text, colour string }

func plain(texts ...string) []cell {
	out := make([]cell, 0, len(texts))
	for _, t := range texts {
		out = append(out, cell{text: t})
	}
	return out
}

// gap is the space between columns, as kubectl has it.
const gap = "   "

// table returns rows as aligned columns, without space at the ends of lines.
func (s Style) table(rows [][]cell) string {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	var out strings.Builder
	for _, row := range rows {
		var line strings.Builder
		pending := ""
		for i, c := range row {
			if c.text != "" {
				line.WriteString(pending + s.paint(c.colour, c.text))
				pending = ""
			}
			pending += strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)) + gap
		}
		out.WriteString(line.String() + "\n")
	}
	return out.String()
}

// age is how long ago something was, as kubectl says it.
func age(now, then time.Time) string {
	if then.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(max(0, now.Sub(then)))
}

// indent puts a prefix before each line.
func indent(prefix, text string) string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return ""
	}
	return prefix + strings.ReplaceAll(text, "\n", "\n"+prefix) + "\n"
}
