package live

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/dbt-operator/dbt-operator/internal/store"
)

// Config is what Runs is made of.
type Config struct {
	Clock clock.WithDelayedExecution
	Store Store
	// Notify is called, outside of all locks, when a run went on; it must not block. nil: nobody is told.
	Notify func(namespace, name string)
	// Failed is called with each failure of the store and what was being done. nil: nobody is told.
	Failed func(operation string, err error)
	// Live is called with the number of runs in memory when it changes. nil: nobody is told.
	Live   func(n int)
	Limits Limits
}

// Limits bound what is kept of a run. Zero values stand for the defaults.
type Limits struct {
	// Journal and Log are of one attempt, in bytes: 64 MiB and 512 MiB.
	Journal, Log int64
	// Artifacts is their number per run, ArtifactBytes the size of all of them together: 200 and 4 GiB.
	Artifacts     int
	ArtifactBytes int64
	// Memory is of all runs that are held in memory, in bytes by estimate: 160 MiB. Over it the largest go that nobody uses just
	// now; they are read again when somebody asks for them.
	Memory int64
	// Timeout bounds one operation of the store that moves no large data: 10 s.
	Timeout time.Duration
}

func (l Limits) orDefaults() Limits {
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	def(&l.Journal, 64<<20)
	def(&l.Log, 512<<20)
	def(&l.ArtifactBytes, 4<<30)
	def(&l.Memory, 160<<20)
	if l.Artifacts == 0 {
		l.Artifacts = 200
	}
	if l.Timeout == 0 {
		l.Timeout = 10 * time.Second
	}
	return l
}

// How long a run is held in memory after it was last asked for.
const (
	idleTime = 30 * time.Minute
	doneTime = 2 * time.Minute
	// sweepEvery is how often memory is looked through for such runs.
	sweepEvery = time.Minute
)

// Runs holds the runs that have been heard of lately. Its methods may be called by many goroutines at once; one process at
// a time should do so over one store, but two may for a moment.
type Runs struct {
	config Config
	// ctx is the life of work in the background, jobs that work.
	ctx    context.Context //nolint:containedctx // it is the life of this value's own goroutines
	cancel context.CancelFunc
	jobs   sync.WaitGroup
	// ending guards closed, and nothing else is locked while it is held.
	ending sync.Mutex
	closed bool

	// large is held by whoever reads a large run from the store: what it takes in memory is counted when it is read.
	large chan struct{}

	mu   sync.Mutex
	runs map[store.Run]*run
	// size is what runs take in memory, in bytes by estimate.
	size  int64
	swept time.Time
}

// New returns Runs with nothing in memory.
func New(config Config) *Runs {
	config.Limits = config.Limits.orDefaults()
	if config.Notify == nil {
		config.Notify = func(string, string) {}
	}
	if config.Failed == nil {
		config.Failed = func(string, error) {}
	}
	if config.Live == nil {
		config.Live = func(int) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Runs{config: config, ctx: ctx, cancel: cancel, runs: map[store.Run]*run{}, large: make(chan struct{}, 1)}
}

// Close ends work in the background. What is called after it finds what is in memory, and fails where more is needed.
func (r *Runs) Close() {
	r.ending.Lock()
	r.closed = true
	r.ending.Unlock()
	r.cancel()
	r.jobs.Wait()
}

// background runs f beside the caller, unless r is closed.
func (r *Runs) background(f func()) bool {
	r.ending.Lock()
	defer r.ending.Unlock()
	if r.closed {
		return false
	}
	r.jobs.Go(f)
	return true
}

// Run names a run.
type Run struct {
	Namespace string
	Name      string
	UID       string
	// Project is the name of its DbtProject, empty for one inline and where it does not matter.
	Project string
}

func (r Run) key() store.Run { return store.Run{Namespace: r.Namespace, UID: r.UID} }

// Attempt is one pod of a run, as somebody vouches for it.
type Attempt struct {
	Run Run
	// Pod is the pod's name, UID its UID.
	Pod, UID string
}

// use returns the run in memory, which stays there until release is called.
func (r *Runs) use(id Run) (u *run, release func()) {
	now := r.config.Clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.swept) >= sweepEvery || now.Before(r.swept) {
		r.sweep(now)
	}
	u = r.runs[id.key()]
	if u == nil {
		u = newRun(r, id)
		r.runs[id.key()] = u
		r.config.Live(len(r.runs))
	}
	u.users++
	return u, func() {
		now := r.config.Clock.Now()
		r.mu.Lock()
		defer r.mu.Unlock()
		u.users--
		u.used = now
		r.measure(u)
		r.shrink()
	}
}

// settle counts what a run takes in memory that was read.
func (r *Runs) settle(u *run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.measure(u)
	r.shrink()
}

// room reports whether what is in memory is within the limit, or can be brought there.
func (r *Runs) room() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shrink()
}

// measure counts what a run takes in memory. Whoever calls it holds mu.
func (r *Runs) measure(u *run) {
	if r.runs[u.key] == u {
		now := u.memory()
		r.size += now - u.size
		u.size = now
	}
}

// drop forgets a run. Whoever calls it holds mu.
func (r *Runs) drop(u *run) {
	delete(r.runs, u.key)
	r.size -= u.size
	u.size = 0
}

// shrink forgets the largest runs that nobody uses until the others are within the limit, and reports whether they are. The
// pods that report are hostile: however many there are, and however much they have to tell, it is for the store to hold.
// Whoever calls it holds mu.
func (r *Runs) shrink() bool {
	for r.size > r.config.Limits.Memory {
		var largest *run
		for _, u := range r.runs {
			if u.users == 0 && u.size > 0 && (largest == nil || u.size > largest.size) {
				largest = u
			}
		}
		if largest == nil {
			return false
		}
		r.drop(largest)
		r.config.Live(len(r.runs))
	}
	return true
}

// sweep forgets the runs that nobody has asked for lately.
func (r *Runs) sweep(now time.Time) {
	r.swept = now
	for _, u := range r.runs {
		idle := now.Sub(u.used)
		if u.users == 0 && (idle >= idleTime || idle >= doneTime && u.done()) {
			r.drop(u)
		}
	}
	r.config.Live(len(r.runs))
}

// Delete deletes everything that is kept of a run.
func (r *Runs) Delete(ctx context.Context, namespace, uid string) error {
	u, release := r.use(Run{Namespace: namespace, UID: uid})
	defer release()
	if err := u.take(ctx); err != nil {
		return err
	}
	defer u.give()
	ctx, cancel := context.WithTimeout(ctx, 6*r.config.Limits.Timeout)
	defer cancel()
	err := r.config.Store.DeleteRun(ctx, u.key)
	if err != nil {
		r.failed("delete", err)
	}
	u.forget()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.runs[u.key] == u {
		r.drop(u)
		r.config.Live(len(r.runs))
	}
	return err
}

// failed tells of a failure of the store.
func (r *Runs) failed(operation string, err error) {
	if errors.Is(err, store.ErrStore) {
		r.config.Failed(operation, err)
	}
}
