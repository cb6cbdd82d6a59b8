package ship

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil/collectortest"
)

func TestLogIsWhole(t *testing.T) {
	c := collectortest.New(t)
	full := func(d time.Duration) <-chan time.Time {
		if d == memberTime {
			return nil
		}
		return soon(d)
	}
	s := NewStream(client(t, c, func(c *Config) { c.After = full }), journal.StreamLog, t.TempDir(), 0)
	s.Start(t.Context(), 0)
	l := NewLog(s)
	var want bytes.Buffer
	for n := 0; want.Len() < 10<<20; n++ {
		p := fmt.Appendf(nil, "06:00:01  %d of 5000 OK created sql table model analytics.orders_%d %s [SELECT %d in 0.4%ds]\n", n, n, strings.Repeat(".", n%40), n*7, n%10)
		want.Write(p)
		if k, err := l.Write(p); k != len(p) || err != nil {
			t.Fatalf("Write = %d, %v", k, err)
		}
	}
	l.Close()
	if err := drain(t, s); err != nil {
		t.Fatal(err)
	}
	packed := len(c.Stream("pod-a", journal.StreamLog))
	if got := c.Log(t, "pod-a"); got != want.String() {
		t.Errorf("%d bytes of log arrived, want %d, the same ones", len(got), want.Len())
	}
	if packed > want.Len()/4 {
		t.Errorf("%d bytes were sent for %d", packed, want.Len())
	}
	if n, _ := l.Write([]byte("late")); n != 4 || c.Stream("pod-a", journal.StreamLog) == nil {
		t.Error("what is written to a closed log is dropped")
	}
}

// never is a clock on which no wait ends.
func never(time.Duration) <-chan time.Time { return nil }

func TestLogThatFindsNoRoom(t *testing.T) {
	c := collectortest.New(t)
	c.Fail(collectortest.Always(collectortest.Drop))
	s := NewStream(client(t, c, nil), journal.StreamLog, t.TempDir(), 200)
	l := NewLog(s)
	write := func(text string) {
		_, _ = l.Write([]byte(text))
		l.Flush()
	}
	write("first\n")
	noise := make([]byte, 1000)
	for i := range noise {
		noise[i] = byte(i * i >> 3)
	}
	write(string(noise))
	write(string(noise))
	c.Fail(nil)
	s.Start(t.Context(), -1)
	write("behind\n")
	l.Close()
	if err := drain(t, s); err != nil {
		t.Fatal(err)
	}
	got := c.Log(t, "pod-a")
	want := "first\n[2000 bytes of the log are missing here: they came faster than the collector took them, and the pod could not keep more]\nbehind\n"
	if got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestLogWaitsForMore(t *testing.T) {
	c := collectortest.New(t)
	s := NewStream(client(t, c, func(c *Config) { c.After = never }), journal.StreamLog, t.TempDir(), 0)
	l := NewLog(s)
	for range 100 {
		_, _ = l.Write([]byte("a line\n"))
	}
	if s.spool.end != 0 {
		t.Errorf("%d bytes were handed on before their time", s.spool.end)
	}
	_, _ = l.Write(bytes.Repeat([]byte("x"), memberBytes))
	if s.spool.end == 0 {
		t.Error("a full member is not handed on")
	}
}

func TestLogOfSeveralWriters(t *testing.T) {
	c := collectortest.New(t)
	s := NewStream(client(t, c, nil), journal.StreamLog, t.TempDir(), 0)
	s.Start(t.Context(), 0)
	l := NewLog(s)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 500 {
				_, _ = l.Write([]byte("a whole line\n"))
			}
		})
	}
	all.Wait()
	l.Close()
	if err := drain(t, s); err != nil {
		t.Fatal(err)
	}
	if got := c.Log(t, "pod-a"); got != strings.Repeat("a whole line\n", 2000) {
		t.Errorf("lines were torn or lost: %d bytes", len(got))
	}
}
