package runner

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/testutil/collectortest"
)

// printed returns what a line of dbt's output becomes.
func printed(format string, line string) string {
	return printedOf(plan.Identity{Namespace: "shop", Name: "nightly", UID: "0c7a", Project: "jaffle", RequestedBy: "ada@example.com"}, format, line)
}

// printedOf returns what a line of dbt's output becomes in a run.
func printedOf(id plan.Identity, format, line string) string {
	s := newScreen()
	r := &Runner{record: dbt.NewRecorder(nil), redact: NewRedactor(nil), print: newPrinter(s, NewRedactor(nil), format, id, clock)}
	r.observe([]byte(line))
	return s.String()
}

func TestPrintText(t *testing.T) {
	tests := map[string]struct {
		reason, line, want string
	}{
		"Event":     {"an event is printed as dbt prints it, at dbt's time", event("Q", "N", "info", "1 of 2 OK", nil), "06:00:01  1 of 2 OK\n"},
		"Colour":    {"colours go", event("Q", "N", "info", "\x1b[32mOK\x1b[0m in \x1b]0;t\x07x", nil), "06:00:01  OK in x\n"},
		"Debug":     {"debug events are not printed: dbt 2.x writes them unasked", event("Q", "N", "debug", "noise", nil), ""},
		"NoMessage": {"an event without a message is not printed", event("Q", "N", "info", "", nil), ""},
		"Lines":     {"a message of several lines stays one", event("Q", "N", "error", "Database Error\r\n  no such column", nil), "06:00:01  Database Error\n  no such column\n"},
		"NoEvent":   {"what is no event is printed at the runner's time", "Traceback (most recent call last):", "06:00:00  Traceback (most recent call last):\n"},
		"Empty":     {"an empty line stays one", "", "06:00:00  \n"},
		"Invalid":   {"invalid UTF-8 becomes U+FFFD", "a\xff\xfeb", "06:00:00  a\uFFFD\uFFFDb\n"},
		"NUL":       {"control characters go", "a\x00\x07\x08b", "06:00:00  ab\n"},
		"Direction": {"characters that turn text round go", "a\u202Eb", "06:00:00  ab\n"},
		"Cut":       {"an endless line is cut", strings.Repeat("é", maxPrinted), "06:00:00  " + strings.Repeat("é", (maxPrinted-3)/2) + "…\n"},
		"FakeTime":  {"a time that is none cannot break the line", `{"info":{"name":"N","level":"info","msg":"m","ts":"2026-11-24T\n\u001b[2J\u001b[3J9999"}}`, "06:00:00  m\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := printed(plan.LogText, tc.line); got != tc.want {
				t.Errorf("%s:\n got %.200q\nwant %.200q", tc.reason, got, tc.want)
			}
		})
	}
}

func TestPrintJSON(t *testing.T) {
	const id = `{"run":"nightly","namespace":"shop","runUID":"0c7a","project":"jaffle","requester":"ada@example.com",`
	output := func(msg string) string {
		return id + `"info":{"level":"info","msg":"` + msg + `","name":"Output","ts":"2026-11-24T06:00:00Z"}}` + "\n"
	}
	tests := map[string]struct {
		reason, line, want string
	}{
		"Event":     {"an event keeps all it has and gets the run's identity", `{"info":{"name":"N","level":"info","msg":"m"},"data":{"x":[1,2.50]}}`, id + `"info":{"name":"N","level":"info","msg":"m"},"data":{"x":[1,2.50]}}` + "\n"},
		"Debug":     {"debug events are for collectors too", `{"info":{"name":"N","level":"debug","msg":"m"}}`, id + `"info":{"name":"N","level":"debug","msg":"m"}}` + "\n"},
		"Spaces":    {"white space between the parts is nothing", "{ \"info\" : {\"name\": \"N\",\t\"level\": \"info\"} }  ", id + `"info":{"name":"N","level":"info"}}` + "\n"},
		"Colour":    {"colours inside strings go, however they are escaped", `{"info":{"name":"N","level":"info","msg":"\u001b[32mOK\u001B[0m"}}`, id + `"info":{"name":"N","level":"info","msg":"OK"}}` + "\n"},
		"Control":   {"control characters inside strings go", `{"info":{"name":"N","level":"info","msg":"a\u0000\u0007b\u202e"}}`, id + `"info":{"name":"N","level":"info","msg":"ab"}}` + "\n"},
		"Invalid":   {"invalid UTF-8 inside an event becomes U+FFFD", "{\"info\":{\"name\":\"N\",\"level\":\"info\",\"msg\":\"a\xffb\"}}", id + "\"info\":{\"name\":\"N\",\"level\":\"info\",\"msg\":\"a\uFFFDb\"}}\n"},
		"Forged":    {"a line cannot pass for another run's", `{"info":{"name":"N","level":"info"},"run":"other","namespace":"x","runUID":"y","project":"z","requester":"ben"}`, id + `"info":{"name":"N","level":"info"}}` + "\n"},
		"Twice":     {"the same name twice stays JSON", `{"info":{"name":"N","level":"info"},"data":{"a":1,"a":2}}`, id + `"info":{"name":"N","level":"info"},"data":{"a":1,"a":2}}` + "\n"},
		"NoEvent":   {"what is no event becomes one", `plain "text"`, output(`plain \"text\"`)},
		"OtherJSON": {"JSON that is no event is text", `{"a": 1}`, output(`{\"a\": 1}`)},
		"Broken":    {"JSON that does not end is text", `{"info":{"name":"N","level":"info"}`, output(`{\"info\":{\"name\":\"N\",\"level\":\"info\"}`)},
		"Trailing":  {"an event with something behind it is text", `{"info":{"name":"N","level":"info"}} {}`, output(`{\"info\":{\"name\":\"N\",\"level\":\"info\"}} {}`)},
		"Empty":     {"an empty line is one", "", output("")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := printed(plan.LogJSON, tc.line)
			if got != tc.want {
				t.Errorf("%s:\n got %s\nwant %s", tc.reason, got, tc.want)
			}
			validLines(t, got)
		})
	}
}

// counter counts what is written to it.
type counter struct{ bytes, lines int }

func (c *counter) Write(p []byte) (int, error) {
	c.bytes += len(p)
	c.lines += bytes.Count(p, []byte("\n"))
	return len(p), nil
}

// TestFlood prints 50 MB of log: nothing of it may be kept in memory, and all of it by the collector.
func TestFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("prints 50 MB")
	}
	const size = 50 << 20
	for _, format := range []string{plan.LogText, plan.LogJSON} {
		t.Run(format, func(t *testing.T) {
			c := collectortest.New(t)
			p := attemptOf(t, c, "pod-a")
			p.plan.LogFormat = format
			p.dbt.script(1, version(), started("model.shop.a", 1), step{Flood: size}, finished("model.shop.a", "success", "", 1))
			var out counter
			r := New(Config{Plan: p.plan, Environ: p.env, Stdout: &out, Now: clock, Paths: p.paths})
			if code := r.Run(t.Context()); code != 0 {
				t.Fatalf("exit code %d, want 0: %s", code, readFile(t, p.paths.TerminationLog))
			}
			if want := 100_000; out.lines < want {
				t.Errorf("%d lines were printed, want at least %d", out.lines, want)
			}
			if kept := len(r.print.out.AvailableBuffer()) + r.print.out.Buffered(); kept > 0 {
				t.Errorf("the printer keeps %d bytes", kept)
			}
			if kept := c.Log(t, "pod-a"); len(kept) != out.bytes {
				t.Errorf("%d bytes of log are kept, %d were printed", len(kept), out.bytes)
			}
			if got := p.report(); got.Results.Success != 1 || got.Finished != 1 || got.Dbt != "1.11.16" {
				t.Errorf("what dbt said among the noise was lost: %+v", got)
			}
		})
	}
}

func TestPrintedTextIsUTF8(t *testing.T) {
	for _, format := range []string{plan.LogText, plan.LogJSON} {
		s := newScreen()
		p := newPrinter(s, NewRedactor([]string{"hunter22"}), format, plan.Identity{}, clock)
		for _, line := range []string{"\xff\xfe\x00", "h\x1b[31munter22", "hunter\x0022", strings.Repeat("\xff", maxPrinted)} {
			p.line("info", line)
		}
		got := s.String()
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\x1b") {
			t.Errorf("%s: printed %.200q", format, got)
		}
		if strings.Contains(got, "hunter22") {
			t.Errorf("%s: a secret with invisible characters inside was printed: %.200q", format, got)
		}
	}
}
