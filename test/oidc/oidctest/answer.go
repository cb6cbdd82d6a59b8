package oidctest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
)

// Answer is what the gate said.
type Answer struct {
	// Code is HTTP's, Kind the content type.
	Code int
	Kind string
	Body []byte
}

// Text returns a field of the body, which is a JSON object.
func (a Answer) Text(field string) string {
	fields := map[string]any{}
	_ = json.Unmarshal(a.Body, &fields)
	return fmt.Sprint(fields[field])
}

// Event is one server-sent event.
type Event struct{ Name, Data string }

// Events reads a stream to its end, calling at for each event.
func Events(t testing.TB, body io.Reader, at func(Event)) {
	t.Helper()
	var e Event
	lines := bufio.NewScanner(body)
	// A run's status has up to 32 KiB, and is one line.
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		switch field, value, _ := strings.Cut(lines.Text(), ": "); {
		case field == "event":
			e.Name = value
		case field == "data":
			e.Data = value
		case lines.Text() == "" && e.Name != "":
			at(e)
			e = Event{}
		}
	}
	if err := lines.Err(); err != nil {
		t.Errorf("reading the events: %v", err)
	}
}
