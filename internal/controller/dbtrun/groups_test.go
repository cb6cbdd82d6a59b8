package dbtrun

import (
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

var groupOne = groupID{"ns", "one"}

func hold(name string) holder {
	return holder{run: types.NamespacedName{Namespace: "ns", Name: name}, uid: types.UID(name)}
}

func TestGroupHasOneHolder(t *testing.T) {
	g := newGroups()
	if _, ok := g.take(groupOne, hold("a")); !ok {
		t.Fatal("a free group was not given")
	}
	if _, ok := g.take(groupOne, hold("a")); !ok {
		t.Error("the holder could not take it again")
	}
	if other, ok := g.take(groupOne, hold("b")); ok || other.run.Name != "a" {
		t.Errorf("a held group was given away, holder %v", other)
	}
	g.began(groupOne, "b", "b-job")
	g.began(groupOne, "a", "a-job")
	if other, _ := g.take(groupOne, hold("b")); other.job != "a-job" {
		t.Errorf("the holder's Job is %q", other.job)
	}
	g.release(groupOne, "b")
	if _, ok := g.take(groupOne, hold("b")); ok {
		t.Error("a group was given back by a run that does not hold it")
	}
	g.release(groupOne, "a")
	if _, ok := g.take(groupOne, hold("b")); !ok {
		t.Error("a group that was given back is not free")
	}
	if _, ok := g.take(groupID{"other", "one"}, hold("a")); !ok {
		t.Error("the same group of another namespace is not free")
	}
}

func TestGroupUnderManyHands(t *testing.T) {
	g := newGroups()
	var wg sync.WaitGroup
	got := make(chan string, 50)
	for i := range 50 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			name := string(rune('a' + i))
			if _, ok := g.take(groupOne, hold(name)); ok {
				got <- name
			}
		}()
	}
	wg.Wait()
	if len(got) != 1 {
		t.Errorf("%d runs hold one group", len(got))
	}
}

func TestQueueGoesByAge(t *testing.T) {
	g := newGroups()
	start := time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
	key := func(name string) types.NamespacedName { return types.NamespacedName{Namespace: "ns", Name: name} }
	g.wait(groupOne, key("c"), start.Add(time.Second))
	g.wait(groupOne, key("b"), start)
	g.wait(groupOne, key("a"), start.Add(2*time.Second))
	g.wait(groupOne, key("bb"), start)
	for _, want := range []string{"b", "bb", "c", "a"} {
		next, ok := g.next(groupOne)
		if !ok || next.Name != want {
			t.Fatalf("next is %v, want %s", next, want)
		}
		if id, waited := g.unwait(next); !waited || id != groupOne {
			t.Fatalf("%s did not wait in %v", next, id)
		}
	}
	if next, ok := g.next(groupOne); ok {
		t.Errorf("%s waits in an empty queue", next)
	}
	g.wait(groupOne, key("a"), start)
	g.wait(groupID{"ns", "two"}, key("a"), start)
	if _, ok := g.next(groupOne); ok {
		t.Error("a run waits in two groups")
	}
	if len(g.waiting) != 1 || len(g.waits) != 1 {
		t.Errorf("memory is kept for nobody: %v %v", g.waiting, g.waits)
	}
}
