package live

import (
	"testing"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// At once for what matters; for anything else at most every five seconds, and then surely.
func TestNotify(t *testing.T) {
	b := newBench(t)
	at := b.journal(1, 0, begins)
	step := func(what string, d time.Duration, want int, es ...journal.Entry) {
		t.Helper()
		b.clock.Step(d)
		if len(es) > 0 {
			at = b.journal(1, at, es...)
		}
		if got := b.tellings(); got != want {
			t.Errorf("%s: told %d times, want %d", what, got, want)
		}
	}
	step("begin", 0, 1)
	step("a result at once after it", 0, 0, node("a", "success"))
	step("results while it waits", 4*time.Second, 0, node("b", "success"), node("c", "success"))
	step("five seconds after the first", time.Second, 1)
	step("nothing new", time.Minute, 0)
	step("the first after a long time", 0, 1, node("d", "success"))
	step("a source", time.Second, 1, journal.Entry{Kind: journal.KindSource})
	step("a result right after that", time.Second, 0, node("e", "success"))
	step("five seconds after the source", 4*time.Second, 1)
	step("the clock is set back", -time.Hour, 0, node("f", "success"))
	step("five seconds later all the same", 5*time.Second, 1)
	b.log(1, 0, "hello\n")
	step("a log", 5*time.Second, 1)
	step("the end, while something waits", 0, 1, node("g", "success"), ends)
	step("what waited was told with it", 10*time.Second, 0)
	if err := b.runs.Done(t.Context(), attempt(1)); err != nil {
		t.Fatal(err)
	}
	step("done", 0, 1)
	if _, err := b.runs.Append(t.Context(), attempt(1), journal.StreamJournal, 0, entries(begins), false); err != nil {
		t.Fatal(err)
	}
	step("a repetition", time.Minute, 0)
}
