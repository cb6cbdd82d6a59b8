package model

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
)

// Log is a part of a run's log.
type Log struct {
	Lines []Line `json:"lines"`
	// Total is how many lines the log has, Found how many of them hold what is looked for.
	Total int      `json:"total"`
	Found int      `json:"found"`
	Notes []string `json:"notes,omitempty"`
}

// Line is a line of a log. Its number counts from 1.
type Line struct {
	Number int    `json:"n"`
	Text   string `json:"text"`
	// Level is error or warn for lines that look so, else empty.
	Level string `json:"level,omitempty"`
}

// LogQuery says which lines are wanted.
type LogQuery struct {
	// Text is what a line must hold, in any case. Empty: all are wanted.
	Text string
	// Around is a line whose neighbourhood is wanted; 0: the newest of those wanted.
	Around int
}

const (
	// maxLines is how many lines of a log are shown at once, and maxLine how much of each.
	maxLines = 1000
	maxLine  = 4 << 10
)

// SearchLog returns lines of a log. Its memory does not grow with the log.
func SearchLog(r io.Reader, q LogQuery) (Log, error) {
	out := Log{Lines: []Line{}}
	wanted := strings.ToLower(q.Text)
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		raw, err := readLine(in)
		if raw != "" || err == nil {
			out.take(text.Clean(raw, maxLine), wanted, q.Around)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return out, fmt.Errorf("reading the log: %w", err)
		}
	}
	if n := len(out.Lines); n > maxLines {
		out.Lines = out.Lines[n-maxLines:]
	}
	return out, nil
}

// take takes in a line if it is wanted.
func (l *Log) take(line, wanted string, around int) {
	l.Total++
	if around > 0 {
		if l.Total < around-maxLines/2 || l.Total > around+maxLines/2 {
			return
		}
	} else if wanted != "" && !strings.Contains(strings.ToLower(line), wanted) {
		return
	}
	l.Found++
	if len(l.Lines) >= 2*maxLines {
		l.Lines = append(l.Lines[:0], l.Lines[maxLines:]...)
	}
	l.Lines = append(l.Lines, Line{l.Total, line, level(line)})
}

// readLine returns a line without its end, and no more of it than is shown.
func readLine(in *bufio.Reader) (string, error) {
	var out []byte
	for {
		part, more, err := in.ReadLine()
		if room := 2*maxLine - len(out); room > 0 {
			out = append(out, part[:min(len(part), room)]...)
		}
		if err != nil || !more {
			return string(out), err
		}
	}
}

// level returns how a line looks: dbt prints it so in text and in JSON.
func level(line string) string {
	lower := strings.ToLower(line)
	switch {
	case strings.Contains(lower, `"level":"error"`), strings.Contains(lower, "[error"), strings.Contains(lower, " error "),
		strings.Contains(lower, " fail "), strings.Contains(lower, "error in "), strings.Contains(lower, "failure in "):
		return "error"
	case strings.Contains(lower, `"level":"warn"`), strings.Contains(lower, "[warn"), strings.Contains(lower, " warn "):
		return "warn"
	}
	return ""
}
