package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

var (
	someRun   = Run{Namespace: "shop", UID: "uid-1"}
	somePlace = layout.Place{Run: someRun, Stream: "journal", Part: "pod-1"}
)

// acknowledged is an append that the store said it has.
type acknowledged struct {
	offset int64
	b      []byte
}

// history is what the processes of a simulation were told. They take turns, so it needs no lock.
type history struct {
	acks  []acknowledged
	reads [][]byte
	// sent holds each chunk that was ever tried, by offset.
	sent     map[int64][][]byte
	problems []string
}

func (h *history) end() int64 {
	end := int64(0)
	for _, a := range h.acks {
		end = max(end, a.offset+int64(len(a.b)))
	}
	return end
}

func (h *history) problem(format string, args ...any) {
	h.problems = append(h.problems, fmt.Sprintf(format, args...))
}

// write is a process that appends chunks of its own, wherever it is told that the stream ends, and compacts and reads now and
// then. It begins with an idea of the end that may be wrong.
func (h *history) write(p *process, name byte, steps int) {
	s, r := p.open(), p.sim.random
	ctx := context.Background()
	offset := int64(0)
	var again []byte
	for range steps {
		switch what := r.IntN(10); {
		case what < 6:
			b := again
			if b == nil {
				b = chunk(r, name)
				h.sent[offset] = append(h.sent[offset], b)
			}
			again = nil
			end, err := s.Append(ctx, someRun, "journal", "pod-1", offset, b)
			switch {
			case err == nil:
				h.acks = append(h.acks, acknowledged{offset, b})
				offset = end
			case errors.Is(err, ErrOffset):
				offset = end
			default:
				again = b
			}
		case what < 8:
			_ = s.Compact(ctx, someRun, "journal", "pod-1")
		default:
			h.read(s)
		}
		if p.dead {
			return
		}
	}
}

// chunk returns bytes that tell who wrote them.
func chunk(r *rand.Rand, name byte) []byte {
	b := make([]byte, 1+r.IntN(9))
	for i := range b {
		b[i] = name + byte(r.IntN(4))
	}
	return b
}

// read notes what can be read, which is no less than was acknowledged before.
func (h *history) read(s *Store) {
	least := h.end()
	r, err := s.Read(context.Background(), someRun, "journal", "pod-1")
	if errors.Is(err, ErrNotFound) && least > 0 {
		h.problem("nothing can be read, %d bytes were acknowledged", least)
	}
	if err != nil {
		return
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return
	}
	if int64(len(b)) < least {
		h.problem("%d bytes can be read, %d were acknowledged", len(b), least)
	}
	h.reads = append(h.reads, b)
}

// judge compares what everyone was told with what is there in the end.
func (h *history) judge(t *testing.T, final []byte) {
	t.Helper()
	for _, p := range h.problems {
		t.Error(p)
	}
	for _, a := range h.acks {
		if int64(len(final)) < a.offset+int64(len(a.b)) || !bytes.Equal(final[a.offset:a.offset+int64(len(a.b))], a.b) {
			t.Errorf("%q was acknowledged at %d and is not there", a.b, a.offset)
		}
	}
	for _, b := range h.reads {
		if !bytes.HasPrefix(final, b) {
			t.Errorf("%q was read, which is no beginning of what is there", b)
		}
	}
	// Nothing is there that nobody sent there: from each offset that some chunks end at, one chunk leads on.
	reached := map[int64]bool{0: true}
	for offset := int64(0); offset < int64(len(final)); offset++ {
		if !reached[offset] {
			continue
		}
		for _, b := range h.sent[offset] {
			if bytes.HasPrefix(final[offset:], b) {
				reached[offset+int64(len(b))] = true
			}
		}
	}
	if !reached[int64(len(final))] {
		t.Error("what is there is not made of whole chunks that were sent")
	}
	if t.Failed() {
		t.Logf("final: %q", final)
	}
}

// TestSimulation lets three processes do as they like on one store, all believing that they are the one that writes, in
// random orders, with random deaths, lost replies and requests that are carried out after everyone gave up on them.
func TestSimulation(t *testing.T) {
	t.Parallel()
	// Where requests are carried out late, listings are whole: a bucket lists as many names as a part has in one request,
	// and in a folder, where a process that was stopped is late, names are changed and listed under a lock. A base that
	// comes late and a listing that misses a newer one would together make a stream look shorter than it is.
	faults := map[string]process{
		"None":         {torn: true},
		"Deaths":       {torn: true, dies: 20},
		"Lost":         {torn: true, lost: 60},
		"Late":         {late: 60},
		"LateAndOften": {late: 200},
		"All":          {dies: 10, lost: 20, late: 40},
	}
	const seeds = 120
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(seeds) {
				simulate(t, seed, f)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func simulate(t *testing.T, seed uint64, faults process) {
	sim := newSimulation(seed)
	h := &history{sent: map[int64][][]byte{}}
	for _, name := range []byte("AKU") {
		sim.start(func() {
			// The one that died is started again.
			for range 3 {
				p := faults
				p.sim = sim
				h.write(&p, name, 8)
			}
		})
	}
	sim.run()
	s := newStore(sim.store)
	if err := s.Compact(t.Context(), someRun, "journal", "pod-1"); err != nil {
		t.Fatalf("Compact: %v", err)
	}
	h.judge(t, contents(t, s))
	// All leftovers are gone.
	objects, err := sim.store.list(t.Context(), somePlace.Prefix())
	if err != nil || len(objects) > 1 {
		t.Errorf("%d objects are left, %v; want one base", len(objects), err)
	}
}

// contents returns what is there in the end; a part that never began is empty.
func contents(t *testing.T, s *Store) []byte {
	t.Helper()
	r, err := s.Read(t.Context(), someRun, "journal", "pod-1")
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatalf("reading: %v", err)
	}
	return b
}
