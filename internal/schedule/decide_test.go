package schedule

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// at returns a time of 24 November 2026, a Tuesday, in UTC.
func at(hour, minute, second int) time.Time {
	return time.Date(2026, 11, 24, hour, minute, second, 0, time.UTC)
}

// hourly is an input whose schedule ticks at every full hour, was made at 00:30, and has dealt with 05:00.
func hourly(change ...func(*Input)) Input {
	in := Input{
		Spec: &v1alpha1.DbtScheduleSpec{Schedule: "0 * * * *", TimeZone: "Etc/UTC"},
		UID:  "a", Created: at(0, 30, 0), Settled: at(5, 0, 0), Now: at(6, 0, 0),
		Ticking: &v1alpha1.Ticking{Schedule: "0 * * * *", TimeZone: "Etc/UTC", Since: metav1.NewTime(at(0, 30, 0))},
	}
	for _, c := range change {
		c(&in)
	}
	return in
}

func now(hour, minute, second int) func(*Input) {
	return func(in *Input) { in.Now = at(hour, minute, second) }
}

func active(n int) func(*Input) { return func(in *Input) { in.Active = n } }

func policy(p v1alpha1.ScheduleConcurrencyPolicy) func(*Input) {
	return func(in *Input) { in.Spec.ConcurrencyPolicy = p }
}

func catchUp(p v1alpha1.CatchUpPolicy, limit int32) func(*Input) {
	return func(in *Input) { in.Spec.CatchUp = v1alpha1.CatchUp{Policy: p, Limit: &limit} }
}

func deadline(seconds int64) func(*Input) {
	return func(in *Input) { in.Spec.StartingDeadlineSeconds = &seconds }
}

func suspended(in *Input) { yes := true; in.Spec.Suspend = &yes }

func after(name string, through time.Time) func(*Input) {
	return func(in *Input) {
		in.Spec.After = append(in.Spec.After, v1alpha1.Upstream{Schedule: name})
		in.Upstream = append(in.Upstream, Upstream{name, through})
	}
}

// edited is an input whose cron line was another one until a time.
func edited(line string, when time.Time) func(*Input) {
	return func(in *Input) { in.Spec.Schedule, in.Edited = line, when }
}

func noCron(in *Input) { in.Spec.Schedule, in.Spec.TimeZone, in.Ticking = "", "", nil }

func TestDecide(t *testing.T) {
	start := func(reason string, slots ...time.Time) Decision {
		return Decision{Action: Start, Reason: reason, Slots: slots}
	}
	missed := func(d Decision, last time.Time, m ...Missed) Decision {
		d.Missed, d.LastMissed = m, last
		return d
	}
	wait := func(reason string) Decision { return Decision{Action: Wait, Reason: reason} }
	for name, c := range map[string]struct {
		reason string
		in     Input
		want   Decision
	}{
		"not yet":                {"a second before", hourly(now(5, 59, 59)), wait(ReasonNotDue)},
		"due":                    {"at the second", hourly(), start(ReasonDue, at(6, 0, 0))},
		"late":                   {"no deadline, no bound", hourly(now(6, 59, 59)), start(ReasonDue, at(6, 0, 0))},
		"settled":                {"a tick has one run", hourly(func(in *Input) { in.Settled = at(6, 0, 0) }), wait(ReasonNotDue)},
		"new":                    {"ticks before the creation are nobody's", hourly(func(in *Input) { in.Created, in.Settled, in.Ticking = at(5, 59, 0), time.Time{}, nil }), start(ReasonDue, at(6, 0, 0))},
		"new, between":           {"the same", hourly(func(in *Input) { in.Created, in.Settled, in.Ticking = at(5, 0, 1), time.Time{}, nil }, now(5, 30, 0)), wait(ReasonNotDue)},
		"deadline met":           {"as late as may be", hourly(deadline(600), now(6, 10, 0)), start(ReasonDue, at(6, 0, 0))},
		"deadline passed":        {"counted, not started", hourly(deadline(600), now(6, 10, 1)), missed(Decision{Action: Skip, Reason: ReasonLate}, at(6, 0, 0), Missed{1, MissedLate})},
		"clock back":             {"input 23: nothing is done twice", hourly(now(4, 0, 0)), wait(ReasonClockBehind)},
		"clock back a little":    {"two machines' clocks differ", hourly(now(4, 59, 30)), wait(ReasonNotDue)},
		"clock three days on":    {"input 23: one run", hourly(func(in *Input) { in.Now = at(6, 0, 0).AddDate(0, 0, 3) }), missed(start(ReasonCatchUp, at(6, 0, 0).AddDate(0, 0, 3)), at(5, 0, 0).AddDate(0, 0, 3), Missed{72, MissedCatchUp})},
		"latest":                 {"input 24: the newest, the others counted", hourly(now(9, 30, 0)), missed(start(ReasonCatchUp, at(9, 0, 0)), at(8, 0, 0), Missed{3, MissedCatchUp})},
		"latest within deadline": {"each is counted for its own reason", hourly(deadline(7200), now(9, 30, 0)), missed(start(ReasonCatchUp, at(9, 0, 0)), at(8, 0, 0), Missed{2, MissedLate}, Missed{1, MissedCatchUp})},
		"all, allowed":           {"oldest first", hourly(catchUp(v1alpha1.CatchUpAll, 10), policy(v1alpha1.ScheduleAllow), now(8, 30, 0)), start(ReasonCatchUp, at(6, 0, 0), at(7, 0, 0), at(8, 0, 0))},
		"all, forbidden":         {"one after the other", hourly(catchUp(v1alpha1.CatchUpAll, 10), now(8, 30, 0)), start(ReasonCatchUp, at(6, 0, 0))},
		"all, limited":           {"the newest two", hourly(catchUp(v1alpha1.CatchUpAll, 2), policy(v1alpha1.ScheduleAllow), now(9, 30, 0)), missed(start(ReasonCatchUp, at(8, 0, 0), at(9, 0, 0)), at(7, 0, 0), Missed{2, MissedCatchUp})},
		"all, replacing":         {"each would replace the one before", hourly(catchUp(v1alpha1.CatchUpAll, 10), policy(v1alpha1.ScheduleReplace), now(8, 30, 0)), missed(start(ReasonCatchUp, at(8, 0, 0)), at(7, 0, 0), Missed{2, MissedReplace})},
		"none, on time":          {"an operator that is a little late", hourly(catchUp(v1alpha1.CatchUpNone, 1), now(6, 1, 0)), start(ReasonDue, at(6, 0, 0))},
		"none, late":             {"a minute is enough", hourly(catchUp(v1alpha1.CatchUpNone, 1), now(6, 1, 1)), missed(Decision{Action: Skip, Reason: ReasonLate}, at(6, 0, 0), Missed{1, MissedLate})},
		"none, several":          {"the one on time alone", hourly(catchUp(v1alpha1.CatchUpNone, 1), now(9, 0, 5)), missed(start(ReasonCatchUp, at(9, 0, 0)), at(8, 0, 0), Missed{3, MissedLate})},
		"forbid":                 {"it waits for the end of the other", hourly(active(1)), wait(ReasonActive)},
		"forbid, next tick":      {"the older is passed over", hourly(active(1), now(7, 0, 0)), missed(wait(ReasonActive), at(6, 0, 0), Missed{1, MissedForbid})},
		"forbid, too late":       {"it waited in vain", hourly(active(1), deadline(600), now(6, 11, 0)), missed(Decision{Action: Skip, Reason: ReasonLate}, at(6, 0, 0), Missed{1, MissedForbid})},
		"forbid, all":            {"none is passed over", hourly(active(1), catchUp(v1alpha1.CatchUpAll, 10), now(8, 0, 0)), wait(ReasonActive)},
		"allow":                  {"side by side", hourly(active(3), policy(v1alpha1.ScheduleAllow)), start(ReasonDue, at(6, 0, 0))},
		"replace":                {"the others are cancelled", hourly(active(1), policy(v1alpha1.ScheduleReplace)), Decision{Action: Replace, Reason: ReasonDue, Slots: []time.Time{at(6, 0, 0)}}},
		"replace, none active":   {"nothing to cancel", hourly(policy(v1alpha1.ScheduleReplace)), start(ReasonDue, at(6, 0, 0))},
		"suspended":              {"nothing is made and nothing counted yet", hourly(suspended, now(9, 0, 0)), wait(ReasonSuspended)},
		"after, not ended":       {"the tick waits", hourly(after("a", at(5, 0, 0))), Decision{Action: Wait, Reason: ReasonUpstream, Waiting: []string{"a"}}},
		"after, ended":           {"the same tick", hourly(after("a", at(6, 0, 0)), now(6, 20, 0)), start(ReasonDue, at(6, 0, 0))},
		"after, a later one":     {"a later tick will do, and newer ones of ours go on waiting", hourly(after("a", at(6, 30, 0)), now(7, 5, 0)), start(ReasonDue, at(6, 0, 0))},
		"after, two":             {"the slower decides", hourly(after("a", at(6, 0, 0)), after("b", at(5, 0, 0))), Decision{Action: Wait, Reason: ReasonUpstream, Waiting: []string{"b"}}},
		"after, in vain":         {"the deadline bounds the wait", hourly(after("a", at(5, 0, 0)), deadline(600), now(6, 10, 1)), missed(Decision{Action: Skip, Reason: ReasonLate}, at(6, 0, 0), Missed{1, MissedLate})},
		"chain, ended":           {"the tick is theirs", hourly(noCron, after("a", at(6, 0, 0)), now(6, 20, 0)), start(ReasonDue, at(6, 0, 0))},
		"chain, again":           {"once", hourly(noCron, after("a", at(6, 0, 0)), func(in *Input) { in.Settled = at(6, 0, 0) }, now(6, 20, 0)), wait(ReasonNotDue)},
		"chain, two":             {"the tick that all have ended", hourly(noCron, after("a", at(9, 0, 0)), after("b", at(6, 0, 0)), now(9, 20, 0)), start(ReasonDue, at(6, 0, 0))},
		"chain, none yet":        {"nothing has ended", hourly(noCron, after("a", at(9, 0, 0)), after("b", time.Time{}), now(9, 20, 0)), wait(ReasonNotDue)},
		"edited, later line":     {"what the new line would have had before its edit is not missed", hourly(edited("*/5 * * * *", at(5, 33, 0)), now(5, 33, 10)), wait(ReasonNotDue)},
		"edited, next":           {"but what it has after is", hourly(edited("*/5 * * * *", at(5, 33, 0)), now(5, 35, 0)), start(ReasonDue, at(5, 35, 0))},
		"edited, seen late":      {"the operator was away as it was edited", hourly(edited("*/5 * * * *", at(5, 33, 0)), now(5, 44, 0)), missed(start(ReasonCatchUp, at(5, 40, 0)), at(5, 35, 0), Missed{1, MissedCatchUp})},
		"edited at the tick":     {"both lines have it: it is not lost", hourly(edited("0 6,12 * * *", at(6, 0, 0)), now(6, 0, 1)), start(ReasonDue, at(6, 0, 0))},
		"edited away":            {"the new line does not have it: counted", hourly(edited("30 6 * * *", at(6, 0, 0)), now(6, 0, 1)), missed(Decision{Action: Skip, Reason: ReasonLate}, at(6, 0, 0), Missed{1, MissedEdited})},
		"edited while suspended": {"counted, and no run", hourly(edited("30 6 * * *", at(8, 10, 0)), suspended, now(8, 10, 1)), missed(wait(ReasonSuspended), at(8, 0, 0), Missed{3, MissedEdited})},
		"edited, time unknown":   {"from now on", hourly(edited("*/5 * * * *", time.Time{}), now(5, 33, 10)), wait(ReasonNotDue)},
	} {
		t.Run(name, func(t *testing.T) {
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

func TestWhenToLookAgain(t *testing.T) {
	jitter := int32(3600)
	share := Jitter("a", &jitter)
	if share <= 0 || share > time.Hour || share != Jitter("a", &jitter) || share == Jitter("b", &jitter) {
		t.Fatalf("the share of the jitter is %s", share)
	}
	jittered := func(in *Input) { in.Spec.JitterSeconds = &jitter }
	for name, c := range map[string]struct {
		reason         string
		in             Input
		action         Action
		nextTick, next time.Time
	}{
		"plain":      {"at the tick", hourly(now(5, 10, 0)), Wait, at(6, 0, 0), at(6, 0, 0)},
		"started":    {"at the next", hourly(now(6, 0, 0)), Start, at(7, 0, 0), at(7, 0, 0)},
		"held back":  {"later by the share", hourly(jittered, now(6, 0, 0)), Wait, at(6, 0, 0), at(6, 0, 0).Add(share)},
		"its moment": {"the tick keeps its own time", hourly(jittered, func(in *Input) { in.Now = at(6, 0, 0).Add(share) }), Start, at(7, 0, 0), at(7, 0, 0).Add(share)},
		"suspended":  {"when the spec changes", hourly(suspended), Wait, time.Time{}, time.Time{}},
		"chain":      {"when another schedule changes", hourly(noCron, after("a", at(5, 0, 0))), Wait, time.Time{}, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Decide(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if got.Action != c.action || !got.NextTick.Equal(c.nextTick) || !got.Next.Equal(c.next) {
				t.Errorf("%s: %s, next tick %s, look again %s; want %s, %s, %s", c.reason, got.Action, got.NextTick, got.Next, c.action, c.nextTick, c.next)
			}
			if got.Action == Start && !got.Slots[0].Equal(at(6, 0, 0)) {
				t.Errorf("%s: slots %v", c.reason, got.Slots)
			}
		})
	}
}

// Decide changes nothing of its input, and repeats its message of an invalid line.
func TestDecideRefuses(t *testing.T) {
	for _, change := range []func(*Input){
		func(in *Input) { in.Spec.Schedule = "* * 31 2 *" },
		func(in *Input) { in.Spec.TimeZone = "Mars/Olympus" },
	} {
		in := hourly(change)
		before := *in.Spec
		if d, err := Decide(in); err == nil || d.Action == Start {
			t.Errorf("%s in %s: %v, %v", before.Schedule, before.TimeZone, d, err)
		}
		if diff := cmp.Diff(before, *in.Spec); diff != "" {
			t.Errorf("the spec was changed:\n%s", diff)
		}
	}
}

// A decision over ten years of missed minutes. The budget of docs/performance.md is 1 ms.
func BenchmarkDecideOverTenYears(b *testing.B) {
	for name, zone := range map[string]string{"UTC": "Etc/UTC", "New York": "America/New_York"} {
		b.Run(name, func(b *testing.B) {
			in := hourly(func(in *Input) {
				in.Spec.Schedule, in.Spec.TimeZone, in.Ticking = "* * * * *", zone, nil
				in.Now = in.Created.AddDate(10, 0, 0)
			}, catchUp(v1alpha1.CatchUpAll, 100), policy(v1alpha1.ScheduleAllow))
			for b.Loop() {
				d, err := Decide(in)
				if err != nil || len(d.Slots) != 100 || d.Missed[0].Count < 5_000_000 {
					b.Fatal(d, err)
				}
			}
		})
	}
}
