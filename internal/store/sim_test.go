package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

// simulation runs several processes on one store, one operation at a time, in an order that a seed decides.
type simulation struct {
	random *rand.Rand
	store  objects

	mu      sync.Mutex
	idle    sync.Cond
	running int
	waiting []chan struct{}
}

func newSimulation(seed uint64) *simulation {
	m := &simulation{random: rand.New(rand.NewPCG(seed, 0)), store: &blobs{bucket: openMemory()}}
	m.idle.L = &m.mu
	return m
}

// start adds a goroutine to the simulation. It waits for its turn at each operation.
func (m *simulation) start(do func()) {
	m.mu.Lock()
	m.running++
	m.mu.Unlock()
	go func() {
		m.turn()
		do()
		m.mu.Lock()
		m.running--
		m.mu.Unlock()
		m.idle.Signal()
	}()
}

// turn waits until the simulation chooses the caller.
func (m *simulation) turn() {
	chosen := make(chan struct{})
	m.mu.Lock()
	m.waiting = append(m.waiting, chosen)
	m.running--
	m.mu.Unlock()
	m.idle.Signal()
	<-chosen
}

// run chooses one goroutine after the other until all are done.
func (m *simulation) run() {
	for {
		m.mu.Lock()
		for m.running > 0 {
			m.idle.Wait()
		}
		if len(m.waiting) == 0 {
			m.mu.Unlock()
			return
		}
		i := m.random.IntN(len(m.waiting))
		chosen := m.waiting[i]
		m.waiting[i] = m.waiting[len(m.waiting)-1]
		m.waiting = m.waiting[:len(m.waiting)-1]
		m.running++
		m.mu.Unlock()
		close(chosen)
	}
}

var (
	errDead = errors.New("the process is dead")
	errLost = errors.New("no reply came")
)

// process is the store as one process has it. Faults are in per mille of operations.
type process struct {
	sim              *simulation
	dies, lost, late int
	// torn makes a listing no snapshot: of what comes and goes meanwhile, some is seen and some is not.
	torn bool
	dead bool
}

// open returns a Store that does nothing in the background.
func (p *process) open() *Store {
	s := newStore(p)
	s.places = make(chan struct{})
	return s
}

func (p *process) chance(perMille int) bool { return p.sim.random.IntN(1000) < perMille }

// change does what changes the store: at once, at once but with the reply lost, never, or after the caller gave up.
func (p *process) change(do func() error) error {
	p.sim.turn()
	switch {
	case p.dead:
		return errDead
	case p.chance(p.dies):
		p.dead = true
		if p.chance(500) {
			_ = do()
		}
		return errDead
	case p.chance(p.lost):
		_ = do()
		return errLost
	case p.chance(p.late):
		p.sim.start(func() {
			for range p.sim.random.IntN(60) {
				p.sim.turn()
			}
			_ = do()
		})
		return errLost
	}
	return do()
}

// look does what only looks.
func (p *process) look() error {
	p.sim.turn()
	if p.dead || p.chance(p.dies) {
		p.dead = true
		return errDead
	}
	if p.chance(p.lost) {
		return errLost
	}
	return nil
}

func (p *process) put(ctx context.Context, key string, r io.Reader, how put) (int64, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return 0, err
	}
	return int64(len(b)), p.change(func() error {
		_, err := p.sim.store.put(ctx, key, bytes.NewReader(b), how)
		return err
	})
}

func (p *process) delete(ctx context.Context, key string) error {
	return p.change(func() error { return p.sim.store.delete(ctx, key) })
}

func (p *process) get(ctx context.Context, key string, offset int64) (io.ReadCloser, error) {
	if err := p.look(); err != nil {
		return nil, err
	}
	return p.sim.store.get(ctx, key, offset)
}

func (p *process) stat(ctx context.Context, key string) (layout.Object, error) {
	if err := p.look(); err != nil {
		return layout.Object{}, err
	}
	return p.sim.store.stat(ctx, key)
}

func (p *process) list(ctx context.Context, prefix string) ([]layout.Object, error) {
	rounds := 1
	if p.torn {
		rounds = 3
	}
	seen := map[string]int{}
	all := map[string]layout.Object{}
	for range rounds {
		if err := p.look(); err != nil {
			return nil, err
		}
		some, err := p.sim.store.list(ctx, prefix)
		if err != nil {
			return nil, err
		}
		for _, o := range some {
			seen[o.Key]++
			all[o.Key] = o
		}
	}
	var out []layout.Object
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if seen[key] == rounds || p.chance(500) {
			out = append(out, all[key])
		}
	}
	return out, nil
}

func (p *process) deleteAll(ctx context.Context, prefix string) error {
	return p.change(func() error { return p.sim.store.deleteAll(ctx, prefix) })
}

func (p *process) runs(ctx context.Context, f func(Run, []layout.Object) error) error {
	return p.sim.store.runs(ctx, f)
}

func (p *process) close() error { return nil }
