package ship

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil/collectortest"
)

// soon is a clock on which all waits are over at once.
func soon(time.Duration) <-chan time.Time {
	c := make(chan time.Time, 1)
	c <- time.Time{}
	return c
}

// patience bounds what is never expected to take long.
const patience = 60 * time.Second

func client(t *testing.T, c *collectortest.Collector, change func(*Config)) *Client {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("pod-a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := Config{URL: c.URL, CA: c.CA, Token: token, After: soon, Timeout: patience}
	if change != nil {
		change(&config)
	}
	out, err := NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.http.CloseIdleConnections)
	return out
}

func drain(t *testing.T, s *Stream) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return s.Drain(ctx)
}

func line(n, size int) []byte {
	return fmt.Appendf(nil, "{\"line\":%d,\"pad\":%q}\n", n, strings.Repeat("x", size))
}

// TestStreamArrivesOnceInOrder sends lines to collectors that fail in every way there is, at random.
func TestStreamArrivesOnceInOrder(t *testing.T) {
	faults := map[string][]collectortest.Fault{
		"Well":        {collectortest.None},
		"Unavailable": {collectortest.Unavailable}, "Busy": {collectortest.Busy}, "Dropped": {collectortest.Drop},
		"ReplyLost": {collectortest.LoseReply}, "Half": {collectortest.Half}, "Hangs": {collectortest.Hang},
		"All": {collectortest.Unavailable, collectortest.Busy, collectortest.Drop, collectortest.LoseReply, collectortest.Half},
	}
	for name, kinds := range faults {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, uint64(len(name))))
			c := collectortest.New(t)
			chance := rand.New(rand.NewPCG(2, uint64(len(name))))
			timeout, most := patience, 1<<30
			if name == "Hangs" {
				timeout, most = 500*time.Millisecond, 4 // a request that hangs takes its time
			}
			c.Fail(func(n int, _ *http.Request) collectortest.Fault {
				if chance.IntN(3) == 0 || n >= most {
					return collectortest.None
				}
				return kinds[chance.IntN(len(kinds))]
			})
			s := NewStream(client(t, c, func(c *Config) { c.Timeout = timeout }), journal.StreamJournal, t.TempDir(), 0)
			s.Start(t.Context(), -1)
			var want []byte
			for n := range 200 {
				l := line(n, random.IntN(30_000))
				want = append(want, l...)
				if !s.Append(l, n%50 == 49) {
					t.Fatal("a line was refused")
				}
			}
			if err := drain(t, s); err != nil {
				t.Fatal(err)
			}
			if got := c.Stream("pod-a", journal.StreamJournal); !bytes.Equal(got, want) {
				t.Errorf("the collector has %d bytes, want %d, the same ones", len(got), len(want))
			}
		})
	}
}

func TestStreamWaitsForACollectorThatComesLater(t *testing.T) {
	c := collectortest.New(t)
	c.Fail(func(n int, _ *http.Request) collectortest.Fault {
		if n < 30 {
			return collectortest.Drop
		}
		return collectortest.None
	})
	s := NewStream(client(t, c, nil), journal.StreamJournal, t.TempDir(), 0)
	s.Append([]byte("a\n"), false)
	s.Start(t.Context(), -1)
	if err := drain(t, s); err != nil {
		t.Fatal(err)
	}
	if got := string(c.Stream("pod-a", journal.StreamJournal)); got != "a\n" {
		t.Errorf("got %q", got)
	}
}

func TestStreamGoesOnBehindAnEarlierContainer(t *testing.T) {
	for name, offset := range map[string]int64{"Told": 4, "Asked": -1} {
		t.Run(name, func(t *testing.T) {
			c := collectortest.New(t)
			c.SetStream("pod-a", journal.StreamLog, []byte("old\n"))
			s := NewStream(client(t, c, nil), journal.StreamLog, t.TempDir(), 0)
			s.Append([]byte("new\n"), false)
			s.Start(t.Context(), offset)
			if err := drain(t, s); err != nil {
				t.Fatal(err)
			}
			if got := string(c.Stream("pod-a", journal.StreamLog)); got != "old\nnew\n" {
				t.Errorf("got %q, want what the container before it wrote, and then its own", got)
			}
		})
	}
}

func TestStreamSendsAgainWhatTheCollectorLost(t *testing.T) {
	c := collectortest.New(t)
	s := NewStream(client(t, c, nil), journal.StreamJournal, t.TempDir(), 0)
	s.Start(t.Context(), 0)
	s.Append([]byte("a\n"), false)
	s.Append([]byte("b\n"), false)
	if err := drain(t, s); err != nil {
		t.Fatal(err)
	}
	c.SetStream("pod-a", journal.StreamJournal, []byte("a\n"))
	s.Append([]byte("c\n"), false)
	if err := drain(t, s); err != nil {
		t.Fatal(err)
	}
	if got := string(c.Stream("pod-a", journal.StreamJournal)); got != "a\nb\nc\n" {
		t.Errorf("got %q", got)
	}
}

func TestStreamStopsForGood(t *testing.T) {
	tests := map[string]struct {
		reason string
		before func(*collectortest.Collector)
		want   string
	}{
		"Refused": {"403 says that this pod has nothing to say", func(c *collectortest.Collector) {
			c.Fail(collectortest.Always(collectortest.Forbidden))
		}, "the journal was not sent: the collector answered 403: the run is over"},
		"Ahead": {"somebody else wrote to the stream: nothing of ours fits behind it", func(c *collectortest.Collector) {
			c.SetStream("pod-a", journal.StreamJournal, make([]byte, 1000))
		}, "the journal was not sent: local: the collector's journal ends at 1000, behind all that was sent: somebody else writes to it"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := collectortest.New(t)
			tc.before(c)
			s := NewStream(client(t, c, nil), journal.StreamJournal, t.TempDir(), 0)
			s.Start(t.Context(), 0)
			s.Append([]byte("a\n"), false)
			if err := drain(t, s); err == nil || err.Error() != tc.want {
				t.Errorf("%s: got %v, want %q", tc.reason, err, tc.want)
			}
			if n := len(c.Requests()); n != 1 {
				t.Errorf("%s: %d requests, want 1", tc.reason, n)
			}
			if s.Append([]byte("b\n"), true) {
				t.Error("a stream that has stopped keeps what nobody will take")
			}
		})
	}
}

func TestDrainGivesUp(t *testing.T) {
	c := collectortest.New(t)
	c.Fail(collectortest.Always(collectortest.Unavailable))
	s := NewStream(client(t, c, nil), journal.StreamJournal, t.TempDir(), 0)
	s.Append([]byte("a\n"), false)
	s.Start(t.Context(), -1)
	c.Wait(t, "an answer", func() bool { return len(c.Requests()) > 3 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Drain(ctx)
	if want := "2 bytes of the journal were not acknowledged: the collector answered 503: another replica leads"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

// hand is a clock whose waits end when the test says so.
type hand struct {
	waits chan time.Duration
	step  chan time.Time
}

func (h hand) after(d time.Duration) <-chan time.Time {
	h.waits <- d
	return h.step
}

func TestStreamIsQuietAndUrgent(t *testing.T) {
	c := collectortest.New(t)
	h := hand{make(chan time.Duration, 100), make(chan time.Time)}
	s := NewStream(client(t, c, func(c *Config) { c.After = h.after }), journal.StreamJournal, t.TempDir(), 0)
	s.Start(t.Context(), 0)
	s.Append([]byte("a\n"), false)
	if d := <-h.waits; d != quiet {
		t.Errorf("after a request it waits %s, want %s", d, quiet)
	}
	for range 1000 {
		s.Append([]byte("b\n"), false)
	}
	if n := len(c.Requests()); n != 1 {
		t.Errorf("%d requests before the wait was over, want 1", n)
	}
	h.step <- time.Time{}
	<-h.waits
	if n := len(c.Requests()); n != 2 {
		t.Errorf("%d requests, want 2: what came meanwhile goes at once", n)
	}
	s.Append([]byte("c\n"), false)
	s.Append([]byte("end\n"), true)
	c.Wait(t, "the urgent entry", func() bool { return bytes.HasSuffix(c.Stream("pod-a", journal.StreamJournal), []byte("c\nend\n")) })
}

func TestBackoff(t *testing.T) {
	b := backoff{jitter: func() float64 { return 0.5 }}
	var got []time.Duration
	for range 7 {
		got = append(got, b.next(errors.New("x")))
	}
	want := "[200ms 400ms 800ms 1.6s 3.2s 5s 5s]"
	if fmt.Sprint(got) != want {
		t.Errorf("waits %v, want %s", got, want)
	}
	if d := b.next(&statusError{code: 503, after: 9 * time.Second}); d != 9*time.Second {
		t.Errorf("with Retry-After: 9 it waits %s", d)
	}
	if d := b.next(&statusError{code: 503, after: time.Hour}); d != 30*time.Second {
		t.Errorf("with Retry-After: 3600 it waits %s: nobody may stop the pod from asking for that long", d)
	}
	for _, jitter := range []float64{0, 0.999} {
		b := backoff{jitter: func() float64 { return jitter }}
		if d := b.next(nil); d < firstWait/2 || d > firstWait*3/2 {
			t.Errorf("jitter %v: %s", jitter, d)
		}
	}
}

// TestLinesAreNotTorn has more lines to send than one request takes: what the collector has ends with a line at any time.
func TestLinesAreNotTorn(t *testing.T) {
	c := collectortest.New(t)
	s := NewStream(client(t, c, nil), journal.StreamJournal, t.TempDir(), 0)
	var want []byte
	for n := range 100 {
		l := line(n, 40_000)
		want = append(want, l...)
		s.Append(l, false)
	}
	s.Start(t.Context(), 0)
	if err := drain(t, s); err != nil {
		t.Fatal(err)
	}
	if got := c.Stream("pod-a", journal.StreamJournal); !bytes.Equal(got, want) || c.Torn() > 0 || len(c.Requests()) < 4 {
		t.Errorf("%d bytes arrived, want %d; %d of %d requests ended inside a line", len(got), len(want), c.Torn(), len(c.Requests()))
	}
}

func TestStreamSendsNoMoreThanIsTaken(t *testing.T) {
	c := collectortest.New(t)
	s := NewStream(client(t, c, nil), journal.StreamLog, t.TempDir(), 0)
	random := rand.New(rand.NewPCG(1, 2))
	want := make([]byte, 3*journal.MaxAppend+17)
	for i := range want {
		want[i] = byte(random.Uint32())
	}
	s.Append(want, false)
	s.Start(t.Context(), 0)
	if err := drain(t, s); err != nil {
		t.Fatal(err)
	}
	if got := c.Stream("pod-a", journal.StreamLog); !bytes.Equal(got, want) {
		t.Errorf("%d bytes arrived, want %d", len(got), len(want))
	}
	if n := len(c.Requests()); n != 4 {
		t.Errorf("%d requests, want 4", n)
	}
}
