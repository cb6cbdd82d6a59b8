package send

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
	"github.com/dbt-operator/dbt-operator/internal/openlineage"
)

// Result is what became of an event, a try or a run, for metrics.
type Result string

// Results.
const (
	// Sent: the endpoint took an event.
	Sent Result = "sent"
	// Refused: the endpoint refused an event for what it says; it is left out.
	Refused Result = "refused"
	// Failed: a try failed and will be made again.
	Failed Result = "failed"
	// Dropped: a run's events were given up, or there was no room for one more run.
	Dropped Result = "dropped"
)

// Config is what a Sender is made of. URL, Source, Marks, Now and After are needed.
type Config struct {
	// URL of the endpoint. One without a path gets /api/v1/lineage, where OpenLineage's receivers listen.
	URL *url.URL
	// Header is sent with each request.
	Header http.Header
	// Token returns the bearer token, read anew for each request, since it may be rotated; nil sends none.
	Token func() (string, error)
	// Client does the requests; redirects are not followed. nil is one with Go's defaults.
	Client  *http.Client
	Options openlineage.Options
	Source  Source
	Marks   Marks
	Now     func() time.Time
	// After returns a channel that something is sent on when a time has passed, as time.After does.
	After func(time.Duration) <-chan time.Time
	// Count is told what became of events; it must not block.
	Count func(Result, int)
	// Log is told why a try failed; it must not block.
	Log func(run Key, err error)

	// Workers sync so many runs at a time; default 4.
	Workers int
	// MaxRuns wait at most; default 10,000. What comes then is dropped until somebody pokes again.
	MaxRuns int
	// Timeout of one request; default 10 s.
	Timeout time.Duration
	// MinBackoff and MaxBackoff are how long all wait after a failure, doubled each time; default 1 s and 5 min.
	MinBackoff, MaxBackoff time.Duration
	// GiveUpAfter is how long after a run's end its events are still tried to be sent; default 24 h.
	GiveUpAfter time.Duration
}

// Sender sends the events of runs. Its methods are safe for concurrent use.
type Sender struct {
	config   Config
	endpoint string

	mu      sync.Mutex
	waiting []Key         // in the order in which they are looked at
	states  map[Key]state // of what waits or is being synced
	tries   int           // failures in a row
	until   time.Time     // nothing is tried before
	wake    chan struct{}
}

// state of a run that is known to the queue.
type state struct {
	running bool
	again   bool // poked while it was running
}

// New returns a sender; it sends nothing until it is started.
func New(c Config) *Sender {
	c.Workers = or(c.Workers, 4)
	c.MaxRuns = or(c.MaxRuns, 10_000)
	c.Timeout = or(c.Timeout, 10*time.Second)
	c.MinBackoff, c.MaxBackoff = or(c.MinBackoff, time.Second), or(c.MaxBackoff, 5*time.Minute)
	c.GiveUpAfter = or(c.GiveUpAfter, 24*time.Hour)
	if c.Count == nil {
		c.Count = func(Result, int) {}
	}
	if c.Log == nil {
		c.Log = func(Key, error) {}
	}
	client := http.Client{}
	if c.Client != nil {
		client = *c.Client
	}
	// A redirect would carry token and data to somebody that nobody named.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Client = &client
	return &Sender{config: c, endpoint: endpoint(c.URL), states: map[Key]state{}, wake: make(chan struct{}, 1)}
}

func or[T int | time.Duration](value, preset T) T {
	if value > 0 {
		return value
	}
	return preset
}

// Poke says that a run started, ended, or has something new. It never blocks.
func (s *Sender) Poke(run Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, known := s.states[run]
	switch {
	case known:
		st.again = st.running
		s.states[run] = st
	case len(s.states) >= s.config.MaxRuns:
		s.config.Count(Dropped, 1)
	default:
		s.states[run] = state{}
		s.waiting = append(s.waiting, run)
		s.signal()
	}
}

// Waiting returns the number of runs that wait or are being synced.
func (s *Sender) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.states)
}

// signal wakes one worker, which wakes the next when there is more to do.
func (s *Sender) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Start syncs what is poked until ctx is done, and returns nil once nothing is under way any more.
func (s *Sender) Start(ctx context.Context) error {
	var workers sync.WaitGroup
	for range s.config.Workers {
		workers.Go(func() { s.work(ctx) })
	}
	workers.Wait()
	return nil
}

func (s *Sender) work(ctx context.Context) {
	for {
		run, ok := s.next(ctx)
		if !ok {
			return
		}
		err := s.guarded(ctx, run)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.config.Count(Failed, 1)
			s.config.Log(run, err)
		}
		if errors.Is(err, errPanic) {
			s.config.Count(Dropped, 1)
			err = nil
		}
		s.finish(run, err)
	}
}

// guarded syncs a run. A panic in it would take down the manager.
func (s *Sender) guarded(ctx context.Context, run Key) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %s", errPanic, text.Line(fmt.Sprint(p), 200))
		}
	}()
	return s.Sync(ctx, run)
}

var errPanic = errors.New("making the events failed: this is a fault of the operator")

// next waits until a run may be synced and returns it, or false when ctx is done.
func (s *Sender) next(ctx context.Context) (Key, bool) {
	for {
		s.mu.Lock()
		pause := s.until.Sub(s.config.Now())
		if pause <= 0 && len(s.waiting) > 0 {
			run := s.waiting[0]
			s.waiting = s.waiting[1:]
			s.states[run] = state{running: true}
			if len(s.waiting) > 0 {
				s.signal()
			}
			s.mu.Unlock()
			return run, ctx.Err() == nil
		}
		waiting := len(s.waiting) > 0
		s.mu.Unlock()
		var passed <-chan time.Time
		if waiting {
			passed = s.config.After(pause)
		}
		select {
		case <-ctx.Done():
			return Key{}, false
		case <-s.wake:
		case <-passed:
		}
	}
}

// finish takes a run out of the queue, or puts it at the end again. After a failure all wait: the endpoint and the store
// are the same for all runs. It wakes nobody: the worker that called it looks for the next run itself.
func (s *Sender) finish(run Key, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.tries, s.until = 0, time.Time{}
	} else {
		pause := s.config.MaxBackoff
		if s.tries < 30 {
			pause = min(pause, s.config.MinBackoff<<s.tries)
		}
		s.tries++
		s.until = s.config.Now().Add(pause)
	}
	if err != nil || s.states[run].again {
		s.states[run] = state{}
		s.waiting = append(s.waiting, run)
	} else {
		delete(s.states, run)
	}
}
