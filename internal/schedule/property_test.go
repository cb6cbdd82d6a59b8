package schedule

import (
	"maps"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// ledger plays the operator and its API server: it carries decisions out as the controller does, run by run, and may die
// after each of them, so that what was recorded is less than what was done.
type ledger struct {
	*rapid.T
	in    Input
	ticks Ticks
	// made counts how often a run of each tick was made, by name; an existing name is success. active are not over.
	made   map[string]int
	ofTick map[string]time.Time
	active map[string]bool
	missed int64
	// newest is the latest time the clock ever showed.
	newest time.Time
}

func anySpec(t *rapid.T) *v1alpha1.DbtScheduleSpec {
	limit := int32(rapid.IntRange(1, 12).Draw(t, "limit"))
	spec := &v1alpha1.DbtScheduleSpec{
		Schedule:          rapid.SampledFrom([]string{"* * * * *", "*/5 * * * *", "0 * * * *", "30 1,2 * * *", "15 6 * * 1-5", "@daily", "7,53 */3 1-15 * *"}).Draw(t, "line"),
		TimeZone:          rapid.SampledFrom(restless).Draw(t, "zone"),
		ConcurrencyPolicy: rapid.SampledFrom([]v1alpha1.ScheduleConcurrencyPolicy{v1alpha1.ScheduleAllow, v1alpha1.ScheduleForbid, v1alpha1.ScheduleReplace}).Draw(t, "policy"),
		CatchUp:           v1alpha1.CatchUp{Policy: rapid.SampledFrom([]v1alpha1.CatchUpPolicy{v1alpha1.CatchUpLatest, v1alpha1.CatchUpAll, v1alpha1.CatchUpNone}).Draw(t, "catch-up"), Limit: &limit},
	}
	if rapid.Bool().Draw(t, "has a deadline") {
		deadline := rapid.Int64Range(10, 100000).Draw(t, "deadline")
		spec.StartingDeadlineSeconds = &deadline
	}
	if rapid.Bool().Draw(t, "has a jitter") {
		jitter := rapid.Int32Range(0, 3600).Draw(t, "jitter")
		spec.JitterSeconds = &jitter
	}
	return spec
}

// pass decides once and carries the decision out, up to the step before which the process dies; 0 is none.
func (l *ledger) pass(dies int) {
	l.in.Active, l.in.Made = len(l.active), slices.Collect(maps.Values(l.ofTick))
	d, err := Decide(l.in)
	if err != nil {
		l.Fatal(err)
	}
	for i, slot := range d.Slots {
		if i > 0 && !d.Slots[i-1].Before(slot) || i > 0 && l.in.Spec.ConcurrencyPolicy == v1alpha1.ScheduleForbid {
			l.Fatalf("slots %v", d.Slots)
		}
	}
	if dies == 1 {
		return
	}
	if d.Action == Replace {
		clear(l.active)
	}
	for i, slot := range d.Slots {
		name := RunName("s", slot)
		if l.made[name] == 0 {
			l.made[name]++
			l.ofTick[name] = slot
			l.active[name] = true
			l.check(slot)
		}
		if dies == i+2 {
			return
		}
	}
	for _, m := range d.Missed {
		l.missed += m.Count
	}
	if d.LastMissed.After(l.in.Settled) {
		l.in.Settled = d.LastMissed
	}
	for _, slot := range l.ofTick {
		l.in.Settled = latest(l.in.Settled, slot)
	}
	l.in.Ticking = d.Ticking
}

func (l *ledger) known(slot time.Time) bool { return l.made[RunName("s", slot)] == 1 }

// check holds a run that was just made against what the spec allows.
func (l *ledger) check(slot time.Time) {
	late := l.in.Now.Add(-Jitter(l.in.UID, l.in.Spec.JitterSeconds)).Sub(slot)
	spec := l.in.Spec
	switch {
	case !l.ticks.Has(slot):
		l.Fatalf("%s is no tick", slot)
	case late < 0:
		l.Fatalf("the run of %s was made %s early", slot, -late)
	case !slot.After(l.in.Created):
		l.Fatalf("the run of %s was made though the schedule is younger", slot)
	case spec.StartingDeadlineSeconds != nil && late > time.Duration(*spec.StartingDeadlineSeconds)*time.Second:
		l.Fatalf("the run of %s was made %s late, past the deadline", slot, late)
	case spec.CatchUp.Policy == v1alpha1.CatchUpNone && late > onTime:
		l.Fatalf("the run of %s was made %s late, though missed ones are not made up for", slot, late)
	case spec.ConcurrencyPolicy == v1alpha1.ScheduleForbid && len(l.active) > 1:
		l.Fatalf("%d runs are active, though that is forbidden", len(l.active))
	}
}

// For random specs, clocks and crash points: no tick makes two runs, no due tick within the deadline is lost, and every
// tick is either made or counted as missed.
func TestEveryTickIsMadeOnceOrCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := anySpec(t)
		ticks, err := Parse(spec.Schedule, spec.TimeZone)
		if err != nil {
			t.Fatal(err)
		}
		created := time.Unix(rapid.Int64Range(1262304000, 1893456000).Draw(t, "created"), 0).UTC()
		l := &ledger{
			T: t, ticks: ticks, made: map[string]int{}, ofTick: map[string]time.Time{}, active: map[string]bool{}, newest: created,
			in: Input{Spec: spec, UID: types.UID(rapid.StringN(1, 8, 8).Draw(t, "uid")), Created: created, Now: created},
		}
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"look", "look", "look", "die", "end", "clock back", "suspend"}).Draw(t, "what") {
			case "look":
				ahead := rapid.SampledFrom([]time.Duration{time.Second, time.Minute, time.Hour, 25 * time.Hour, 31 * 24 * time.Hour}).Draw(t, "unit")
				l.in.Now = l.in.Now.Add(ahead * time.Duration(rapid.SampledFrom([]int{1, 2, 3, 5, 8, 13}).Draw(t, "by")) / 3)
				l.pass(0)
			case "die":
				l.in.Now = l.in.Now.Add(rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour, 25 * time.Hour}).Draw(t, "by"))
				l.pass(rapid.IntRange(1, 14).Draw(t, "at"))
			case "end":
				clear(l.active)
			case "clock back":
				// No more than the tolerance, so that it goes on; a clock that is behind is a case of its own.
				l.in.Now = l.in.Now.Add(-time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "back")))
				l.pass(0)
			case "suspend":
				yes := spec.Suspend == nil || !*spec.Suspend
				spec.Suspend = &yes
				l.pass(0)
			}
			l.newest = latest(l.newest, l.in.Now)
		}
		l.settle()
	})
}

// settle lets everything end and checks what is left.
func (l *ledger) settle() {
	l.in.Now, l.in.Spec.Suspend = l.newest, nil
	now := l.in.Now.Add(-Jitter(l.in.UID, l.in.Spec.JitterSeconds))
	before := len(l.made)
	pending := l.ticks.Newest(latest(l.in.Created, l.in.Settled), now, most(l.in.Spec))
	for range 30 {
		clear(l.active)
		l.pass(0)
	}
	for _, tick := range pending {
		if !tick.After(tooLate(l.in.Spec, now)) {
			continue
		}
		if !l.known(tick) {
			l.Errorf("the tick %s is due and within the deadline, and has no run", tick)
		}
	}
	if again := len(l.made); again < before {
		l.Errorf("runs vanished")
	}
	all := l.ticks.Count(l.in.Created, latest(l.in.Created, l.in.Settled))
	if got := int64(len(l.made)) + l.missed; got != all {
		l.Errorf("%d runs and %d missed make %d, of %d ticks", len(l.made), l.missed, got, all)
	}
	for name, n := range l.made {
		if n != 1 {
			l.Errorf("%s was made %d times", name, n)
		}
	}
}
