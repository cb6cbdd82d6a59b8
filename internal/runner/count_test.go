package runner

import (
	"slices"
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil/collectortest"
)

// dbt 2.x numbers no nodes, so they are counted before.
func TestNodesAreCounted(t *testing.T) {
	tests := map[string]struct {
		reason   string
		binary   bool
		listed   []step
		words    []string
		commands []string
		total    int32
	}{
		"Binary": {
			reason: "dbt 2.x says no total: what it selects is listed first",
			binary: true, listed: listed(4), words: []string{"build"}, commands: []string{"ls", "build"}, total: 4,
		},
		"Script": {
			reason: "dbt 1.x says a total with each node, and takes seconds to list them",
			words:  []string{"build"}, commands: []string{"build"}, total: 0,
		},
		"NotListed": {
			reason: "what cannot be listed is run all the same, and dbt says what is wrong",
			binary: true, listed: []step{exits(2)}, words: []string{"build"}, commands: []string{"ls", "build"}, total: 0,
		},
		"NoNodes": {
			reason: "a command that runs no nodes is not counted",
			binary: true, words: []string{"run-operation", "grant"}, commands: []string{"run-operation"}, total: 0,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := collectortest.New(t)
			p := attemptOf(t, c, "pod-a")
			if tc.binary {
				p.dbt.binary()
			}
			p.plan.Commands = [][]string{tc.words}
			if tc.listed != nil {
				p.dbt.script(1, tc.listed...)
			}
			p.dbt.script(len(tc.commands), script(version(), made(1, 3, 0))...)
			if code, report := p.run(); code != 0 {
				t.Fatalf("%s: got %d, %+v", tc.reason, code, report)
			}
			if got := p.dbt.subCommands(); !slices.Equal(got, tc.commands) {
				t.Errorf("%s: dbt was started for %q, want %q", tc.reason, got, tc.commands)
			}
			if got := totals(t, c); !slices.Equal(got, nonZero(tc.total)) {
				t.Errorf("%s: the journal says totals of %d, want %d", tc.reason, got, tc.total)
			}
		})
	}
}

// nonZero returns the numbers that are not 0.
func nonZero(numbers ...int32) []int32 {
	return slices.DeleteFunc(numbers, func(n int32) bool { return n == 0 })
}

// totals returns what the journal says of how many nodes there are.
func totals(t *testing.T, c *collectortest.Collector) []int32 {
	t.Helper()
	var out []int32
	for _, e := range c.Entries(t) {
		if e.Kind == journal.KindTotal {
			out = append(out, e.Total)
		}
	}
	return out
}
