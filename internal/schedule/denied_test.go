package schedule

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// An author without the right: every tick that would have a run is counted, and one that waits goes on waiting.
func TestDecideDenied(t *testing.T) {
	skip := func(last time.Time, m ...Missed) Decision {
		return Decision{Action: Skip, Reason: ReasonDenied, Missed: m, LastMissed: last}
	}
	wait := func(reason string) Decision { return Decision{Action: Wait, Reason: reason} }
	for name, c := range map[string]struct {
		reason string
		in     Input
		want   Decision
	}{
		"due":       {"counted", hourly(), skip(at(6, 0, 0), Missed{1, MissedDenied})},
		"not due":   {"nothing to deny", hourly(now(5, 59, 59)), wait(ReasonNotDue)},
		"catch-up":  {"what is passed over has its own reason", hourly(now(8, 30, 0)), skip(at(8, 0, 0), Missed{2, MissedCatchUp}, Missed{1, MissedDenied})},
		"all":       {"each that would have a run", hourly(now(8, 30, 0), policy(v1alpha1.ScheduleAllow), catchUp(v1alpha1.CatchUpAll, 2)), skip(at(8, 0, 0), Missed{1, MissedCatchUp}, Missed{2, MissedDenied})},
		"busy":      {"it waits: who knows what the author may then", hourly(active(1)), wait(ReasonActive)},
		"replace":   {"nothing is cancelled for it", hourly(active(1), policy(v1alpha1.ScheduleReplace)), skip(at(6, 0, 0), Missed{1, MissedDenied})},
		"suspended": {"nothing to deny", hourly(suspended), wait(ReasonSuspended)},
		"upstream":  {"it waits", hourly(after("a", at(5, 0, 0))), Decision{Action: Wait, Reason: ReasonUpstream, Waiting: []string{"a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			c.in.Denied = true
			got, err := Decide(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(Decision{}, "Trigger", "Ticking", "NextTick", "Next")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}
