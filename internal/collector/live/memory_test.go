package live

import (
	"errors"
	"fmt"
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// tells appends results of n nodes to the journal of a run of its own, and returns the run.
func (b *bench) tells(name string, n int) Run {
	b.Helper()
	run := Run{Namespace: "ns", Name: name, UID: "uid-" + name}
	es := []journal.Entry{begins, command}
	for i := range n {
		es = append(es, node(fmt.Sprintf("%s.%d", name, i), "success"))
	}
	if _, err := b.runs.Append(b.Context(), Attempt{Run: run, Pod: name, UID: "pod-" + name}, journal.StreamJournal, 0, entries(es...), false); err != nil {
		b.Fatal(err)
	}
	return run
}

func (b *bench) finished(run Run) int {
	b.Helper()
	kept, err := b.runs.Kept(b.Context(), run)
	if err != nil || kept == nil {
		b.Fatalf("of run %s %+v is kept: %v", run.Name, kept, err)
	}
	return int(kept.Report.Finished)
}

// What is known of runs has its bound: the largest go from memory, not from the store.
func TestMemoryIsBounded(t *testing.T) {
	b := newBench(t)
	const limit = 64 << 10
	b.runs.config.Limits.Memory = limit
	small, large, larger := b.tells("small", 10), b.tells("large", 100), b.tells("larger", 120)
	if b.runs.size > limit || b.runs.size == 0 {
		t.Errorf("%d bytes are in memory, at most %d may be", b.runs.size, limit)
	}
	for _, c := range []struct {
		run    Run
		nodes  int
		reads  bool
		reason string
	}{
		{small, 10, false, "it was never the largest"},
		{large, 100, false, "it was in memory when the larger went"},
		{larger, 120, true, "it went"},
		{small, 10, false, "it is still the smallest"},
	} {
		reads := b.store.reads
		if n := b.finished(c.run); n != c.nodes || (b.store.reads > reads) != c.reads {
			t.Errorf("%s: %d nodes of %s, read from the store: %t", c.reason, n, c.run.Name, b.store.reads > reads)
		}
	}
	if b.runs.Delete(t.Context(), small.Namespace, small.UID) != nil || b.runs.Delete(t.Context(), large.Namespace, large.UID) != nil ||
		b.runs.Delete(t.Context(), larger.Namespace, larger.UID) != nil || b.runs.size != 0 {
		t.Errorf("%d bytes are counted when all runs are deleted", b.runs.size)
	}
}

// A large run is not read while those in use take all the memory there is; a small one is.
func TestLargeRunsWaitForMemory(t *testing.T) {
	b := newBench(t)
	large, small, busy := b.tells("large", largeRun/400), b.tells("small", 10), b.tells("busy", 100)
	b.restart()
	b.runs.config.Limits.Memory = 1
	b.finished(busy)
	_, release := b.runs.use(busy)
	if b.runs.runs[busy.key()] == nil {
		t.Fatal("the run was not held")
	}
	b.finished(busy)
	if n := b.finished(small); n != 10 {
		t.Errorf("%d nodes of the small run", n)
	}
	if kept, err := b.runs.Kept(t.Context(), large); !errors.Is(err, ErrBusy) {
		t.Errorf("of a large run %+v is kept: %v", kept, err)
	}
	release()
	b.clock.Step(failurePause)
	if n := b.finished(large); n != largeRun/400 {
		t.Errorf("%d nodes of the large run", n)
	}
}
