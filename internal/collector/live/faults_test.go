package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

var start = time.Date(2026, 11, 2, 6, 0, 0, 0, time.UTC)

// faulty is a store that fails when it is told to: before a write is done, or after, so that only the reply is lost.
type faulty struct {
	Store
	mu            sync.Mutex
	before, after error
	reads         int
}

func (f *faulty) fail(before, after error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

func (f *faulty) write(do func() error) error {
	f.mu.Lock()
	before, after := f.before, f.after
	f.mu.Unlock()
	if before != nil {
		return before
	}
	if err := do(); err != nil {
		return err
	}
	return after
}

func (f *faulty) read() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	return errors.Join(f.before, f.after)
}

func (f *faulty) Append(ctx context.Context, run store.Run, stream, part string, offset int64, b []byte) (end int64, err error) {
	err = f.write(func() error {
		end, err = f.Store.Append(ctx, run, stream, part, offset, b)
		return err
	})
	return end, err
}

func (f *faulty) PutMeta(ctx context.Context, run store.Run, b []byte) error {
	return f.write(func() error { return f.Store.PutMeta(ctx, run, b) })
}

func (f *faulty) PutArtifact(ctx context.Context, of store.Owner, name string, r io.Reader, limit int64) (a store.Artifact, err error) {
	err = f.write(func() error {
		a, err = f.Store.PutArtifact(ctx, of, name, r, limit)
		return err
	})
	return a, err
}

func (f *faulty) Meta(ctx context.Context, run store.Run) ([]byte, error) {
	if err := f.read(); err != nil {
		return nil, err
	}
	return f.Store.Meta(ctx, run)
}

func (f *faulty) Read(ctx context.Context, run store.Run, stream, part string) (io.ReadCloser, error) {
	if err := f.read(); err != nil {
		return nil, err
	}
	return f.Store.Read(ctx, run, stream, part)
}

var (
	errAway = fmt.Errorf("no route to host: %w", store.ErrStore)
	errFull = fmt.Errorf("writing: %w, so %w: %w", store.ErrFull, store.ErrStore, syscall.ENOSPC)
)

// bench is Runs over a store in memory.
type bench struct {
	*testing.T
	store *faulty
	clock *testingclock.FakeClock
	runs  *Runs
	told  chan string
	blind bool
}

func newBench(t *testing.T) *bench {
	t.Helper()
	s, err := store.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	b := &bench{T: t, store: &faulty{Store: s}, clock: testingclock.NewFakeClock(start), told: make(chan string, 1000)}
	b.restart()
	t.Cleanup(func() { b.runs.Close() })
	return b
}

// restart is a new process: nothing in memory.
func (b *bench) restart() {
	if b.runs != nil {
		b.runs.Close()
	}
	b.runs = New(Config{Clock: b.clock, Store: b.store, Notify: func(namespace, name string) { b.told <- namespace + "/" + name }})
}

var theRun = Run{Namespace: "ns", Name: "nightly", UID: "run-1", Project: "shop"}

func attempt(n int) Attempt {
	return Attempt{Run: theRun, Pod: fmt.Sprintf("nightly-%d", n), UID: fmt.Sprintf("pod-%d", n)}
}

func entries(es ...journal.Entry) []byte {
	var b []byte
	for _, e := range es {
		b = append(b, journal.EncodeEntry(e)...)
	}
	return b
}

// journal appends to an attempt's journal and fails the test when it is refused.
func (b *bench) journal(n int, offset int64, es ...journal.Entry) int64 {
	b.Helper()
	end, err := b.runs.Append(b.Context(), attempt(n), journal.StreamJournal, offset, entries(es...), false)
	if err != nil {
		b.Fatal(err)
	}
	return end
}

func (b *bench) kept() *journal.Kept {
	b.Helper()
	k, err := b.runs.Kept(b.Context(), theRun)
	if err != nil {
		b.Fatal(err)
	}
	return k
}

// fresh is what a fresh fold of the store gives.
func (b *bench) fresh() *journal.State {
	b.Helper()
	s := journal.NewState()
	parts, err := b.store.Parts(b.Context(), theRun.key(), journal.StreamJournal)
	if err != nil {
		b.Fatal(err)
	}
	for _, part := range parts {
		in, err := b.store.Store.Read(b.Context(), theRun.key(), journal.StreamJournal, part)
		if err != nil {
			b.Fatal(err)
		}
		all, err := io.ReadAll(in)
		if err := errors.Join(err, in.Close()); err != nil {
			b.Fatal(err)
		}
		if _, err := journal.DecodeEntries(bytes.NewReader(all), func(e journal.Entry) error {
			if e.Kind == journal.KindBegin {
				e.Pod = strings.Replace(part, "pod", "nightly", 1) // whatever it says
			}
			s.Apply(e)
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// tellings returns how often somebody was told since the last call.
func (b *bench) tellings() int {
	n := 0
	for {
		select {
		case <-b.told:
			n++
		default:
			return n
		}
	}
}
