package send_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/openlineage"
	"github.com/dbt-operator/dbt-operator/internal/openlineage/send"
	"github.com/dbt-operator/dbt-operator/internal/outbox"
)

// clock is one on which all waiting is over at once, and has taken its time.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(max(0, d))
	passed := make(chan time.Time, 1)
	passed <- c.now
	return passed
}

// started runs a sender until the test ends.
func started(t *testing.T, s *send.Sender) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestAllWaitWhileTheEndpointIsAway(t *testing.T) {
	const failures = 10
	c := &clock{now: ended}
	var pauses []time.Duration
	last := ended
	e := newEndpoint(t, func(n int) int {
		if n > failures {
			return 200
		}
		if n > 0 {
			pauses = append(pauses, c.Now().Sub(last))
		}
		last = c.Now()
		if n < failures {
			return 503
		}
		return 200
	})
	done := make(chan struct{}, 10)
	s := sender(t, e, newWorld(openlineage.Complete), func(cfg *send.Config) {
		cfg.Now, cfg.After, cfg.Workers, cfg.MaxBackoff = c.Now, c.After, 1, 10*time.Second
		cfg.Count = func(r send.Result, _ int) {
			if r == send.Sent {
				done <- struct{}{}
			}
		}
	})
	s.Poke(key)
	started(t, s)
	<-done
	<-done
	var want []time.Duration
	for _, seconds := range []int{1, 2, 4, 8, 10, 10, 10, 10, 10, 10} {
		want = append(want, time.Duration(seconds)*time.Second)
	}
	if diff := cmp.Diff(want, pauses); diff != "" {
		t.Errorf("pauses (-want +got):\n%s", diff)
	}
}

// The controller must not wait: with everything stuck a poke returns, and what has no room is counted.
func TestPokeNeverBlocks(t *testing.T) {
	dropped := 0
	s := sender(t, newEndpoint(t, nil), newWorld(openlineage.Complete), func(c *send.Config) {
		c.MaxRuns = 5
		c.Count = func(send.Result, int) { dropped++ }
	})
	for i := range 100 {
		s.Poke(outbox.Key{Name: fmt.Sprint(i % 20)})
	}
	if got := s.Waiting(); got != 5 || dropped != 75 {
		t.Errorf("%d wait, %d dropped; want 5 and 75", got, dropped)
	}
}

// A poke while a run is being synced is about something new: it is looked at once more.
func TestPokeWhileSyncing(t *testing.T) {
	w := newWorld("")
	var s *send.Sender
	sent := make(chan struct{}, 10)
	e := newEndpoint(t, func(n int) int {
		if n == 0 { // START: while it is sent the run ends
			w.mu.Lock()
			w.known.Run.End, w.known.Run.Outcome = ended, openlineage.Complete
			w.mu.Unlock()
			s.Poke(key)
		}
		return 200
	})
	s = sender(t, e, w, func(c *send.Config) { c.Count = func(send.Result, int) { sent <- struct{}{} } })
	s.Poke(key)
	started(t, s)
	<-sent
	<-sent
	if diff := cmp.Diff([]string{"START dbtproject/shop", "COMPLETE dbtproject/shop"}, e.taken()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// panicking is a source that has a fault.
type panicking struct{ *world }

func (panicking) Known(context.Context, outbox.Key) (send.Known, error) { panic("a fault") }

func TestAPanicTakesNothingDown(t *testing.T) {
	counted := make(chan send.Result, 10)
	w := newWorld(openlineage.Complete)
	s := sender(t, newEndpoint(t, nil), w, func(c *send.Config) {
		c.Source = panicking{w}
		c.Count = func(r send.Result, _ int) { counted <- r }
	})
	s.Poke(key)
	started(t, s)
	if a, b := <-counted, <-counted; a != send.Failed || b != send.Dropped {
		t.Errorf("counted %s, %s", a, b)
	}
}

func TestManyRunsGoOutBesideEachOther(t *testing.T) {
	e := newEndpoint(t, nil)
	const runs = 50
	sent := make(chan struct{}, 2*runs)
	s := sender(t, e, newWorld(openlineage.Complete), func(c *send.Config) { c.Count = func(send.Result, int) { sent <- struct{}{} } })
	started(t, s)
	for i := range runs {
		s.Poke(outbox.Key{Name: fmt.Sprint(i)})
	}
	for range 2 * runs {
		<-sent
	}
	if got := len(e.taken()); got != 2*runs {
		t.Errorf("%d events, want %d", got, 2*runs)
	}
}
