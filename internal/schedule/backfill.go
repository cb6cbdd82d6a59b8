package schedule

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// BackfillInput is all that a decision on a backfill is made of.
type BackfillInput struct {
	Spec *v1alpha1.DbtScheduleSpec
	// Generation is that of the spec: the id of a backfill that begins now.
	Generation int64
	// Status is how far the backfill was; nil at first.
	Status *v1alpha1.BackfillStatus
	// Runs are runs of type Backfill that the schedule has, of this backfill and of others.
	Runs []*v1alpha1.DbtRun
	// Denied says that the author may not run what the backfill runs: it waits.
	Denied bool
	Now    time.Time
}

// BackfillDecision is what a backfill does next.
type BackfillDecision struct {
	// Slots are the ticks whose runs are to be made, oldest first.
	Slots []time.Time
	// Status is how far the backfill is, without Slots; nil without a backfill.
	Status *v1alpha1.BackfillStatus
	// Held says that ticks wait for the author to have the right to run them.
	Held bool
}

// DecideBackfill reports what a backfill does next. It begins with a status that says so and no run: that is recorded
// before the first run is made, so that the names of its runs are known whatever happens.
func DecideBackfill(in BackfillInput) (BackfillDecision, error) {
	want := in.Spec.Backfill
	if want == nil {
		return BackfillDecision{}, nil
	}
	ticks, err := Parse(in.Spec.Schedule, in.Spec.TimeZone)
	if err != nil {
		return BackfillDecision{}, err
	}
	if in.Status == nil || !in.Status.From.Equal(&want.From) || !in.Status.RequestedTo.Equal(&want.To) {
		to := metav1.NewTime(earliest(want.To.Time, in.Now.Truncate(time.Second)))
		return BackfillDecision{Status: &v1alpha1.BackfillStatus{
			ID: in.Generation, From: want.From, To: to, RequestedTo: want.To, Phase: v1alpha1.PhaseRunning,
			Total: ticks.Count(want.From.Add(-time.Second), to.Time),
		}}, nil
	}
	s := in.Status.DeepCopy()
	follow(s, in.Runs)
	return proceed(in, s, ticks), nil
}

// follow takes up what the backfill's runs have come to, also those that a pass made and did not record.
func follow(s *v1alpha1.BackfillStatus, runs []*v1alpha1.DbtRun) {
	s.Active = 0
	from, failed := cursor(s), time.Time{}
	for _, run := range runs {
		t := run.Spec.Trigger
		if t == nil || t.ScheduledTime == nil || t.ScheduleRef == nil || run.Name != BackfillRunName(t.ScheduleRef.Name, s.ID, t.ScheduledTime.Time) {
			continue
		}
		if t.ScheduledTime.After(from) {
			s.Started++
			if s.LastScheduleTime == nil || s.LastScheduleTime.Before(t.ScheduledTime) {
				s.LastScheduleTime = t.ScheduledTime.DeepCopy()
			}
		}
		switch phase := run.Status.Phase; {
		case !phase.Finished():
			s.Active++
		case phase != v1alpha1.PhaseSucceeded && t.ScheduledTime.After(failed):
			s.Failed, failed = run.Name, t.ScheduledTime.Time
		}
	}
}

// proceed says which runs of a backfill come next, and whether it is over.
func proceed(in BackfillInput, s *v1alpha1.BackfillStatus, ticks Ticks) BackfillDecision {
	d, want := BackfillDecision{Status: s}, in.Spec.Backfill
	stopped := s.Failed != "" && want.OnFailure != v1alpha1.BackfillContinue
	if !stopped {
		d.Slots = oldestTicks(ticks, cursor(s), s.To.Time, activeLimit(want)-int(s.Active))
	}
	if d.Held = in.Denied && len(d.Slots) > 0; d.Held {
		d.Slots = nil
	}
	over := s.Active == 0 && len(d.Slots) == 0 && !d.Held
	switch {
	case !over:
		s.Phase, s.CompletionTime = v1alpha1.PhaseRunning, nil
	case s.CompletionTime == nil:
		at := metav1.NewTime(in.Now)
		s.CompletionTime = &at
		s.Phase = v1alpha1.PhaseSucceeded
		if s.Failed != "" {
			s.Phase = v1alpha1.PhaseFailed
		}
	}
	return d
}

// cursor is the time after which ticks of a backfill have no run yet.
func cursor(s *v1alpha1.BackfillStatus) time.Time {
	if s.LastScheduleTime != nil {
		return s.LastScheduleTime.Time
	}
	return s.From.Add(-time.Second)
}

func activeLimit(want *v1alpha1.Backfill) int {
	if want.MaxActive == nil {
		return 1
	}
	return int(*want.MaxActive)
}

func oldestTicks(ticks Ticks, from, upTo time.Time, n int) []time.Time {
	var out []time.Time
	for at := from; len(out) < n; {
		at = ticks.Next(at)
		if at.IsZero() || at.After(upTo) {
			break
		}
		out = append(out, at)
	}
	return out
}

// Interval returns the interval of a tick: from the tick before to the tick itself.
func (t Ticks) Interval(tick time.Time) (start, end time.Time) {
	before, ok := t.previous(tick.Unix()-1, -farthest)
	if !ok {
		return tick, tick
	}
	return t.time(before), tick
}
