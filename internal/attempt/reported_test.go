package attempt_test

import (
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/attempt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// What a runner reported counts before kubelet says that its container ended.
func TestReportedBeforeTheEnd(t *testing.T) {
	alive := testutil.MakePod("a").Runs(now)
	for name, c := range map[string]struct {
		reason  string
		pod     *testutil.PodWrapper
		outcome journal.Outcome
		final   bool
		word    string
	}{
		"nodes failed": {"no other pod would change it", alive, journal.NodesFailed, true, "NodesFailed"},
		"succeeded":    {"an answer, but no failure", alive, journal.Succeeded, false, "Succeeded"},
		"interrupted":  {"another pod goes on", alive, journal.Interrupted, false, ""},
		"silent":       {"it is at work", alive, "", false, ""},
		"exited":       {"then its exit code counts", testutil.MakePod("a").Exits(137, "OOMKilled", now), journal.NodesFailed, false, "NodesFailed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &journal.Report{Outcome: c.outcome}
			if _, _, ok := attempt.FinalCode(c.pod.Obj(), r); ok != c.final {
				t.Errorf("%s: final is %t", c.reason, ok)
			}
			if got := attempt.Reason(c.pod.Obj(), r); got != c.word {
				t.Errorf("%s: reason is %q, want %q", c.reason, got, c.word)
			}
		})
	}
}
