package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
)

// Key names a run.
type Key struct{ Namespace, Name, UID string }

func (k Key) String() string { return k.Namespace + "/" + k.Name }

// ErrGone is what a source returns for a run that is not there any more.
var ErrGone = errors.New("the run is gone")

// Notes keep a small document for each run, at most a few hundred bytes.
type Notes interface {
	// Get returns the document, nil when there is none.
	Get(context.Context, Key) ([]byte, error)
	// Set keeps the document in place of the one before.
	Set(context.Context, Key, []byte) error
}

// Config is what a Queue is made of. Sync, Now and After are needed.
type Config struct {
	// Sync tells what is due of a run. After an error it is called again for it, once all have waited.
	Sync func(context.Context, Key) error
	Now  func() time.Time
	// After returns a channel that something is sent on when a time has passed, as time.After does.
	After func(time.Duration) <-chan time.Time
	// Failed is told that a try failed and will be made again; Dropped that a run was given up: there was no room for it, or it
	// made Sync panic. They must not block.
	Failed, Dropped func()
	// Log is told why a try failed; it must not block.
	Log func(run Key, err error)

	// Workers sync so many runs at a time; default 4.
	Workers int
	// MaxRuns wait at most; default 10,000. What comes then is dropped until somebody pokes again.
	MaxRuns int
	// MinBackoff and MaxBackoff are how long all wait after a failure, doubled each time; default 1 s and 5 min.
	MinBackoff, MaxBackoff time.Duration
}

// Queue has runs wait. Its methods are safe for concurrent use.
type Queue struct {
	config Config

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

// New returns a queue; it syncs nothing until it is started.
func New(c Config) *Queue {
	c.Workers = or(c.Workers, 4)
	c.MaxRuns = or(c.MaxRuns, 10_000)
	c.MinBackoff, c.MaxBackoff = or(c.MinBackoff, time.Second), or(c.MaxBackoff, 5*time.Minute)
	for _, f := range []*func(){&c.Failed, &c.Dropped} {
		if *f == nil {
			*f = func() {}
		}
	}
	if c.Log == nil {
		c.Log = func(Key, error) {}
	}
	return &Queue{config: c, states: map[Key]state{}, wake: make(chan struct{}, 1)}
}

func or[T int | time.Duration](value, preset T) T {
	if value > 0 {
		return value
	}
	return preset
}

// Poke says that a run started, ended, or has something new. It never blocks.
func (q *Queue) Poke(run Key) {
	q.mu.Lock()
	defer q.mu.Unlock()
	st, known := q.states[run]
	switch {
	case known:
		st.again = st.running
		q.states[run] = st
	case len(q.states) >= q.config.MaxRuns:
		q.config.Dropped()
	default:
		q.states[run] = state{}
		q.waiting = append(q.waiting, run)
		q.signal()
	}
}

// Waiting returns the number of runs that wait or are being synced.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.states)
}

// signal wakes one worker, which wakes the next when there is more to do.
func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Start syncs what is poked until ctx is done, and returns nil once nothing is under way any more.
func (q *Queue) Start(ctx context.Context) error {
	var workers sync.WaitGroup
	for range q.config.Workers {
		workers.Go(func() { q.work(ctx) })
	}
	workers.Wait()
	return nil
}

func (q *Queue) work(ctx context.Context) {
	for {
		run, ok := q.next(ctx)
		if !ok {
			return
		}
		err := q.guarded(ctx, run)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			q.config.Failed()
			q.config.Log(run, err)
		}
		if errors.Is(err, errPanic) {
			q.config.Dropped()
			err = nil
		}
		q.finish(run, err)
	}
}

// guarded syncs a run. A panic in it would take down the manager.
func (q *Queue) guarded(ctx context.Context, run Key) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %s", errPanic, text.Line(fmt.Sprint(p), 200))
		}
	}()
	return q.config.Sync(ctx, run)
}

var errPanic = errors.New("making what is to be sent failed: this is a fault of the operator")

// next waits until a run may be synced and returns it, or false when ctx is done.
func (q *Queue) next(ctx context.Context) (Key, bool) {
	for {
		q.mu.Lock()
		pause := q.until.Sub(q.config.Now())
		if pause <= 0 && len(q.waiting) > 0 {
			run := q.waiting[0]
			q.waiting = q.waiting[1:]
			q.states[run] = state{running: true}
			if len(q.waiting) > 0 {
				q.signal()
			}
			q.mu.Unlock()
			return run, ctx.Err() == nil
		}
		waiting := len(q.waiting) > 0
		q.mu.Unlock()
		var passed <-chan time.Time
		if waiting {
			passed = q.config.After(pause)
		}
		select {
		case <-ctx.Done():
			return Key{}, false
		case <-q.wake:
		case <-passed:
		}
	}
}

// finish takes a run out of the queue, or puts it at the end again. After a failure all wait: what is told to and the store
// are the same for all runs. It wakes nobody: the worker that called it looks for the next run itself.
func (q *Queue) finish(run Key, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil {
		q.tries, q.until = 0, time.Time{}
	} else {
		pause := q.config.MaxBackoff
		if q.tries < 30 {
			pause = min(pause, q.config.MinBackoff<<q.tries)
		}
		q.tries++
		q.until = q.config.Now().Add(pause)
	}
	if err != nil || q.states[run].again {
		q.states[run] = state{}
		q.waiting = append(q.waiting, run)
	} else {
		delete(q.states, run)
	}
}
