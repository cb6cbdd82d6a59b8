package model

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// ran is a node that a command ran, from a second to another.
type ran struct {
	id         string
	start, end int64
	status     string
}

// stateOf returns what a journal of commands comes to.
func stateOf(commands ...[]ran) *journal.State {
	s := journal.NewState()
	s.Apply(journal.Entry{Kind: journal.KindBegin, Pod: "p"})
	for i, nodes := range commands {
		s.Apply(journal.Entry{Kind: journal.KindCommand, Command: int32(i), Line: fmt.Sprintf("dbt %d", i)})
		for _, n := range nodes {
			node := &journal.Node{ID: n.id, Status: n.status, Start: n.start * 1000, End: n.end * 1000, Seconds: float64(n.end - n.start)}
			if n.status == "" {
				s.Apply(journal.Entry{Kind: journal.KindStart, Node: node})
				continue
			}
			s.Apply(journal.Entry{Kind: journal.KindResult, Node: node})
		}
	}
	return s
}

func TestTimelineLanes(t *testing.T) {
	t.Parallel()
	nodes := []ran{{"model.s.a", 1, 5, "success"}, {"model.s.b", 1, 3, "success"}, {"model.s.c", 3, 9, "error"}, {"model.s.d", 5, 6, "success"}}
	tests := map[string]struct {
		reason  string
		nodes   []ran
		threads map[string]string
		lanes   []string
		of      map[string]int
	}{
		"Threads": {
			reason: "a lane is a thread, Thread-2 before Thread-10", nodes: nodes,
			threads: map[string]string{"model.s.a": "Thread-10 (worker)", "model.s.b": "Thread-2 (worker)", "model.s.c": "Thread-2 (worker)", "model.s.d": "Thread-10 (worker)"},
			lanes:   []string{"Thread-2", "Thread-10"}, of: map[string]int{"model.s.a": 1, "model.s.b": 0, "model.s.c": 0, "model.s.d": 1},
		},
		"NoThreads": {
			reason: "as few lanes as hold all", nodes: nodes,
			lanes: []string{"Lane 1", "Lane 2"}, of: map[string]int{"model.s.a": 0, "model.s.b": 1, "model.s.c": 1, "model.s.d": 0},
		},
		"SomeThreads": {
			reason: "those that are not known come last", nodes: nodes, threads: map[string]string{"model.s.a": "Thread-1"},
			lanes: []string{"Thread-1", "Lane 1", "Lane 2"}, of: map[string]int{"model.s.a": 0, "model.s.b": 1, "model.s.c": 1, "model.s.d": 2},
		},
		"OneThreadTwice": {
			reason: "two commands, or a hostile pod, say that one thread ran two nodes at once: none hides the other", nodes: nodes,
			threads: map[string]string{"model.s.a": "T", "model.s.b": "T", "model.s.c": "T", "model.s.d": "T"},
			lanes:   []string{"T", "T"}, of: map[string]int{"model.s.a": 0, "model.s.b": 1, "model.s.c": 1, "model.s.d": 0},
		},
		"Running": {
			reason: "a node that runs ends now", nodes: []ran{{"model.s.a", 1, 0, ""}, {"model.s.b", 2, 0, ""}},
			lanes: []string{"Lane 1", "Lane 2"}, of: map[string]int{"model.s.a": 0, "model.s.b": 1},
		},
		"Skipped": {
			reason: "what dbt skipped did no work", nodes: []ran{{"model.s.a", 1, 2, "success"}, {"model.s.b", 2, 2, "skipped"}},
			lanes: []string{"Lane 1"}, of: map[string]int{"model.s.a": 0},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := TimelineOf(TimelineInput{State: stateOf(test.nodes), Threads: test.threads, Now: 20_000})
			lanes, of := []string{}, map[string]int{}
			for _, l := range got.Lanes {
				lanes = append(lanes, l.Name)
			}
			for i, b := range got.Bars {
				of[b.ID] = b.Lane
				if b.End <= b.Start {
					t.Errorf("%s ends before it begins: %+v", b.ID, b)
				}
				for _, other := range got.Bars[:i] {
					if other.Lane == b.Lane && other.End > b.Start {
						t.Errorf("%s lies on %s", b.ID, other.ID)
					}
				}
			}
			if diff := cmp.Diff(test.lanes, lanes); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.reason, diff)
			}
			if diff := cmp.Diff(test.of, of); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.reason, diff)
			}
		})
	}
}

func TestTimelineWithoutJournal(t *testing.T) {
	t.Parallel()
	got := TimelineOf(TimelineInput{})
	if diff := cmp.Diff(Timeline{Lanes: []Lane{}, Bars: []Bar{}, Path: []Step{}, Commands: []CommandRow{}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCriticalPath(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		reason   string
		commands [][]ran
		parents  map[string][]string
		want     []string
	}{
		"LatestParent": {
			reason:   "a node waits for the parent that ends last, not for the one that takes longest",
			commands: [][]ran{{{"model.s.long", 0, 8, "success"}, {"model.s.late", 7, 9, "success"}, {"model.s.end", 9, 12, "success"}}},
			parents:  map[string][]string{"model.s.end": {"model.s.long", "model.s.late"}},
			want:     []string{"model.s.late", "model.s.end"},
		},
		"Test": {
			reason:   "in a build the tests of a parent hold up what comes after",
			commands: [][]ran{{{"model.s.a", 1, 4, "success"}, {"test.s.t.1", 4, 7, "pass"}, {"model.s.b", 7, 9, "success"}}},
			parents:  map[string][]string{"model.s.b": {"model.s.a"}, "test.s.t.1": {"model.s.a"}},
			want:     []string{"model.s.a", "test.s.t.1", "model.s.b"},
		},
		"Ephemeral": {
			reason:   "what makes no table is not run, and those above it count",
			commands: [][]ran{{{"model.s.a", 1, 4, "success"}, {"model.s.b", 4, 9, "success"}}},
			parents:  map[string][]string{"model.s.b": {"model.s.between"}, "model.s.between": {"model.s.a"}},
			want:     []string{"model.s.a", "model.s.b"},
		},
		"Commands": {
			reason:   "a command waits for all of the one before",
			commands: [][]ran{{{"seed.s.a", 1, 4, "success"}, {"seed.s.b", 1, 6, "success"}}, {{"model.s.c", 7, 9, "success"}}},
			want:     []string{"seed.s.b", "model.s.c"},
		},
		"NoLineage": {
			reason:   "nothing is known to hold it up",
			commands: [][]ran{{{"model.s.a", 1, 4, "success"}, {"model.s.b", 4, 9, "success"}}},
			want:     []string{"model.s.b"},
		},
		"Circle": {
			reason:   "a hostile document must not make it go round for ever",
			commands: [][]ran{{{"model.s.a", 4, 4, "success"}, {"model.s.b", 4, 4, "success"}}},
			parents:  map[string][]string{"model.s.a": {"model.s.b", "model.s.a"}, "model.s.b": {"model.s.a"}},
			want:     []string{"model.s.b", "model.s.a"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := TimelineOf(TimelineInput{State: stateOf(test.commands...), Parents: test.parents, Now: 20_000})
			var ids []string
			for _, s := range got.Path {
				ids = append(ids, got.Bars[s.Bar].ID)
				if !got.Bars[s.Bar].Critical {
					t.Errorf("%s is not marked", got.Bars[s.Bar].ID)
				}
			}
			if diff := cmp.Diff(test.want, ids); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.reason, diff)
			}
		})
	}
}

func TestWaitOnTheCriticalPath(t *testing.T) {
	t.Parallel()
	got := TimelineOf(TimelineInput{
		State:   stateOf([]ran{{"model.s.a", 1, 4, "success"}, {"model.s.b", 7, 9, "success"}}),
		Parents: map[string][]string{"model.s.b": {"model.s.a"}},
	})
	if len(got.Path) != 2 || got.Path[1].Wait != 3000 || got.PathSeconds != 5 {
		t.Errorf("the path is %+v and took %f s: b waited 3 s, and both ran 5 s", got.Path, got.PathSeconds)
	}
}
