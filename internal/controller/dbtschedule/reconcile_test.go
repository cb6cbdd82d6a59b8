package dbtschedule

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

const (
	good      = v1alpha1.PhaseSucceeded
	bad       = v1alpha1.PhaseFailed
	cancelled = v1alpha1.PhaseCancelled
)

func TestTicks(t *testing.T) {
	b := newBench(t, shop(), hourly().Obj())
	s := b.goTo(at(5, 45), "s")
	b.has("not yet", "")
	b.is(s, "True Ticking", "Runs are made as scheduled.")
	if s.Status.NextScheduleTime == nil || !s.Status.NextScheduleTime.Time.Equal(at(6, 0)) {
		t.Errorf("next is %v", s.Status.NextScheduleTime)
	}
	s = b.goTo(at(6, 0), "s")
	b.has("due", "06:00")
	want := v1alpha1.DbtScheduleStatus{
		Active: []string{"s-29925000"}, LastRun: &v1alpha1.LastRun{Name: "s-29925000", Phase: v1alpha1.PhasePending, CreationTime: s.Status.LastRun.CreationTime},
		LastScheduleTime: s.Status.LastScheduleTime, NextScheduleTime: s.Status.NextScheduleTime, Ticking: s.Status.Ticking, Conditions: s.Status.Conditions,
	}
	if diff := cmp.Diff(want, s.Status); diff != "" || !s.Status.LastScheduleTime.Time.Equal(at(6, 0)) || !s.Status.NextScheduleTime.Time.Equal(at(7, 0)) {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	b.clock.SetTime(at(6, 20))
	b.end("06:00", good)
	s = b.settle("s")
	if s.Status.Active != nil || s.Status.LastRun.Phase != good || !s.Status.LastSuccessfulTime.Time.Equal(at(6, 20)) || !s.Status.LastSucceededScheduleTime.Time.Equal(at(6, 0)) {
		t.Errorf("status of a run that succeeded: %+v", s.Status)
	}
	if !meta.IsStatusConditionTrue(s.Status.Conditions, v1alpha1.ConditionLastRunSucceeded) {
		t.Errorf("conditions: %+v", s.Status.Conditions)
	}
	b.goTo(at(7, 0), "s")
	b.end("07:00", bad)
	s = b.goTo(at(7, 10), "s")
	if !meta.IsStatusConditionFalse(s.Status.Conditions, v1alpha1.ConditionLastRunSucceeded) || !meta.IsStatusConditionTrue(s.Status.Conditions, v1alpha1.ConditionReady) {
		t.Errorf("a red run touches LastRunSucceeded alone: %+v", s.Status.Conditions)
	}
	if !s.Status.LastEndedScheduleTime.Time.Equal(at(7, 0)) || !s.Status.LastSucceededScheduleTime.Time.Equal(at(6, 0)) {
		t.Errorf("ended %v, succeeded %v", s.Status.LastEndedScheduleTime, s.Status.LastSucceededScheduleTime)
	}
	if got := b.said(); got != "RunCreated RunCreated RunFailed" {
		t.Errorf("events: %s", got)
	}
}

// When to look again: at the tick, and never later than the recheck, as timers do not hear of a clock that is set.
func TestAgain(t *testing.T) {
	b := newBench(t, shop(), hourly().Obj())
	b.clock.SetTime(at(5, 58))
	if _, result := b.pass("s"); result.RequeueAfter != 2*time.Minute {
		t.Errorf("again in %s", result.RequeueAfter)
	}
	b.clock.SetTime(at(5, 31))
	if _, result := b.pass("s"); result.RequeueAfter != recheck {
		t.Errorf("again in %s", result.RequeueAfter)
	}
	b.edit("s", func(s *v1alpha1.DbtScheduleSpec) { s.Suspend = testutil.Ptr(true) })
	b.pass("s")
	if _, result := b.pass("s"); result.RequeueAfter != 0 {
		t.Errorf("suspended, and again in %s", result.RequeueAfter)
	}
}

func TestPolicies(t *testing.T) {
	for name, c := range map[string]struct {
		policy v1alpha1.ScheduleConcurrencyPolicy
		// at 07:00 with 06:00 active, after its end at 07:10, and at 08:00.
		busy, ended, next string
		missed            int64
	}{
		"forbid":  {v1alpha1.ScheduleForbid, "06:00", "06:00+ 07:00", "06:00+ 07:00", 0},
		"allow":   {v1alpha1.ScheduleAllow, "06:00 07:00", "06:00+ 07:00", "06:00+ 07:00 08:00", 0},
		"replace": {v1alpha1.ScheduleReplace, "06:00! 07:00", "06:00!x 07:00", "06:00!x 07:00! 08:00", 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, shop(), hourly().Policy(c.policy).Obj())
			b.goTo(at(6, 0), "s")
			s := b.goTo(at(7, 0), "s")
			b.has("busy", c.busy)
			if c.policy == v1alpha1.ScheduleForbid {
				b.is(s, "True Ticking", "A tick waits for the end of the active run")
			}
			phase := good
			if c.policy == v1alpha1.ScheduleReplace {
				phase = cancelled
			}
			b.clock.SetTime(at(7, 10))
			b.end("06:00", phase)
			b.settle("s")
			b.has("ended", c.ended)
			s = b.goTo(at(8, 0), "s")
			b.has("next", c.next)
			if s.Status.MissedTotal != c.missed {
				t.Errorf("%d missed", s.Status.MissedTotal)
			}
			s = b.goTo(at(10, 30), "s")
			if c.policy == v1alpha1.ScheduleForbid && (s.Status.MissedTotal != 2 || !s.Status.LastMissedTime.Time.Equal(at(9, 0))) {
				t.Errorf("08:00 and 09:00 were passed over: %d missed, last %v", s.Status.MissedTotal, s.Status.LastMissedTime)
			}
		})
	}
}

func TestMissedTicks(t *testing.T) {
	for name, c := range map[string]struct {
		reason   string
		schedule *testutil.ScheduleWrapper
		now      time.Time
		want     string
		missed   int64
	}{
		"latest":          {"the newest", hourly(), at(9, 30), "09:00", 3},
		"all":             {"each", hourly().CatchUp(v1alpha1.CatchUpAll, 10).Policy(v1alpha1.ScheduleAllow), at(9, 30), "06:00 07:00 08:00 09:00", 0},
		"all, in turn":    {"one after the other", hourly().CatchUp(v1alpha1.CatchUpAll, 10), at(9, 30), "06:00", 0},
		"all, limited":    {"the newest two", hourly().CatchUp(v1alpha1.CatchUpAll, 2).Policy(v1alpha1.ScheduleAllow), at(9, 30), "08:00 09:00", 2},
		"none":            {"none", hourly().CatchUp(v1alpha1.CatchUpNone, 1), at(9, 30), "", 4},
		"deadline":        {"none within it", hourly().Deadline(600), at(9, 30), "", 4},
		"1,000 ticks":     {"input 24: the operator was away", testutil.MakeDbtSchedule("s", "* * * * *").Namespace("ns").UID("u").Created(start), start.Add(1000 * time.Minute), "22:10", 999},
		"jitter held it":  {"less than the jitter has gone by", hourly().Jitter(3600), at(6, 0), "", 0},
		"jitter let it":   {"all of the jitter has gone by", hourly().Jitter(3000), at(6, 50), "06:00", 0},
		"project deleted": {"the run says so itself", hourly().Template(testutil.MakeDbtRun("").Project("gone")), at(6, 0), "06:00", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(c.reason)
			b := newBench(t, shop(), c.schedule.Obj())
			s := b.goTo(c.now, "s")
			b.has(c.reason, c.want)
			if s.Status.MissedTotal != c.missed {
				t.Errorf("%s: %d missed, want %d", c.reason, s.Status.MissedTotal, c.missed)
			}
		})
	}
}

// All in turn: each missed tick has its run when the one before is over, until none is left.
func TestCatchUpInTurn(t *testing.T) {
	b := newBench(t, shop(), hourly().CatchUp(v1alpha1.CatchUpAll, 10).Obj())
	b.goTo(at(8, 30), "s")
	for _, label := range []string{"06:00", "07:00", "08:00"} {
		b.end(label, good)
		b.settle("s")
	}
	b.has("in order, and no more", "06:00+ 07:00+ 08:00+")
}

// Suspended for a week and resumed: nothing meanwhile, then as the catch-up policy says, counted either way.
func TestSuspendedForAWeek(t *testing.T) {
	for policy, want := range map[v1alpha1.CatchUpPolicy]struct {
		runs   string
		missed int64
	}{
		v1alpha1.CatchUpLatest: {"05:00", 167},
		v1alpha1.CatchUpAll:    {"04:00 05:00", 166},
		v1alpha1.CatchUpNone:   {"", 168},
	} {
		t.Run(string(policy), func(t *testing.T) {
			b := newBench(t, shop(), hourly().CatchUp(policy, 2).Policy(v1alpha1.ScheduleAllow).Suspend().Obj())
			week := start.AddDate(0, 0, 7)
			s := b.goTo(week, "s")
			b.has("suspended", "")
			b.is(s, "True Suspended", "suspended")
			if s.Status.NextScheduleTime != nil || s.Status.MissedTotal != 0 {
				t.Errorf("status %+v", s.Status)
			}
			b.edit("s", func(s *v1alpha1.DbtScheduleSpec) { s.Suspend = nil })
			s = b.settle("s")
			b.has("resumed", want.runs)
			if s.Status.MissedTotal != want.missed {
				t.Errorf("%d missed, want %d", s.Status.MissedTotal, want.missed)
			}
			b.is(s, "True Ticking", "")
		})
	}
}

// Item 23: a clock that goes back makes nothing twice, one that jumps ahead makes one run.
func TestClockIsSet(t *testing.T) {
	b := newBench(t, shop(), hourly().Policy(v1alpha1.ScheduleAllow).Obj())
	b.goTo(at(6, 0), "s")
	s := b.goTo(at(5, 0), "s")
	b.has("an hour back", "06:00")
	b.is(s, "False ClockBehind", "future of the operator's clock")
	s = b.goTo(at(6, 30), "s")
	b.has("and on again", "06:00")
	b.is(s, "True Ticking", "")
	s = b.goTo(at(6, 30).AddDate(0, 0, 3), "s")
	b.has("three days ahead", "06:00 06:00")
	if s.Status.MissedTotal != 71 {
		t.Errorf("%d missed, want 71", s.Status.MissedTotal)
	}
}

// There is no terminal state: a spec that is corrected goes on.
func TestCorrectedSpecGoesOn(t *testing.T) {
	b := newBench(t, shop(), hourly().Obj())
	b.goTo(at(6, 0), "s")
	b.end("06:00", good)
	for _, c := range []struct {
		reason, part string
		change       func(*v1alpha1.DbtScheduleSpec)
	}{
		{"a line that never fires", "never fires", func(s *v1alpha1.DbtScheduleSpec) { s.Schedule = "* * 31 2 *" }},
		{"no such zone", "no time zone", func(s *v1alpha1.DbtScheduleSpec) { s.Schedule, s.TimeZone = "0 * * * *", "Mars/Olympus" }},
		{"a flag of the operator", "--profiles-dir", func(s *v1alpha1.DbtScheduleSpec) {
			s.TimeZone, s.RunTemplate.Spec.Commands = "", []string{"dbt build --profiles-dir /x"}
		}},
	} {
		b.edit("s", c.change)
		s := b.goTo(b.clock.Now().Add(time.Minute), "s")
		b.is(s, "False InvalidSpec", c.part)
	}
	b.goTo(at(7, 30), "s")
	b.has("an invalid one makes none", "06:00+")
	b.edit("s", func(s *v1alpha1.DbtScheduleSpec) { s.RunTemplate.Spec.Commands = nil })
	s := b.settle("s")
	b.has("the template was wrong: the tick is made up for", "06:00+ 07:00")
	b.is(s, "True Ticking", "")
}

// An edit at the tick: neither a second run nor none; one of the line alone does not make up for what it never had.
func TestEditedSchedule(t *testing.T) {
	b := newBench(t, shop(), hourly().Policy(v1alpha1.ScheduleAllow).Obj())
	b.goTo(at(5, 59), "s")
	b.clock.SetTime(at(6, 0))
	b.edit("s", func(s *v1alpha1.DbtScheduleSpec) { s.Schedule = "*/30 * * * *" })
	b.settle("s")
	b.has("edited at the tick, which both have", "06:00")
	b.edit("s", func(s *v1alpha1.DbtScheduleSpec) { s.Schedule = "0 6 * * *" })
	b.goTo(at(6, 1), "s")
	b.edit("s", func(s *v1alpha1.DbtScheduleSpec) { s.Schedule = "* * * * *" })
	s := b.goTo(at(6, 1), "s")
	b.has("what the line had before its edit is not missed", "06:00")
	b.goTo(at(6, 2), "s")
	b.has("it goes on from there", "06:00 06:02")
	if s.Status.MissedTotal != 0 {
		t.Errorf("%d missed", s.Status.MissedTotal)
	}
}

func TestDeploys(t *testing.T) {
	b := newBench(t, shop(), hourly().OnProjectChange().Obj())
	b.goTo(at(5, 40), "s")
	b.has("the project as it is found is no deploy", "")
	b.deploy("shop")
	b.settle("s")
	b.has("one run, named from the generation", "s-g2-c311")
	b.deploy("shop")
	b.deploy("shop")
	s := b.settle("s")
	b.has("it waits for the end of the other", "s-g2-c311")
	if s.Status.Project.Generation != 2 {
		t.Errorf("dealt with %+v", s.Status.Project)
	}
	b.end("s-g2", good)
	s = b.settle("s")
	b.has("the newest has a run, once", "s-g2-c311+ s-g4-c311")
	if s.Status.LastScheduleTime != nil || s.Status.LastRun.Name != "s-g4-c311" {
		t.Errorf("a deploy is no tick: %+v", s.Status)
	}
	trigger := b.list()[1].Spec.Trigger
	if trigger.Type != v1alpha1.TriggerProjectChange || trigger.ScheduledTime != nil {
		t.Errorf("trigger %+v", trigger)
	}
	b.end("s-g4", good)
	b.edit("s", func(s *v1alpha1.DbtScheduleSpec) { s.OnProjectChange = nil })
	b.settle("s")
	b.deploy("shop")
	b.settle("s")
	b.edit("s", func(s *v1alpha1.DbtScheduleSpec) { s.OnProjectChange = testutil.Ptr(true) })
	b.settle("s")
	b.has("what came while it was not asked for has none", "s-g2-c311+ s-g4-c311+")
}

func TestChain(t *testing.T) {
	raw := testutil.MakeDbtSchedule("raw", "0 * * * *").Namespace("ns").UID("raw").Created(start)
	marts := testutil.MakeDbtSchedule("marts", "0 6,8 * * *").Namespace("ns").UID("marts").Created(start).After("raw", v1alpha1.UpstreamSuccess)
	always := testutil.MakeDbtSchedule("always", "").Namespace("ns").UID("always").Created(start).After("raw", v1alpha1.UpstreamAlways).After("marts", v1alpha1.UpstreamAlways)
	b := newBench(t, shop(), raw.Obj(), marts.Obj(), always.Obj())
	all := func(t time.Time) {
		b.clock.SetTime(t)
		for range 2 {
			for _, name := range []string{"raw", "marts", "always"} {
				b.settle(name)
			}
		}
	}
	all(at(6, 0))
	b.has("the first alone", "06:00")
	s, _ := b.pass("marts")
	b.is(s, "True Ticking", "A tick waits for DbtSchedule raw.")
	b.end("raw", bad)
	all(at(6, 30))
	b.has("it failed, and success is waited for", "06:00-")
	all(at(7, 0))
	b.end("raw", good)
	all(at(7, 10))
	b.has("a later tick will do", "06:00- 07:00+ 06:00")
	b.end("marts", bad)
	all(at(7, 20))
	// By creation: raw 06:00, raw 07:00, marts 06:00, always 06:00.
	b.has("both have ended 06:00, however they did", "06:00- 07:00+ 06:00- 06:00")
	if run := b.list()[3]; run.Name != "always-29925000" || run.Spec.Trigger.Type != v1alpha1.TriggerUpstream {
		t.Errorf("the last is %s, %+v", run.Name, run.Spec.Trigger)
	}
	b.end("always", good)
	all(at(7, 50))
	b.has("once", "06:00- 07:00+ 06:00- 06:00+")
}

func TestChainsThatCannotRun(t *testing.T) {
	one := hourly().After("two", v1alpha1.UpstreamSuccess)
	two := testutil.MakeDbtSchedule("two", "0 * * * *").Namespace("ns").UID("two").Created(start).After("s", v1alpha1.UpstreamSuccess)
	b := newBench(t, shop(), one.Obj())
	b.is(b.goTo(at(6, 0), "s"), "False UpstreamNotFound", "no DbtSchedule two")
	if err := b.client.Create(t.Context(), two.Obj()); err != nil {
		t.Fatal(err)
	}
	b.is(b.settle("s"), "False UpstreamLoop", "wait for this one")
	b.has("nothing runs", "")
}

// forged is a run of somebody who wrote that the schedule controls it.
func forged(name string) *testutil.RunWrapper {
	run := testutil.MakeDbtRun(name).Namespace("ns").UID("uid-" + name).Project("shop")
	run.Spec.Trigger = &v1alpha1.Trigger{Type: v1alpha1.TriggerManual}
	run.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(hourly().Obj(), v1alpha1.GroupVersion.WithKind("DbtSchedule"))}
	return run
}

// Somebody else's run has the name: said, counted, and the next tick goes on.
func TestNameIsTaken(t *testing.T) {
	for why, taken := range map[string]*testutil.RunWrapper{
		"plain":                      testutil.MakeDbtRun("s-29925000").Namespace("ns").Project("shop"),
		"as if the schedule made it": forged("s-29925000"),
	} {
		t.Run(why, func(t *testing.T) { nameIsTaken(t, taken.Obj()) })
	}
}

func nameIsTaken(t *testing.T, taken client.Object) {
	b := newBench(t, shop(), hourly().Obj(), taken)
	s := b.goTo(at(6, 0), "s")
	b.is(s, "False NameTaken", "DbtRun s-29925000 exists and is not of this schedule")
	if s.Status.MissedTotal != 1 {
		t.Errorf("%d missed", s.Status.MissedTotal)
	}
	writes := b.writes
	b.is(b.goTo(at(6, 30), "s"), "False NameTaken", "")
	if b.writes != writes {
		t.Errorf("%d further writes: it is tried again and again", b.writes-writes)
	}
	if got := b.said(); got != "TicksMissed NameTaken" {
		t.Errorf("events: %s", got)
	}
	b.is(b.goTo(at(7, 0), "s"), "True Ticking", "")
	if b.made["s-29925060"] != 1 {
		t.Errorf("made %v", b.made)
	}
}

// A run that only says of itself that the schedule controls it holds no tick up and takes no place in the history.
func TestForgedRuns(t *testing.T) {
	b := newBench(t, shop(), hourly().Policy(v1alpha1.ScheduleForbid).History(1, 1).Obj(), forged("active").Obj(), forged("ended").Obj())
	b.end("ended", v1alpha1.PhaseSucceeded)
	b.is(b.goTo(at(6, 0), "s"), "True Ticking", "")
	b.end("06:00", v1alpha1.PhaseSucceeded)
	s := b.settle("s")
	if b.made["s-29925000"] != 1 || s.Status.LastRun == nil || s.Status.LastRun.Name != "s-29925000" {
		t.Errorf("made %v, the last run is %+v", b.made, s.Status.LastRun)
	}
	if got := len(b.list()); got != 3 {
		t.Errorf("%d runs are there", got)
	}
}

func TestHistory(t *testing.T) {
	b := newBench(t, shop(), hourly().History(2, 1).Obj())
	for hour := 6; hour < 12; hour++ {
		b.goTo(at(hour, 0), "s")
		phase := good
		if hour%2 == 1 {
			phase = bad
		}
		b.clock.SetTime(at(hour, 20))
		b.end(at(hour, 0).Format("15:04"), phase)
		b.settle("s")
	}
	b.has("the newest two and the newest one", "08:00+ 10:00+ 11:00-")
	b.edit("s", func(s *v1alpha1.DbtScheduleSpec) {
		s.SuccessfulRunsHistoryLimit, s.FailedRunsHistoryLimit = testutil.Ptr[int32](0), testutil.Ptr[int32](0)
	})
	s := b.settle("s")
	b.has("none at all", "")
	if !s.Status.LastScheduleTime.Time.Equal(at(11, 0)) || !s.Status.LastSucceededScheduleTime.Time.Equal(at(10, 0)) || !s.Status.LastFailureTime.Time.Equal(at(11, 20)) {
		t.Errorf("what is known of runs that are gone is kept: %+v", s.Status)
	}
	if !meta.IsStatusConditionFalse(s.Status.Conditions, v1alpha1.ConditionLastRunSucceeded) || s.Status.LastRun.Name != "s-29925300" {
		t.Errorf("the outcome is kept: %+v", s.Status)
	}
}

func TestProjectIsMissing(t *testing.T) {
	b := newBench(t, hourly().OnProjectChange().Obj())
	b.is(b.goTo(at(6, 0), "s"), "False ProjectNotFound", "no DbtProject shop")
	if err := b.client.Create(t.Context(), shop()); err != nil {
		t.Fatal(err)
	}
	b.is(b.settle("s"), "True Ticking", "")
	b.has("its creation is no deploy", "06:00")
	if err := b.client.Delete(t.Context(), shop()); err != nil {
		t.Fatal(err)
	}
	b.is(b.settle("s"), "False ProjectNotFound", "")
}

// A schedule that is being deleted makes nothing.
func TestDeleted(t *testing.T) {
	s := hourly().Obj()
	s.Finalizers = []string{"example.com/wait"}
	b := newBench(t, shop(), s)
	if err := b.client.Delete(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	b.clock.SetTime(at(6, 0))
	b.pass("s")
	b.has("being deleted", "")
	if err := client.IgnoreNotFound(b.client.Get(t.Context(), client.ObjectKeyFromObject(s), s)); err != nil {
		t.Fatal(err)
	}
}

// A backfill: oldest first, no more at a time than asked for, beside the schedule's own runs, with the tick's interval
// if that is asked for, and with a history of its own.
func TestBackfill(t *testing.T) {
	s := hourly().History(1, 1).Backfill(at(0, 30), at(4, 0), 2)
	s.Spec.Backfill.EventTimeWindow = testutil.Ptr(true)
	s.Generation = 3
	b := newBench(t, shop(), s.Obj())
	b.goTo(at(5, 45), "s")
	b.has("two at a time", "b01:00 b02:00")
	b.goTo(at(6, 0), "s")
	b.has("ticks do not wait for it", "b01:00 b02:00 06:00")
	run := b.list()[0]
	if run.Name != "s-b3-29924700" || run.Spec.Commands[0] != "dbt build --event-time-start=2026-11-24T00:00:00 --event-time-end=2026-11-24T01:00:00" {
		t.Errorf("run %s has %q", run.Name, run.Spec.Commands)
	}
	for _, label := range []string{"s-b3-29924700", "s-b3-29924760", "s-29925000"} {
		b.end(label, good)
		b.settle("s")
	}
	b.has("each history by itself", "b02:00+ b03:00 b04:00 06:00+")
	b.end("s-b3-29924820", bad)
	b.end("s-b3-29924880", good)
	got := b.settle("s")
	if f := got.Status.Backfill; f.Phase != bad || f.Failed != "s-b3-29924820" || f.Started != 4 || f.Total != 4 || f.CompletionTime == nil {
		t.Errorf("backfill %+v", f)
	}
	if got.Status.MissedTotal != 0 || !got.Status.LastScheduleTime.Time.Equal(at(6, 0)) || got.Status.LastRun.Name != "s-29925000" || got.Status.LastFailureTime != nil {
		t.Errorf("the schedule's own status is of its own runs: %+v", got.Status)
	}
	b.edit("s", func(s *v1alpha1.DbtScheduleSpec) { s.Backfill = nil })
	if got := b.settle("s"); got.Status.Backfill != nil {
		t.Errorf("backfill %+v", got.Status.Backfill)
	}
}
