package agent

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
)

// How much of anything is given at a time: an agent's context is small, and dear.
const (
	defaultItems = 20
	maxItems     = 100
	defaultNodes = 100
	maxNodes     = 500
	// maxParents is how many parents of a node are given.
	maxParents = 50

	maxName    = 512
	maxMessage = 4 << 10
	maxSQL     = 8 << 10
	// maxAnswer is how much of SQL and messages an answer has in all, and about how much of a graph.
	maxAnswer = 48 << 10

	defaultLines = 100
	maxLines     = 1000
	maxLine      = 2 << 10
	maxLog       = 32 << 10

	maxWait = 120
)

// clean returns foreign text without what is not seen: control characters, and those that hide or reorder text. Line breaks
// stay.
func clean(s string, limit int) string { return text.Clean(s, limit) }

func line(s string) string { return text.Line(s, maxName) }

// within returns how many are wanted of what there may be 1 to most of, if that is unset is given.
func within(argument string, found, unset, most int) (int, error) {
	switch {
	case found == 0:
		return unset, nil
	case found < 0 || found > most:
		return 0, fmt.Errorf("%s: found %d: give 1 to %d", argument, found, most)
	}
	return found, nil
}

// some returns those items of a sorted list whose keys are behind after, as many as limit at most, and what is to be given
// as after for the rest; empty if there is none.
func some[T any](items []T, after string, limit int, key func(T) string) (page []T, next string) {
	first := len(items)
	for i := range items {
		if after == "" || key(items[i]) > after {
			first = i
			break
		}
	}
	items = items[first:]
	if len(items) <= limit {
		return items, ""
	}
	return items[:limit], key(items[limit-1])
}

// tail returns the last lines of those that wanted keeps, and how many of them are before those.
func tail(in io.Reader, wanted func(string) bool, lines, bytes int) (last []string, leftOut int, err error) {
	r := bufio.NewReaderSize(in, maxLine)
	size := 0
	for {
		piece, more, err := r.ReadLine()
		if errors.Is(err, io.EOF) {
			return last, leftOut, nil
		}
		if err != nil {
			return last, leftOut, err
		}
		said := clean(string(piece), maxLine)
		if more {
			said = text.Cut(said+"…", maxLine)
		}
		for more && err == nil {
			_, more, err = r.ReadLine()
		}
		if !wanted(said) {
			continue
		}
		last, size = append(last, said), size+len(said)+1
		for len(last) > lines || size > bytes {
			size -= len(last[0]) + 1
			last = last[1:]
			leftOut++
		}
	}
}
