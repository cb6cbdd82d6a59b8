package live

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// run is one run in memory.
type run struct {
	*notifier
	runs *Runs
	id   Run
	key  store.Run

	// turn is held by whoever writes the run's streams and document, or reads all of it anew.
	turn chan struct{}

	// users, used and size are guarded by runs.mu; size is what the run was found to take in memory.
	users int
	used  time.Time
	size  int64

	mu sync.Mutex
	// content is what the store has, nil before it was read.
	content *content
	// stale says that the store may have more than content.
	stale bool
	// loading is closed when the store has been read; nil while nobody does so.
	loading chan struct{}
	// failure is why the store could not be read at failedAt.
	failure  error
	failedAt time.Time
	deleted  bool
}

func newRun(r *Runs, id Run) *run {
	u := &run{runs: r, id: id, key: id.key(), turn: make(chan struct{}, 1)}
	u.notifier = &notifier{clock: r.config.Clock, tell: func() { u.announce() }}
	return u
}

func (u *run) announce() {
	u.mu.Lock()
	namespace, name := u.id.Namespace, u.id.Name
	u.mu.Unlock()
	if name != "" {
		u.runs.config.Notify(namespace, name)
	}
}

// named notes the run's name, which whoever deletes it need not know.
func (u *run) named(id Run) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if id.Name != "" {
		u.id.Name = id.Name
	}
	if id.Project != "" {
		u.id.Project = id.Project
	}
}

// take waits for the turn.
func (u *run) take(ctx context.Context) error {
	select {
	case u.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case u.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: waiting for another request about the same run: %w", ErrBusy, ctx.Err())
	}
}

func (u *run) give() { <-u.turn }

// memory returns about how many bytes of memory the run takes.
func (u *run) memory() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.content == nil {
		return 0
	}
	return int64(u.content.state.Size())
}

func (u *run) done() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.content == nil || u.content.done()
}

// forget empties a run that was deleted; whoever still holds it is refused.
func (u *run) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.content, u.deleted = nil, true
}

// doubt notes that the store may have more than is known here.
func (u *run) doubt() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stale = true
}

// current returns what is known of the run, nil when it must be read first.
func (u *run) current() *content {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.stale {
		return nil
	}
	return u.content
}

// ready waits until what the store has of the run is known.
func (u *run) ready(ctx context.Context) error {
	now := u.runs.config.Clock.Now()
	u.mu.Lock()
	switch {
	case u.deleted:
		u.mu.Unlock()
		return ErrDeleted
	case u.content != nil && !u.stale:
		u.mu.Unlock()
		return nil
	case u.failure != nil && now.Sub(u.failedAt) < failurePause && !now.Before(u.failedAt):
		defer u.mu.Unlock()
		return u.failure
	}
	loading := u.loading
	if loading == nil {
		loading = make(chan struct{})
		if !u.runs.background(func() { u.load(loading) }) {
			u.mu.Unlock()
			return fmt.Errorf("%w: the collector stops", ErrBusy)
		}
		u.loading = loading
	}
	u.mu.Unlock()
	select {
	case <-loading:
	case <-ctx.Done():
		return fmt.Errorf("%w: run %s/%s: %w", ErrBusy, u.key.Namespace, u.key.UID, ctx.Err())
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.failure
}

const (
	// failurePause is how long nobody tries again to read the store after it failed.
	failurePause = 5 * time.Second
	// loadTime bounds the reading of all that is kept of a run.
	loadTime = 5 * time.Minute
)

// load reads all that the store has of the run.
func (u *run) load(loading chan struct{}) {
	ctx, cancel := context.WithTimeout(u.runs.ctx, loadTime)
	defer cancel()
	defer u.runs.settle(u)
	c, err := (*content)(nil), u.take(ctx)
	if err == nil {
		defer u.give()
		c, err = u.read(ctx)
	}
	now := u.runs.config.Clock.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.failure, u.failedAt = err, now
	if err == nil {
		u.content, u.stale = c, false
	}
	u.loading = nil
	close(loading)
}

// read reads all that the store has of the run. Whoever calls it holds the turn.
func (u *run) read(ctx context.Context) (*content, error) {
	r := u.runs
	reads := false
	defer func() {
		if reads {
			<-r.large
		}
	}()
	c, err := readContent(ctx, r.config.Store, u.key, func() error {
		select {
		case r.large <- struct{}{}:
			reads = true
		case <-ctx.Done():
			return fmt.Errorf("%w: another large run is read from the store: %w", ErrBusy, ctx.Err())
		}
		if !r.room() {
			return fmt.Errorf("%w: the runs that are asked about just now take all of the collector's memory", ErrBusy)
		}
		return nil
	})
	if err != nil {
		r.failed("read", err)
	}
	return c, err
}

// write calls f while nobody else writes, with what is known of the run.
func (u *run) write(ctx context.Context, f func(ctx context.Context, c *content) error) error {
	// Somebody else's doubt may come between ready and take; it does not come again and again.
	for range 5 {
		if err := u.ready(ctx); err != nil {
			return err
		}
		if err := u.take(ctx); err != nil {
			return err
		}
		if c := u.current(); c != nil {
			defer u.give()
			ctx, cancel := context.WithTimeout(ctx, u.runs.config.Limits.Timeout)
			defer cancel()
			return f(ctx, c)
		}
		u.give()
	}
	return ErrBusy
}

// Kept returns what is kept of a run, nil when nothing is. What it returns must not be changed. It reads the store only for
// a run that is not in memory, or after a write of which it is not known whether it was done.
func (r *Runs) Kept(ctx context.Context, id Run) (*journal.Kept, error) {
	u, release := r.use(id)
	defer release()
	u.named(id)
	ctx, cancel := context.WithTimeout(ctx, keptTime)
	defer cancel()
	err := u.ready(ctx)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.content == nil {
		return nil, err
	}
	// After a doubtful write, what was known before it is better than nothing.
	return u.content.kept(u.key.UID), nil
}

// keptTime bounds how long somebody waits for what is kept; reading goes on without them.
const keptTime = 3 * time.Second
