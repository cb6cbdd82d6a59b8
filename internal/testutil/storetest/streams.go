package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/store"
)

func appends(t *testing.T, open Place) { //nolint:gocyclo // one table with what follows from each case
	tests := map[string]struct {
		reason string
		offset int64
		b      string
		end    int64
		err    error
		differ bool
	}{
		"AtTheEnd":      {"it goes on where it ends", 10, "xyz", 13, nil, false},
		"Repeated":      {"a reply was lost, and the same chunk comes again", 5, "fghij", 10, nil, false},
		"RepeatedFirst": {"an older chunk comes again", 0, "abcde", 10, nil, false},
		"RepeatedOver":  {"chunks are cut anew after a restart", 3, "defghi", 10, nil, false},
		"Differs":       {"other bytes at the same place are no repetition", 5, "fgXij", 10, store.ErrOffset, true},
		"Overlapping":   {"half of it is there", 8, "ijk", 10, store.ErrOffset, false},
		"Ahead":         {"what is between is missing", 11, "l", 10, store.ErrOffset, false},
		"FarAhead":      {"an offset that would overflow", 1<<63 - 1, "l", 10, store.ErrOffset, false},
		"Negative":      {"no offset at all", -1, "a", 10, store.ErrOffset, false},
		"Empty":         {"nothing at the end is nothing", 10, "", 10, nil, false},
		"EmptyBehind":   {"nothing elsewhere asks where the end is", 4, "", 10, store.ErrOffset, false},
		"TooLarge":      {"one append is bounded", 10, strings.Repeat("x", store.MaxAppend+1), 0, store.ErrTooLarge, false},
		"Largest":       {"the bound itself is taken", 10, strings.Repeat("x", store.MaxAppend), 10 + store.MaxAppend, nil, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			run := newRun()
			writer := open(t)
			add(t, writer, run, 0, "abcde")
			add(t, writer, run, 5, "fghij")
			// A process that remembers, and one that has to look: both say the same, twice.
			for _, s := range []*store.Store{writer, open(t), writer} {
				end, err := s.Append(t.Context(), run, journal, first, tc.offset, []byte(tc.b))
				if !errors.Is(err, tc.err) || end != tc.end {
					t.Fatalf("%s: Append = %d, %v; want %d, %v", tc.reason, end, err, tc.end, tc.err)
				}
				var refused *store.OffsetError
				if errors.As(err, &refused) {
					want := store.OffsetError{Offset: tc.offset, End: tc.end, Differs: tc.differ}
					if diff := cmp.Diff(want, *refused); diff != "" {
						t.Errorf("%s: the error (-want +got):\n%s", tc.reason, diff)
					}
				}
			}
			want := "abcdefghij"
			if tc.err == nil && tc.offset == 10 {
				want += tc.b
			}
			if got := read(t, open(t), run); got != want {
				t.Errorf("%s: %d bytes are read back, not %d, or others", tc.reason, len(got), len(want))
			}
			if size, err := open(t).Size(t.Context(), run, journal, first); err != nil || size != int64(len(want)) {
				t.Errorf("%s: Size = %d, %v; want %d", tc.reason, size, err, len(want))
			}
		})
	}
	t.Run("New", func(t *testing.T) {
		s, run, ctx := open(t), newRun(), t.Context()
		if size, err := s.Size(ctx, run, journal, first); err != nil || size != 0 {
			t.Errorf("Size of a new part = %d, %v; want 0", size, err)
		}
		if _, err := s.Read(ctx, run, journal, first); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Read of a new part: %v; want ErrNotFound", err)
		}
		if end, err := s.Append(ctx, run, journal, first, 0, nil); err != nil || end != 0 {
			t.Errorf("Append of nothing = %d, %v; want 0", end, err)
		}
		if end, err := s.Append(ctx, run, journal, first, 7, []byte("x")); !errors.Is(err, store.ErrOffset) || end != 0 {
			t.Errorf("Append ahead of a new part = %d, %v; want 0 and ErrOffset", end, err)
		}
		if err := s.Compact(ctx, run, journal, first); err != nil {
			t.Errorf("Compact of a new part: %v", err)
		}
		if i, ok := info(t, s, run); ok {
			t.Errorf("all this left %+v", i)
		}
	})
}

func parts(t *testing.T, open Place) {
	s, run, ctx := open(t), newRun(), t.Context()
	if got, err := s.Parts(ctx, run, journal); err != nil || len(got) != 0 {
		t.Fatalf("Parts of a new stream = %v, %v; want none", got, err)
	}
	want := []string{"pod-z", "pod-a", "pod-m", "pod"}
	for _, part := range want {
		// Each attempt may meet another leader.
		if _, err := open(t).Append(ctx, run, journal, part, 0, []byte(part)); err != nil {
			t.Fatalf("Append: %v", err)
		}
	}
	if _, err := s.Append(ctx, run, "log", "pod-b", 0, []byte("x")); err != nil {
		t.Fatalf("Append: %v", err)
	}
	for _, part := range want {
		if _, err := s.Append(ctx, run, journal, part, int64(len(part)), []byte("more")); err != nil {
			t.Fatalf("Append: %v", err)
		}
		if err := s.Compact(ctx, run, journal, part); err != nil {
			t.Fatalf("Compact: %v", err)
		}
	}
	got, err := open(t).Parts(ctx, run, journal)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Parts: %v; (-want +got):\n%s", err, diff)
	}
	for _, part := range want {
		r, err := s.Read(ctx, run, journal, part)
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		if got := drain(t, r); got != part+"more" {
			t.Errorf("part %s = %q", part, got)
		}
	}
}

func compact(t *testing.T, open Place) {
	s, run, ctx := open(t), newRun(), t.Context()
	want := ""
	for round := range 3 {
		for range 5 {
			add(t, s, run, len(want), "chunk ")
			want += "chunk "
		}
		for range 2 {
			if err := open(t).Compact(ctx, run, journal, first); err != nil {
				t.Fatalf("Compact: %v", err)
			}
			wantRead(t, s, run, want)
		}
		// One base, and the marker of the order.
		if i, _ := info(t, s, run); i.Objects != 2 || i.Bytes != int64(len(want)) {
			t.Errorf("round %d: %d objects of %d bytes; want 2 of %d", round, i.Objects, i.Bytes, len(want))
		}
	}
	end, err := s.Append(ctx, run, journal, first, 3, []byte("nk chunk ch"))
	if err != nil || end != int64(len(want)) {
		t.Errorf("a repetition of what was compacted = %d, %v; want %d", end, err, len(want))
	}
}

func compactWhileRead(t *testing.T, open Place) {
	s, run := open(t), newRun()
	want := ""
	for i := range 10 {
		text := fmt.Sprintf("chunk %d ", i)
		add(t, s, run, len(want), text)
		want += text
	}
	r, err := s.Read(t.Context(), run, journal, first)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	head := make([]byte, 13)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatalf("reading: %v", err)
	}
	add(t, s, run, len(want), "later")
	if err := open(t).Compact(t.Context(), run, journal, first); err != nil {
		t.Fatalf("Compact: %v", err)
	}
	if got := string(head) + drain(t, r); got != want {
		t.Errorf("read %q, want %q", got, want)
	}
}

func restart(t *testing.T, open Place) {
	run, want := newRun(), ""
	for i := range 6 {
		text := fmt.Sprintf("of process %d ", i)
		add(t, open(t), run, len(want), text)
		want += text
	}
	wantRead(t, open(t), run, want)
}

// twoWriters lets two processes believe that they are the one.
func twoWriters(t *testing.T, open Place) {
	tests := map[string]struct {
		reason string
		// compacts is done by the second writer once it has appended.
		compacts bool
		stale    string
		at       int
		end      int
		err      error
	}{
		"Other":            {"its idea of the end is old, its bytes are other ones", false, "XXX", 3, 6, store.ErrOffset},
		"OtherCompacted":   {"the segment that stood in the way is gone", true, "XXX", 3, 6, store.ErrOffset},
		"Longer":           {"more than what was added there meanwhile", false, "twoXXX", 3, 6, store.ErrOffset},
		"LongerCompacted":  {"the same after a compaction", true, "twoXXX", 3, 6, store.ErrOffset},
		"Shorter":          {"less than what was added there meanwhile", false, "X", 3, 6, store.ErrOffset},
		"ShorterCompacted": {"the same after a compaction", true, "X", 3, 6, store.ErrOffset},
		"Same":             {"both were sent the same", false, "two", 3, 6, nil},
		"SameCompacted":    {"the same after a compaction", true, "two", 3, 6, nil},
		"Next":             {"it was told the right offset by the other", true, "three", 6, 11, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			run, ctx := newRun(), t.Context()
			old, leader := open(t), open(t)
			add(t, old, run, 0, "one")
			add(t, leader, run, 3, "two")
			if tc.compacts {
				if err := leader.Compact(ctx, run, journal, first); err != nil {
					t.Fatalf("Compact: %v", err)
				}
			}
			end, err := old.Append(ctx, run, journal, first, int64(tc.at), []byte(tc.stale))
			if !errors.Is(err, tc.err) || end != int64(tc.end) {
				t.Errorf("%s: Append = %d, %v; want %d, %v", tc.reason, end, err, tc.end, tc.err)
			}
			want := "onetwo"
			if tc.end > len(want) {
				want += tc.stale
			}
			wantRead(t, leader, run, want)
			add(t, leader, run, len(want), "last")
			wantRead(t, old, run, want+"last")
			if err := old.Compact(ctx, run, journal, first); err != nil {
				t.Fatalf("Compact: %v", err)
			}
			wantRead(t, leader, run, want+"last")
		})
	}
}

// manyAppends sees to it that a stream's objects do not become ever more.
func manyAppends(t *testing.T, open Place) {
	s, run := open(t), newRun()
	var want strings.Builder
	most := 0
	for i := range 400 {
		text := fmt.Sprintf("%d,", i)
		add(t, s, run, want.Len(), text)
		want.WriteString(text)
		if i%20 == 19 {
			i, _ := info(t, s, run)
			most = max(most, i.Objects)
		}
	}
	wantRead(t, open(t), run, want.String())
	// 64 segments start a compaction, 192 are not appended to before it is done. On a slow machine 192 that have been
	// compacted are still being deleted while as many are new.
	if most > 2*192+2 {
		t.Errorf("there were %d objects at once for 400 appends; want fewer", most)
	}
}

// atOnce sends the same chunks from many goroutines of two processes: each is kept once.
func atOnce(t *testing.T, open Place) {
	run, ctx := newRun(), t.Context()
	stores := []*store.Store{open(t), open(t)}
	const writers, chunks, size = 6, 20, 7
	want := bytes.Repeat([]byte("7 bytes"), chunks)
	var all sync.WaitGroup
	for w := range writers {
		s := stores[w%len(stores)]
		all.Go(func() {
			for offset := 0; offset < len(want); {
				end, err := s.Append(ctx, run, journal, first, int64(offset), want[offset:offset+size])
				if err != nil && !errors.Is(err, store.ErrOffset) {
					t.Errorf("Append at %d: %v", offset, err)
					return
				}
				offset = int(end)
			}
		})
	}
	all.Wait()
	wantRead(t, open(t), run, string(want))
}

// random interleaves appends of two writers that share one source of bytes, repetitions, restarts and compactions. What is
// read is always what was acknowledged, once.
func random(t *testing.T, open Place) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 4))
			run, ctx := newRun(), t.Context()
			stores := []*store.Store{open(t), open(t)}
			source := make([]byte, 4096)
			for i := range source {
				source[i] = byte(r.Uint32())
			}
			acknowledged := 0
			for range 60 {
				who := r.IntN(len(stores))
				s := stores[who]
				switch what := r.IntN(20); {
				case what < 12:
					at := max(0, acknowledged-r.IntN(2)*r.IntN(40))
					to := min(len(source), at+r.IntN(60))
					end, err := s.Append(ctx, run, journal, first, int64(at), source[at:to])
					var refused *store.OffsetError
					if errors.As(err, &refused) && (refused.Differs || at == acknowledged) || err != nil && refused == nil {
						t.Fatalf("Append(%d, %d bytes): %v; %d were acknowledged", at, to-at, err, acknowledged)
					}
					if int(end) < acknowledged || int(end) > max(to, acknowledged) {
						t.Fatalf("Append(%d, %d bytes) = %d; %d were acknowledged", at, to-at, end, acknowledged)
					}
					acknowledged = int(end)
				case what < 15:
					stores[who] = open(t)
				case what < 18:
					if err := s.Compact(ctx, run, journal, first); err != nil {
						t.Fatalf("Compact: %v", err)
					}
				case acknowledged > 0:
					if got := read(t, s, run); got != string(source[:acknowledged]) {
						t.Fatalf("%d bytes are read back, %d were acknowledged, or they differ", len(got), acknowledged)
					}
				}
			}
			if got := read(t, open(t), run); got != string(source[:acknowledged]) {
				t.Fatalf("%d bytes are read back, %d were acknowledged, or they differ", len(got), acknowledged)
			}
		})
	}
}
