package dbtschedule

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/schedule"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// story is a day of a schedule with everything in it: ticks, one that is replaced, missed ones, a deploy, history.
func story(b *bench) *v1alpha1.DbtSchedule {
	b.Helper()
	b.goTo(at(6, 0), "s")
	b.goTo(at(7, 0), "s")
	b.clock.SetTime(at(7, 10))
	b.end("06:00", cancelled)
	b.settle("s")
	b.end("07:00", good)
	b.deploy("shop")
	b.goTo(at(7, 20), "s")
	b.end("s-g2", good)
	b.goTo(at(12, 30), "s")
	b.end("12:00", bad)
	b.goTo(at(13, 0), "s")
	b.end("13:00", good)
	return b.goTo(at(13, 10), "s")
}

// Fault 25: the operator dies at each of its writes, before or after it is applied. The end is the same, and no run was
// made twice.
func TestDeathAtEveryWrite(t *testing.T) {
	fresh := func() *bench {
		return newBench(t, shop(), hourly().Policy(v1alpha1.ScheduleReplace).OnProjectChange().History(1, 1).Obj())
	}
	whole := fresh()
	want := story(whole)
	if whole.writes < 12 || len(whole.made) != 5 {
		t.Fatalf("%d writes, made %v: the story has too little in it", whole.writes, whole.made)
	}
	for at := 1; at <= whole.writes; at++ {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("write %d, applied %t", at, applied), func(t *testing.T) {
				b := fresh()
				b.failer, b.dies, b.applied = t, at, applied
				got := story(b)
				ignore := cmpopts.IgnoreFields(v1alpha1.DbtScheduleStatus{}, "Conditions")
				if diff := cmp.Diff(want.Status, got.Status, ignore); diff != "" {
					t.Errorf("status (-without a fault +got):\n%s", diff)
				}
				if whole.runs() != b.runs() {
					t.Errorf("the runs are %q, without a fault %q", b.runs(), whole.runs())
				}
				if diff := cmp.Diff(whole.made, b.made); diff != "" {
					t.Errorf("runs made (-without a fault +got):\n%s", diff)
				}
			})
		}
	}
}

// The crash between the create and the status patch, told at length: one run, and the status is repaired.
func TestCrashBeforeTheStatusPatch(t *testing.T) {
	b := newBench(t, shop(), hourly().Obj())
	b.goTo(at(5, 45), "s")
	b.dies, b.applied = b.writes+2, false
	b.clock.SetTime(at(6, 0))
	s, _ := b.pass("s")
	b.has("the run is made", "06:00")
	if s.Status.LastScheduleTime != nil {
		t.Fatal("the status was patched: the test is wrong")
	}
	s = b.settle("s")
	b.has("one run", "06:00")
	if s.Status.LastScheduleTime == nil || len(s.Status.Active) != 1 || s.Status.MissedTotal != 0 {
		t.Errorf("the status is not repaired: %+v", s.Status)
	}
}

// Two operators at once, one of them with a cache that has fallen behind: each tick has one run, and neither status is
// lost.
func TestTwoOperators(t *testing.T) {
	b := newBench(t, shop(), hourly().Policy(v1alpha1.ScheduleAllow).Obj())
	b.goTo(at(5, 45), "s")
	// The second sees the schedule as it is now, and no run, for ever.
	frozen := &v1alpha1.DbtSchedule{}
	if err := b.client.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "s"}, frozen); err != nil {
		t.Fatal(err)
	}
	stale := interceptor.NewClient(b.client, interceptor.Funcs{
		Create: b.funcs().Create,
		Get: func(ctx context.Context, w client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if s, ok := o.(*v1alpha1.DbtSchedule); ok {
				frozen.DeepCopyInto(s)
				return nil
			}
			return w.Get(ctx, key, o, opts...)
		},
		List: func(ctx context.Context, w client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, ok := list.(*v1alpha1.DbtRunList); ok {
				return nil
			}
			return w.List(ctx, list, opts...)
		},
	})
	other := New(b.clock, stale, b.client, events.NewFakeRecorder(100), metrics.NewSchedules(prometheus.NewRegistry(), b.clock.Now))
	for _, now := range []time.Time{at(6, 0), at(7, 0), at(9, 30)} {
		b.clock.SetTime(now)
		if _, err := other.Reconcile(t.Context(), request()); err != nil {
			t.Fatal(err)
		}
		b.settle("s")
	}
	b.has("each once", "06:00 07:00 09:00")
	s, _ := b.pass("s")
	if s.Status.MissedTotal != 1 {
		t.Errorf("%d missed, want 08:00 alone", s.Status.MissedTotal)
	}
	for name, n := range b.made {
		if n != 1 {
			t.Errorf("%s was made %d times", name, n)
		}
	}
}

// A cache that does not show a run that was just made: the next tick waits for it all the same.
func TestRunThatTheCacheDoesNotShow(t *testing.T) {
	b := newBench(t, shop(), hourly().Obj())
	b.goTo(at(6, 0), "s")
	blind := interceptor.NewClient(b.client, interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return nil },
	})
	b.r = New(b.clock, blind, b.client, events.NewFakeRecorder(100), metrics.NewSchedules(prometheus.NewRegistry(), b.clock.Now))
	b.goTo(at(7, 0), "s")
	b.has("06:00 is active", "06:00")
}

// A run that the API server refuses is tried again, and its tick is not lost.
func TestRefusedRun(t *testing.T) {
	b := newBench(t, shop(), hourly().Obj())
	no := true
	c := interceptor.NewClient(b.client, interceptor.Funcs{
		Create: func(ctx context.Context, w client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if no {
				return apierrors.NewForbidden(v1alpha1.GroupVersion.WithResource("dbtruns").GroupResource(), o.GetName(), fmt.Errorf("exceeded quota"))
			}
			return w.Create(ctx, o, opts...)
		},
	})
	b.r = New(b.clock, c, b.client, b.events, metrics.NewSchedules(prometheus.NewRegistry(), b.clock.Now))
	b.clock.SetTime(at(6, 0))
	s, result := b.pass("s")
	b.is(s, "False RunRefused", "exceeded quota")
	if result.RequeueAfter != refusedRetry || s.Status.MissedTotal != 0 {
		t.Errorf("again in %s, %d missed", result.RequeueAfter, s.Status.MissedTotal)
	}
	no = false
	b.is(b.goTo(at(6, 5), "s"), "True Ticking", "")
	b.has("later, but not lost", "06:00")
}

// A conflict on the status is no error: the pass is repeated, and nothing is done twice.
func TestConflict(t *testing.T) {
	b := newBench(t, shop(), hourly().Obj())
	b.goTo(at(5, 45), "s")
	fights := 3
	funcs := b.funcs()
	patch := funcs.SubResourcePatch
	funcs.SubResourcePatch = func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
		if fights > 0 {
			fights--
			return apierrors.NewConflict(v1alpha1.GroupVersion.WithResource("dbtschedules").GroupResource(), o.GetName(), fmt.Errorf("somebody wrote it"))
		}
		return patch(ctx, c, sub, o, p, opts...)
	}
	b.r = New(b.clock, interceptor.NewClient(b.client, funcs), b.client, b.events, metrics.NewSchedules(prometheus.NewRegistry(), b.clock.Now))
	b.clock.SetTime(at(9, 0))
	for range 3 {
		if _, result := b.pass("s"); result.RequeueAfter != conflictRetry {
			t.Errorf("again in %s", result.RequeueAfter)
		}
	}
	s := b.settle("s")
	b.has("once", "09:00")
	if s.Status.MissedTotal != 3 {
		t.Errorf("%d missed, want 3", s.Status.MissedTotal)
	}
}

// For random specs, clocks, ends of runs and crash points, on a client that keeps objects: no tick makes two runs, no due
// tick within the deadline is lost, and runs and missed ticks add up to all ticks there were.
func TestRandomDays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := testutil.MakeDbtSchedule("s", rapid.SampledFrom([]string{"* * * * *", "*/20 * * * *", "0 * * * *", "30 1-3 * * *"}).Draw(t, "line")).
			Namespace("ns").UID(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "uid")).Created(start).
			Zone(rapid.SampledFrom([]string{"Etc/UTC", "America/New_York", "Australia/Lord_Howe"}).Draw(t, "zone")).
			Policy(rapid.SampledFrom([]v1alpha1.ScheduleConcurrencyPolicy{v1alpha1.ScheduleAllow, v1alpha1.ScheduleForbid, v1alpha1.ScheduleReplace}).Draw(t, "policy")).
			CatchUp(rapid.SampledFrom([]v1alpha1.CatchUpPolicy{v1alpha1.CatchUpLatest, v1alpha1.CatchUpAll, v1alpha1.CatchUpNone}).Draw(t, "catch-up"), rapid.Int32Range(1, 5).Draw(t, "limit")).
			Jitter(rapid.SampledFrom([]int32{0, 0, 30, 3600}).Draw(t, "jitter")).
			History(rapid.Int32Range(0, 2).Draw(t, "successful"), rapid.Int32Range(0, 2).Draw(t, "failed"))
		if rapid.Bool().Draw(t, "has a deadline") {
			s.Deadline(rapid.SampledFrom([]int64{10, 600, 7200}).Draw(t, "deadline"))
		}
		b := benchOf(context.Background(), t, shop(), s.Obj())
		for range rapid.IntRange(3, 15).Draw(t, "steps") {
			b.clock.SetTime(b.clock.Now().Add(rapid.SampledFrom([]time.Duration{0, time.Second, 20 * time.Minute, time.Hour, 30 * time.Hour, -10 * time.Minute}).Draw(t, "later")))
			b.dies, b.applied = 0, rapid.Bool().Draw(t, "applied")
			if rapid.Bool().Draw(t, "dies") {
				b.dies = b.writes + rapid.IntRange(1, 4).Draw(t, "at write")
			}
			for range rapid.IntRange(0, 4).Draw(t, "passes") {
				b.pass("s")
			}
			b.endSome(rapid.SampledFrom([]v1alpha1.Phase{"", good, bad, cancelled}).Draw(t, "end"))
		}
		b.dies = 0
		checkDays(t, b)
	})
}

// endSome ends all active runs.
func (b *bench) endSome(phase v1alpha1.Phase) {
	b.Helper()
	for _, run := range b.list() {
		if phase != "" && !run.Status.Phase.Finished() {
			b.end(run.Name, phase)
		}
	}
}

func checkDays(t *rapid.T, b *bench) {
	// The clock may have been set back: it comes to where it was.
	b.clock.SetTime(b.clock.Now().Add(3 * time.Hour))
	b.settle("s")
	for range 12 {
		b.endSome(good)
		b.settle("s")
	}
	s, _ := b.pass("s")
	ticks, err := schedule.Parse(s.Spec.Schedule, s.Spec.TimeZone)
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range b.made {
		if n != 1 {
			t.Errorf("%s was made %d times", name, n)
		}
	}
	newest := settled(&s.Status)
	if got, all := int64(len(b.made))+s.Status.MissedTotal, ticks.Count(start, newest); !newest.IsZero() && got != all {
		t.Errorf("%d runs and %d missed ticks make %d, of %d", len(b.made), s.Status.MissedTotal, got, all)
	}
	now := b.clock.Now().Add(-schedule.Jitter(s.UID, s.Spec.JitterSeconds))
	due := ticks.Newest(start, now, 1)
	if len(due) == 0 || s.Spec.CatchUp.Policy == v1alpha1.CatchUpNone {
		return
	}
	late := now.Sub(due[0])
	if d := s.Spec.StartingDeadlineSeconds; (d == nil || late <= time.Duration(*d)*time.Second) && b.made[schedule.RunName("s", due[0])] != 1 {
		t.Errorf("the newest tick, %s, is %s late and has no run; made %v", due[0], late, b.made)
	}
	kept := map[bool]int{}
	for _, run := range b.list() {
		kept[run.Status.Phase == good]++
	}
	if kept[true] > int(*s.Spec.SuccessfulRunsHistoryLimit) || kept[false] > int(*s.Spec.FailedRunsHistoryLimit) {
		t.Errorf("history is %q", b.runs())
	}
}

// A namespace of schedules does not mix up its runs.
func TestNeighbours(t *testing.T) {
	other := testutil.MakeDbtSchedule("s-1", "30 * * * *").Namespace("ns").UID("other").Created(start).Obj()
	b := newBench(t, shop(), hourly().Obj(), other)
	b.goTo(at(6, 0), "s")
	b.goTo(at(6, 30), "s-1")
	s := b.goTo(at(7, 0), "s")
	if !slices.Equal(s.Status.Active, []string{"s-29925000"}) {
		t.Errorf("active are %v", s.Status.Active)
	}
	b.has("its own alone is waited for", "06:00 06:30")
}

// A run goes only when its end is recorded: one that went before would leave no trace of its end if the process died
// between the two.
func TestEndIsRecordedBeforeTheRunGoes(t *testing.T) {
	b := newBench(t, shop(), hourly().History(0, 0).Obj())
	b.goTo(at(6, 0), "s")
	b.end("06:00", good)
	b.dies, b.applied = b.writes+1, false
	b.pass("s")
	b.has("the status could not be written", "06:00+")
	s, _ := b.pass("s")
	b.has("it is written", "06:00+")
	if s.Status.LastSucceededScheduleTime == nil {
		t.Errorf("status %+v", s.Status)
	}
	b.pass("s")
	b.has("and the run may go", "")
	// A run that was made by a pass that died is not recorded either: without it the tick would have another.
	b.dies, b.applied = b.writes+2, false
	b.clock.SetTime(at(7, 0))
	b.pass("s")
	b.end("07:00", bad)
	b.settle("s")
	if b.has("gone", ""); b.made["s-29925060"] != 1 {
		t.Errorf("made %v", b.made)
	}
}

// The same before the status names the run: the process knows what it made.
func TestRunThatNeitherCacheNorStatusShow(t *testing.T) {
	b := newBench(t, shop(), hourly().Obj())
	b.goTo(at(5, 45), "s")
	blind := interceptor.NewClient(b.client, interceptor.Funcs{
		Create: b.funcs().Create,
		List:   func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return nil },
	})
	b.r = New(b.clock, blind, b.client, events.NewFakeRecorder(100), metrics.NewSchedules(prometheus.NewRegistry(), b.clock.Now))
	b.clock.SetTime(at(6, 0))
	if s, _ := b.pass("s"); s.Status.LastScheduleTime != nil {
		t.Fatal("the status was patched: the test is wrong")
	}
	b.goTo(at(7, 0), "s")
	b.has("06:00 is active", "06:00")
}

// A tick costs one write before the next schedule's, and its recording comes after other ticks that are due.
func TestFiringComesBeforeRecording(t *testing.T) {
	b := newBench(t, shop(), hourly().Author("ada").Obj())
	b.settle("s")
	_, waiting := b.pass("s")
	before := b.writes
	b.clock.SetTime(at(6, 0))
	s, fired := b.pass("s")
	if b.writes != before+1 || s.Status.LastScheduleTime != nil {
		t.Errorf("%d writes, recorded %v; want the run alone", b.writes-before, s.Status.LastScheduleTime)
	}
	b.has("made at once", "06:00")
	if tick, recording := ptr.Deref(waiting.Priority, 0), ptr.Deref(fired.Priority, 0); tick <= 0 || recording >= 0 {
		t.Errorf("priorities: a tick's %d, a recording's %d; want the one above, the other below that of a watch event, 0", tick, recording)
	}
	if s = b.settle("s"); s.Status.LastScheduleTime == nil || len(s.Status.Active) != 1 || b.writes != before+2 {
		t.Errorf("%d writes, status %+v; want one more, with the run", b.writes-before, s.Status)
	}
}
