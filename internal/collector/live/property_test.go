package live

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// whatever makes the journal of one attempt: what a runner writes, in any order, with lines that are none in between.
func whatever(r *rand.Rand, n int) []byte {
	b := entries(journal.Entry{Kind: journal.KindBegin, At: int64(n), Pod: attempt(n).Pod})
	id := func() string { return fmt.Sprintf("model.shop.m%d", r.IntN(30)) }
	for range 20 + r.IntN(60) {
		e := journal.Entry{At: r.Int64N(1000)}
		switch r.IntN(12) {
		case 0:
			e.Kind, e.Source = journal.KindSource, fmt.Sprintf("%040x", r.IntN(9))
		case 1:
			e.Kind, e.Command, e.Line = journal.KindCommand, r.Int32N(3), "dbt build"
			e.Mode = []journal.Mode{journal.ModeFirst, journal.ModeResumed, journal.ModeAnew}[r.IntN(3)]
		case 2:
			e.Kind, e.Total = journal.KindTotal, r.Int32N(40)
		case 3:
			e.Kind, e.Outcome = journal.KindCommandEnd, journal.NodesFailed
		case 4:
			e.Kind, e.Report = journal.KindEnd, journal.Encode(journal.Report{Outcome: journal.Interrupted, Message: "stopped"}, 1000)
		case 5:
			b = append(b, []string{"rubbish\n", "\n", `{"k":"start"}` + "\n", `{"k":"engine","dbt":"1"} x` + "\n"}[r.IntN(4)]...)
			continue
		case 6, 7, 8:
			e.Kind, e.Node = journal.KindStart, &journal.Node{ID: id(), Start: r.Int64N(1000)}
		default:
			status := []string{"success", "error", "skipped", "fail"}[r.IntN(4)]
			e.Kind, e.Node = journal.KindResult, &journal.Node{ID: id(), Status: status, Seconds: float64(r.IntN(90)), Message: "m"}
		}
		b = append(b, entries(e)...)
	}
	if r.IntN(2) == 0 {
		b = b[:len(b)-r.IntN(40)] // torn
	}
	return b
}

// However a journal comes - in chunks of any size, some of them twice, some at a wrong offset, with a store that fails
// before or after it has written, with restarts, and with another process that writes a little longer than it should - what
// is known is what a fresh fold of the store gives, nothing is lost and nothing doubled.
func TestWhatIsKnownIsWhatTheStoreHas(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			b := newBench(t)
			other := New(Config{Clock: b.clock, Store: b.store})
			defer other.Close()
			for n := 1; n <= 3; n++ {
				b.attempt(r, other, n, whatever(r, n))
			}
			b.restart()
			b.same("at the end, after a restart")
		})
	}
}

// Another process may write the end of an attempt before it notices that it does not lead any more. When the next attempt
// begins it is known.
func TestAnotherProcessWritesTheEndOfAnAttempt(t *testing.T) {
	b := newBench(t)
	other := New(Config{Clock: b.clock, Store: b.store})
	defer other.Close()
	at := b.journal(1, 0, begins, command)
	if _, err := other.Append(t.Context(), attempt(1), journal.StreamJournal, at, entries(node("a", "success"), fails), false); err != nil {
		t.Fatal(err)
	}
	b.journal(2, 0, begins)
	b.same("when the next attempt has begun")
}

func (b *bench) attempt(r *rand.Rand, other *Runs, n int, all []byte) {
	b.Helper()
	var at int64
	for at < int64(len(all)) {
		size := int64(1 + r.IntN(700))
		chunk := all[at:min(at+size, int64(len(all)))]
		via := b.runs
		var before, after error
		offset := at
		switch r.IntN(10) {
		case 0:
			before = errAway
		case 1:
			after = errAway
		case 2:
			offset = max(0, at-int64(r.IntN(300)))
			chunk = all[offset:min(offset+size, int64(len(all)))]
		case 3:
			offset = min(at+1+r.Int64N(5), int64(len(all))-1)
			chunk = all[offset:min(offset+size, int64(len(all)))]
		case 4:
			via = other
		case 5:
			b.restart()
			via = b.runs
		}
		b.store.fail(before, after)
		end, err := via.Append(b.Context(), attempt(n), journal.StreamJournal, offset, chunk, false)
		b.store.fail(nil, nil)
		b.clock.Step(failurePause)
		at = b.next(at, offset, int64(len(chunk)), end, err, before == nil && after == nil)
		// Of what another process wrote nobody knows before the next request that is granted.
		b.blind = via == other || b.blind && err != nil
		if !b.blind {
			b.same(fmt.Sprintf("attempt %d, %d of %d bytes", n, at, len(all)))
		}
	}
}

// next returns what a pod believes after an answer.
func (b *bench) next(at, offset, n, end int64, err error, sound bool) int64 {
	b.Helper()
	var elsewhere *store.OffsetError
	switch {
	case err == nil:
		if end < offset+n {
			b.Fatalf("%d bytes at %d were taken, and the stream ends at %d", n, offset, end)
		}
		return end
	case errors.As(err, &elsewhere):
		if elsewhere.Differs || elsewhere.End < at {
			b.Fatalf("at %d: %v", at, err)
		}
		return elsewhere.End
	case sound || !errors.Is(err, store.ErrStore):
		b.Fatalf("at %d: %v", at, err)
	}
	return at
}

func (b *bench) same(when string) {
	b.Helper()
	want := b.fresh()
	k := b.kept()
	if k == nil {
		if len(want.Attempts()) > 0 {
			b.Fatalf("%s: nothing is known", when)
		}
		return
	}
	if diff := cmp.Diff(want.Report(theRun.UID), k.Report); diff != "" {
		b.Fatalf("%s: report (-store +known):\n%s", when, diff)
	}
	if diff := cmp.Diff(want.Attempts(), k.Attempts); diff != "" {
		b.Fatalf("%s: attempts (-store +known):\n%s", when, diff)
	}
}
