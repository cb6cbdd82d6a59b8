package live

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

var (
	begins  = journal.Entry{Kind: journal.KindBegin, Pod: "whatever it says"}
	command = journal.Entry{Kind: journal.KindCommand, Line: "dbt build"}
	ends    = journal.Entry{Kind: journal.KindEnd, At: 9, Report: journal.Encode(journal.Report{Outcome: journal.Succeeded}, 1000)}
	fails   = journal.Entry{Kind: journal.KindEnd, At: 9, Report: journal.Encode(journal.Report{Outcome: journal.Interrupted}, 1000)}
)

func node(id, status string) journal.Entry {
	kind := journal.KindResult
	if status == "" {
		kind = journal.KindStart
	}
	return journal.Entry{Kind: kind, Node: &journal.Node{ID: id, Status: status}}
}

func (b *bench) log(n int, offset int64, text string) int64 {
	b.Helper()
	end, err := b.runs.Append(b.Context(), attempt(n), journal.StreamLog, offset, member(b, text), false)
	if err != nil {
		b.Fatal(err)
	}
	return end
}

func digest(s string) string {
	d := sha256.Sum256([]byte(s))
	return hex.EncodeToString(d[:])
}

func TestKept(t *testing.T) {
	b := newBench(t)
	if k := b.kept(); k != nil {
		t.Fatalf("of a run that nobody has heard of: %+v", k)
	}
	b.journal(1, b.journal(1, 0, begins, command, node("a", "")), node("a", "success"), node("b", ""))
	n := b.log(1, 0, "one\n")
	m := b.log(2, 0, "two\n")
	if _, err := b.runs.PutArtifact(t.Context(), attempt(1), "manifest.json", digest("{}"), strings.NewReader("{}")); err != nil {
		t.Fatal(err)
	}
	want := &journal.Kept{
		Report: journal.Report{
			Version: 1, RunUID: "run-1", Selected: 2, Finished: 1, Results: journal.Results{Success: 1}, Running: []string{"b"},
			Commands: []journal.Command{{Command: "dbt build", ExitCode: -1}},
		},
		Attempts:  []journal.AttemptState{{Pod: "nightly-1"}},
		Artifacts: []journal.Artifact{{Name: "manifest.json", SHA256: digest("{}"), Bytes: 2}},
		LogTail:   "two\n", LogBytes: n + m,
	}
	if diff := cmp.Diff(want, b.kept()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	reads := b.store.reads
	for range 100 {
		b.kept()
	}
	if b.store.reads != reads {
		t.Error("what is in memory was read from the store")
	}
	b.restart()
	if diff := cmp.Diff(want, b.kept()); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
}

// A run that has not reported yet is asked for every few seconds.
func TestNothingIsKeptInMemoryToo(t *testing.T) {
	b := newBench(t)
	b.kept()
	reads := b.store.reads
	b.kept()
	if b.store.reads != reads {
		t.Error("the store was read again")
	}
}

func TestDone(t *testing.T) {
	b := newBench(t)
	end := b.journal(1, 0, begins)
	b.journal(1, end, fails)
	if b.kept().Done {
		t.Error("done before it was said")
	}
	if err := b.runs.Done(t.Context(), attempt(1)); err != nil {
		t.Fatal(err)
	}
	if !b.kept().Done {
		t.Error("not done")
	}
	b.restart()
	if !b.kept().Done {
		t.Error("not done after a restart")
	}
	b.journal(2, 0, begins)
	if b.kept().Done {
		t.Error("done while another attempt is at work")
	}
}

func TestMeta(t *testing.T) {
	b := newBench(t)
	end := b.journal(1, 0, begins)
	b.clock.Step(time.Minute)
	b.journal(1, end, fails)
	meta := func() Meta {
		t.Helper()
		raw, err := b.store.Meta(t.Context(), theRun.key())
		if err != nil {
			t.Fatal(err)
		}
		return decodeMeta(raw)
	}
	want := Meta{Version: 1, Run: "nightly", Project: "shop", Began: start, Ended: start.Add(time.Minute), Attempts: []MetaAttempt{{UID: "pod-1", Pod: "nightly-1"}}}
	if diff := cmp.Diff(want, meta()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.journal(2, 0, begins)
	if got := meta(); !got.Ended.IsZero() || len(got.Attempts) != 2 {
		t.Errorf("another attempt began: %+v", got)
	}
	for name, raw := range map[string]string{"nothing": "", "rubbish": "{", "another version": `{"v":9}`} {
		if got := decodeMeta([]byte(raw)); !cmp.Equal(got, Meta{Version: 1}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestRefusedAppends(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		n      int
		offset func(ends [3]int64) int64
		body   []byte
		over   bool
		want   error
	}{
		"behind":             {"nothing may be left out", 2, func(e [3]int64) int64 { return e[2] + 1 }, []byte("x\n"), false, store.ErrOffset},
		"inside":             {"part of it would be twice", 2, func(e [3]int64) int64 { return e[2] - 1 }, []byte("\nx\n"), false, store.ErrOffset},
		"other bytes":        {"two streams would become one", 2, func([3]int64) int64 { return 0 }, []byte("x\n"), false, ErrForeign},
		"by an older pod":    {"nodes it left were cut off", 1, func(e [3]int64) int64 { return e[1] }, []byte("x\n"), false, ErrSuperseded},
		"of a run over":      {"its end is recorded", 2, func(e [3]int64) int64 { return e[2] }, []byte("x\n"), true, ErrOver},
		"twice":              {"the reply was lost", 2, func([3]int64) int64 { return 0 }, entries(begins, command), false, nil},
		"twice when over":    {"the reply was lost", 2, func([3]int64) int64 { return 0 }, entries(begins, command), true, nil},
		"twice by an older":  {"the reply was lost", 1, func([3]int64) int64 { return 0 }, entries(begins), false, nil},
		"more than is kept":  {"a hostile pod fills the disk", 2, func([3]int64) int64 { return 64<<20 - 1 }, []byte("x\n"), false, store.ErrTooLarge},
		"another after over": {"a pod that nobody awaits", 3, func([3]int64) int64 { return 0 }, []byte("x\n"), true, ErrOver},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			at := [3]int64{1: b.journal(1, 0, begins), 2: b.journal(2, 0, begins, command)}
			end, err := b.runs.Append(t.Context(), attempt(c.n), journal.StreamJournal, c.offset(at), c.body, c.over)
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.reason, err, c.want)
			}
			if (err == nil || errors.Is(err, store.ErrOffset)) && end != at[c.n] {
				t.Errorf("%s: the stream ends at %d, answered %d", c.reason, at[c.n], end)
			}
			b.same("after it")
		})
	}
}

// A pod is told by its own name, whatever it says; one that says it begins again and again is no danger.
func TestAttemptsAreWhoWroteThem(t *testing.T) {
	b := newBench(t)
	b.journal(1, 0, begins, begins)
	for _, a := range b.kept().Attempts {
		if a.Pod != "nightly-1" {
			t.Errorf("attempt of pod %q", a.Pod)
		}
	}
}

func TestStanding(t *testing.T) {
	b := newBench(t)
	source := journal.Entry{Kind: journal.KindSource, Source: strings.Repeat("a", 40)}
	end := b.journal(1, b.journal(1, 0, begins, source), fails)
	log := b.log(1, 0, "hello")
	for name, c := range map[string]struct {
		n    int
		want Standing
	}{
		"the one that ended": {1, Standing{Source: source.Source, EndedBy: "pod-1", Outcome: journal.Interrupted, Offsets: map[string]int64{"journal": end, "log": log}}},
		"the next":           {2, Standing{Source: source.Source, EndedBy: "pod-1", Outcome: journal.Interrupted, Earlier: 1}},
	} {
		got, err := b.runs.Standing(t.Context(), attempt(c.n))
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	b.journal(2, 0, begins)
	if got, err := b.runs.Standing(t.Context(), attempt(3)); got.Outcome != "" || got.Earlier != 2 || got.EndedBy != "pod-1" || err != nil {
		t.Errorf("while another is at work: %+v, %v", got, err)
	}
}

// A disk that is full, a store that is away: what was kept is still told, and what could not be kept is when it can be.
func TestStoreFails(t *testing.T) {
	for name, fault := range map[string]error{"away": errAway, "full": errFull} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			end := b.journal(1, 0, begins, command, node("a", "success"))
			b.store.fail(fault, nil)
			if _, err := b.runs.Append(t.Context(), attempt(1), journal.StreamJournal, end, entries(node("b", "success")), false); !errors.Is(err, fault) {
				t.Errorf("append: %v", err)
			}
			if _, err := b.runs.PutArtifact(t.Context(), attempt(1), "x.json", digest("{}"), strings.NewReader("{}")); !errors.Is(err, store.ErrStore) {
				t.Errorf("artifact: %v", err)
			}
			if got := b.kept().Report.Finished; got != 1 {
				t.Errorf("%d nodes are known, want 1", got)
			}
			b.store.fail(nil, nil)
			b.clock.Step(failurePause)
			b.journal(1, end, node("b", "success"))
			b.same("when it is back")
		})
	}
}

// Nobody waits for a store that failed a moment ago.
func TestFailureIsRemembered(t *testing.T) {
	b := newBench(t)
	b.store.fail(errAway, nil)
	if _, err := b.runs.Kept(t.Context(), theRun); !errors.Is(err, store.ErrStore) {
		t.Fatalf("got %v", err)
	}
	reads := b.store.reads
	if _, err := b.runs.Kept(t.Context(), theRun); !errors.Is(err, store.ErrStore) || b.store.reads != reads {
		t.Errorf("got %v, %d more reads", err, b.store.reads-reads)
	}
	b.store.fail(nil, nil)
	// A clock that was set back must not keep it away for hours.
	b.clock.Step(-time.Hour)
	if k := b.kept(); k != nil {
		t.Errorf("got %+v", k)
	}
}

// slow is a store that answers when it is told to.
type slow struct {
	Store
	answer chan struct{}
}

func (s *slow) Meta(ctx context.Context, run store.Run) ([]byte, error) {
	select {
	case <-s.answer:
		return s.Store.Meta(ctx, run)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestNobodyWaitsForeverForASlowStore(t *testing.T) {
	b := newBench(t)
	b.journal(1, 0, begins)
	s := &slow{Store: b.store, answer: make(chan struct{})}
	runs := New(Config{Clock: b.clock, Store: s})
	defer runs.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runs.Kept(ctx, theRun); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
	close(s.answer) // what was begun goes on without whoever asked
	if k, err := runs.Kept(t.Context(), theRun); err != nil || len(k.Attempts) != 1 {
		t.Errorf("got %+v, %v", k, err)
	}
}

// The controller may ask while the server stops.
func TestClosed(t *testing.T) {
	b := newBench(t)
	b.journal(1, 0, begins)
	b.runs.Close()
	if k := b.kept(); len(k.Attempts) != 1 {
		t.Errorf("what is in memory: %+v", k)
	}
	if _, err := b.runs.Kept(t.Context(), Run{Namespace: "ns", Name: "x", UID: "x"}); !errors.Is(err, ErrBusy) {
		t.Errorf("what is not: %v", err)
	}
}

func TestArtifacts(t *testing.T) {
	b := newBench(t)
	put := func(name, said, body string) error {
		_, err := b.runs.PutArtifact(t.Context(), attempt(1), name, digest(said), strings.NewReader(body))
		return err
	}
	if err := put("a.json", "one", "one"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		reason string
		err    error
		want   error
	}{
		"forged digest":  {"nothing is kept", put("a.json", "one", "two"), ErrDigest},
		"too short":      {"nothing is kept", put("b.json", "one", "on"), ErrDigest},
		"out of the run": {"a name is no path", put("../a.json", "one", "one"), store.ErrName},
		"the same again": {"the reply was lost", put("a.json", "one", "one"), nil},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %s: %v", name, c.reason, c.err)
		}
	}
	want := []journal.Artifact{{Name: "a.json", SHA256: digest("one"), Bytes: 3}}
	if diff := cmp.Diff(want, b.kept().Artifacts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	in, a, err := b.runs.Artifact(t.Context(), theRun, "a.json")
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(in)
	if err := errors.Join(err, in.Close()); err != nil || string(all) != "one" || a != want[0] {
		t.Errorf("read %q, %+v, %v", all, a, err)
	}
}

func TestArtifactsAreBounded(t *testing.T) {
	b := newBench(t)
	b.runs = New(Config{Clock: b.clock, Store: b.store, Limits: Limits{Artifacts: 2, ArtifactBytes: 10}})
	put := func(name, body string) error {
		_, err := b.runs.PutArtifact(t.Context(), attempt(1), name, digest(body), strings.NewReader(body))
		return err
	}
	if err := errors.Join(put("a", "12345"), put("a", "123456")); err != nil {
		t.Fatal(err)
	}
	if err := put("b", "12345"); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("more bytes than may be: %v", err)
	}
	if err := put("b", "1234"); err != nil {
		t.Error(err)
	}
	if err := put("c", ""); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("more artifacts than may be: %v", err)
	}
}

func TestDelete(t *testing.T) {
	b := newBench(t)
	b.journal(1, 0, begins)
	u, release := b.runs.use(theRun) // a request under way
	defer release()
	if err := b.runs.Delete(t.Context(), theRun.Namespace, theRun.UID); err != nil {
		t.Fatal(err)
	}
	if k := b.kept(); k != nil {
		t.Errorf("kept %+v", k)
	}
	if err := u.ready(t.Context()); !errors.Is(err, ErrDeleted) {
		t.Errorf("a request under way went on: %v", err)
	}
	if err := b.runs.took(t.Context(), u, store.Artifact{Name: "late"}); !errors.Is(err, ErrDeleted) {
		t.Errorf("an artifact that came too late: %v", err)
	}
	if err := b.store.Runs(t.Context(), func(i store.RunInfo) error { return errors.New(i.Run.UID + " is still there") }); err != nil {
		t.Error(err)
	}
}

func TestIdleRunsAreForgotten(t *testing.T) {
	b := newBench(t)
	b.journal(1, 0, begins)
	one := Run{Namespace: "ns", Name: "other", UID: "run-2"}
	if err := b.runs.Done(t.Context(), Attempt{Run: one, Pod: "p", UID: "p"}); err != nil {
		t.Fatal(err)
	}
	b.clock.Step(doneTime)
	look := func() (n int) {
		_, release := b.runs.use(Run{Namespace: "ns", UID: "look"})
		release()
		b.runs.mu.Lock()
		defer b.runs.mu.Unlock()
		return len(b.runs.runs)
	}
	if n := look(); n != 2 {
		t.Errorf("%d runs in memory, want the one at work and the one that is looked for", n)
	}
	b.clock.Step(idleTime)
	if n := look(); n != 1 {
		t.Errorf("%d runs in memory", n)
	}
	b.same("read again")
}

func TestWriteJournalAndLog(t *testing.T) {
	b := newBench(t)
	one, two := entries(begins, command), entries(begins)
	torn := append(bytes.Clone(one), `{"k":"star`...)
	for n, body := range [][]byte{1: torn, 2: two} {
		if n > 0 {
			if _, err := b.runs.Append(t.Context(), attempt(n), journal.StreamJournal, 0, body, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	cut := member(t, "first\nis cut "+strings.Repeat("off", 1000))
	if _, err := b.runs.Append(t.Context(), attempt(1), journal.StreamLog, 0, cut[:len(cut)-9], false); err != nil {
		t.Fatal(err)
	}
	b.log(2, b.log(2, 0, "second\n"), "third")
	b.restart()
	var out bytes.Buffer
	read := func(f func(io.Writer) error) string {
		t.Helper()
		out.Reset()
		if err := f(&out); err != nil {
			t.Error(err)
		}
		return out.String()
	}
	ctx := t.Context()
	if got, want := read(func(w io.Writer) error { return b.runs.WriteJournal(ctx, theRun, "", w) }), string(torn)+"\n"+string(two); got != want {
		t.Errorf("journal %q, want %q", got, want)
	}
	if got := read(func(w io.Writer) error { return b.runs.WriteJournal(ctx, theRun, "pod-2", w) }); got != string(torn)+"\n" {
		t.Errorf("journal of others %q", got)
	}
	if got := read(func(w io.Writer) error { return b.runs.WriteLog(ctx, theRun, "", w) }); !strings.HasPrefix(got, "first\nis cut off") || !strings.HasSuffix(got, "\nsecond\nthird\n") {
		t.Errorf("log %q", got)
	}
	if got := read(func(w io.Writer) error { return b.runs.WriteLog(ctx, theRun, "nightly-2", w) }); got != "second\nthird\n" {
		t.Errorf("log of one %q", got)
	}
	if err := b.runs.WriteLog(ctx, theRun, "nightly-3", &out); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("log of a pod that is none: %v", err)
	}
}
