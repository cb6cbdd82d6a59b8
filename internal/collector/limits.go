package collector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
	"k8s.io/utils/clock"

	"github.com/dbt-operator/dbt-operator/internal/collector/access"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// limits bound what requests may take.
type limits struct {
	// podRequests and peopleRequests are how many are under way at a time.
	podRequests, peopleRequests int
	// onePod is how many of one pod are under way at a time; perSecond and burst how often it may ask.
	onePod           int32
	perSecond, burst int
	// bodies is how many bytes of journals and logs are held in memory, over all requests.
	bodies int64
	// read is how long a request may take to come whose body nobody has asked for yet.
	read time.Duration
	// grace is how long a body may take at its beginning, beside what slowestIn allows of one that a pod sends, and
	// slowestOut of one that is read here, in bytes a second: people may be far away.
	grace                 time.Duration
	slowestIn, slowestOut int64
	// stall is how long the store may take to go on with an artifact or a log.
	stall time.Duration
	// answer bounds a request that moves no large data.
	answer time.Duration
}

var defaultLimits = limits{
	podRequests: 512, peopleRequests: 64,
	onePod: 8, perSecond: 50, burst: 200,
	bodies: 64 << 20,
	read:   30 * time.Second,
	grace:  15 * time.Second, slowestIn: 256 << 10, slowestOut: 16 << 10,
	stall:  2 * time.Minute,
	answer: 20 * time.Second,
}

const (
	// maxPods bounds how many pods are remembered.
	maxPods = 4096
	// podTime is how long a pod that was not heard of is.
	podTime = 10 * time.Minute
	// memoryTime is how long a body waits for memory.
	memoryTime = 5 * time.Second
	// block is how much memory a body takes at a time.
	block = 64 << 10
)

// errBusy says that the server has its hands full.
var errBusy = &access.Refusal{Kind: access.ErrTooMany, Message: "the collector has too many requests under way: try again in a moment"}

// places are those of requests under way.
type places chan struct{}

func newPlaces(n int) places { return make(places, n) }

// take takes a place if one is free.
func (p places) take() bool {
	select {
	case p <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p places) give() { <-p }

// podUse is what one pod takes.
type podUse struct {
	limiter  *rate.Limiter
	underWay atomic.Int32
}

// enter refuses a pod that asks too often or too much at once. done must be called if there is no error.
func (c *Collector) enter(a access.Attempt) (done func(), err error) {
	now := c.config.Clock.Now()
	known, ok := c.perPod.Get(a.UID)
	if !ok {
		known = &podUse{limiter: rate.NewLimiter(rate.Limit(c.limits.perSecond), c.limits.burst)}
	}
	c.perPod.Add(a.UID, known, podTime)
	use := known.(*podUse) //nolint:forcetypeassert // nothing else is put in
	if use.underWay.Add(1) > c.limits.onePod {
		use.underWay.Add(-1)
		return nil, &access.Refusal{Kind: access.ErrTooMany, Message: fmt.Sprintf("pod %s has more than %d requests under way: wait for their answers", a.Pod, c.limits.onePod)}
	}
	if !use.limiter.AllowN(now, 1) {
		use.underWay.Add(-1)
		return nil, &access.Refusal{Kind: access.ErrTooMany, Message: fmt.Sprintf("pod %s asks more than %d times a second: send more at once, less often", a.Pod, c.limits.perSecond)}
	}
	return func() { use.underWay.Add(-1) }, nil
}

// memory bounds what all bodies together take.
type memory struct{ *semaphore.Weighted }

func newMemory(n int64) memory { return memory{semaphore.NewWeighted(n)} }

// read returns all of r, at most limit bytes. release gives the memory back and must always be called. Memory is taken as
// bytes come, so that a slow body takes none for what it has not sent.
func (m memory) read(ctx context.Context, r io.Reader, limit int) (b []byte, release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, memoryTime)
	defer cancel()
	taken := int64(0)
	release = func() { m.Release(taken) }
	for {
		if len(b) == cap(b) {
			if !m.TryAcquire(block) && m.Acquire(ctx, block) != nil {
				return nil, release, errBusy
			}
			taken += block
			b = append(make([]byte, 0, len(b)+block), b...)
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case len(b) > limit:
			return nil, release, fmt.Errorf("%w: at most %d bytes are taken at once", store.ErrTooLarge, limit)
		case errors.Is(err, io.EOF):
			return b, release, nil
		case err != nil:
			return nil, release, &bodyError{err}
		}
	}
}

// bodyError is a failure of whoever sends a body, not of the store that it is sent to.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "the body could not be read: " + e.err.Error() }

func (e *bodyError) Unwrap() error { return e.err }

// paced moves a body, and cuts it off when it comes, or goes, too slowly.
type paced struct {
	clock   clock.WithDelayedExecution
	limits  limits
	slowest int64
	control *http.ResponseController
	start   time.Time
	moved   int64
	// onStall is called when nothing has moved for limits.stall; timer waits for it.
	onStall func()
	timer   clock.Timer
}

// paced returns what measures a body that comes, or goes, at slowest bytes a second at least.
func (c *Collector) paced(w http.ResponseWriter, slowest int64, onStall func()) *paced {
	p := &paced{clock: c.config.Clock, limits: c.limits, slowest: slowest, control: http.NewResponseController(w), onStall: onStall}
	p.start = p.clock.Now()
	if onStall != nil {
		p.timer = p.clock.AfterFunc(p.limits.stall, onStall)
	}
	return p
}

// deadline is when the next bytes must have moved.
func (p *paced) deadline() time.Time {
	seconds := math.Min(float64(p.moved)/float64(p.slowest), 1e6)
	return p.start.Add(p.limits.grace + time.Duration(seconds*float64(time.Second)))
}

func (p *paced) progress(n int) {
	p.moved += int64(n)
	if p.timer != nil {
		p.timer.Reset(p.limits.stall)
	}
}

// end stops waiting.
func (p *paced) end() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

// slowReader reads a body that must keep its pace. What is left of one that was not read to its end is not waited for
// either.
type slowReader struct {
	*paced
	in    io.Reader
	ended bool
}

func (r *slowReader) Read(b []byte) (int, error) {
	if r.ended {
		// The server waits for the connection's end now. A deadline that passes would cancel the request.
		return 0, io.EOF
	}
	_ = r.control.SetReadDeadline(r.deadline())
	n, err := r.in.Read(b)
	r.progress(n)
	switch {
	case errors.Is(err, io.EOF):
		r.ended = true
	case err != nil:
		err = &bodyError{err}
	}
	return n, err
}

// slowWriter writes a body that must be read at a pace.
type slowWriter struct {
	*paced
	out io.Writer
}

func (w *slowWriter) Write(b []byte) (int, error) {
	_ = w.control.SetWriteDeadline(w.deadline())
	n, err := w.out.Write(b)
	w.progress(n)
	return n, err
}
