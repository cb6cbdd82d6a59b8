package schedule_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/schedule"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// shelf plays the controller: it makes the runs of a backfill, and may forget what it did.
type shelf struct {
	*testing.T
	schedule *v1alpha1.DbtSchedule
	status   *v1alpha1.BackfillStatus
	runs     []*v1alpha1.DbtRun
	now      time.Time
}

// pass decides and makes the runs; forgets says that the process died before it recorded them.
func (s *shelf) pass(forgets bool) int {
	s.Helper()
	d, err := schedule.DecideBackfill(schedule.BackfillInput{Spec: &s.schedule.Spec, Generation: s.schedule.Generation, Status: s.status, Runs: s.runs, Now: s.now})
	if err != nil {
		s.Fatal(err)
	}
	for _, slot := range d.Slots {
		s.runs = append(s.runs, schedule.Run(s.schedule, schedule.BackfillRunName("s", d.Status.ID, slot), v1alpha1.TriggerBackfill, slot))
	}
	if !forgets {
		s.status = d.Status
	}
	return len(d.Slots)
}

// settle passes until nothing more is made.
func (s *shelf) settle() {
	for s.pass(false) > 0 || s.status.CompletionTime == nil && s.status.Active < int32(s.active()) {
	}
	s.pass(false)
}

func (s *shelf) active() int {
	n := 0
	for _, r := range s.runs {
		if !r.Status.Phase.Finished() {
			n++
		}
	}
	return n
}

func (s *shelf) end(phase v1alpha1.Phase) {
	for _, r := range s.runs {
		if !r.Status.Phase.Finished() {
			r.Status.Phase = phase
			return
		}
	}
}

func (s *shelf) ticks() string {
	out := ""
	for _, r := range s.runs {
		out += r.Spec.Trigger.ScheduledTime.UTC().Format("02 ")
	}
	return out
}

func newShelf(t *testing.T, most int32) *shelf {
	from := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	s := testutil.MakeDbtSchedule("s", "0 6 * * *").Backfill(from, from.AddDate(0, 0, 5).Add(6*time.Hour), most).Obj()
	s.Generation = 7
	return &shelf{T: t, schedule: s, now: six}
}

func TestBackfill(t *testing.T) {
	s := newShelf(t, 2)
	s.pass(false)
	want := &v1alpha1.BackfillStatus{ID: 7, From: s.schedule.Spec.Backfill.From, To: s.schedule.Spec.Backfill.To, RequestedTo: s.schedule.Spec.Backfill.To, Total: 6, Phase: v1alpha1.PhaseRunning}
	if diff := cmp.Diff(want, s.status); diff != "" {
		t.Errorf("at first (-want +got):\n%s", diff)
	}
	if len(s.runs) != 0 {
		t.Fatal("runs are made before their names are recorded")
	}
	for range 6 {
		s.settle()
		if n := s.active(); n > 2 {
			t.Fatalf("%d are active", n)
		}
		s.end(v1alpha1.PhaseSucceeded)
	}
	s.settle()
	if got := s.ticks(); got != "02 03 04 05 06 07 " {
		t.Errorf("ticks are %s", got)
	}
	if s.status.Phase != v1alpha1.PhaseSucceeded || s.status.Started != 6 || s.status.CompletionTime == nil || s.status.Failed != "" {
		t.Errorf("at last %+v", s.status)
	}
	// Another range is another backfill, and the same ticks have other names.
	s.schedule.Generation = 8
	s.schedule.Spec.Backfill.To.Time = s.schedule.Spec.Backfill.From.AddDate(0, 0, 1)
	s.settle()
	if last := s.runs[len(s.runs)-1]; last.Name != "s-b8-29893320" {
		t.Errorf("the last run is %s", last.Name)
	}
	s.schedule.Spec.Backfill = nil
	s.pass(false)
	if s.status != nil {
		t.Error("a backfill that was taken back is still there")
	}
}

func TestBackfillThatFails(t *testing.T) {
	for policy, want := range map[v1alpha1.BackfillFailurePolicy]struct {
		runs  int
		phase v1alpha1.Phase
	}{
		v1alpha1.BackfillStop:     {1, v1alpha1.PhaseFailed},
		v1alpha1.BackfillContinue: {6, v1alpha1.PhaseFailed},
	} {
		s := newShelf(t, 1)
		s.schedule.Spec.Backfill.OnFailure = policy
		s.pass(false)
		s.settle()
		s.end(v1alpha1.PhaseFailed)
		for range 6 {
			s.settle()
			s.end(v1alpha1.PhaseSucceeded)
		}
		s.settle()
		if len(s.runs) != want.runs || s.status.Phase != want.phase || s.status.Failed != "s-b7-29893320" || s.status.CompletionTime == nil {
			t.Errorf("%s: %d runs, %+v", policy, len(s.runs), s.status)
		}
	}
}

// A process that dies before it records what it made makes nothing twice and leaves nothing out.
func TestBackfillOfAProcessThatDies(t *testing.T) {
	s := newShelf(t, 2)
	s.pass(true)
	s.pass(false)
	for range 8 {
		s.pass(true)
		s.settle()
		if n := s.active(); n > 2 {
			t.Fatalf("%d are active", n)
		}
		s.end(v1alpha1.PhaseSucceeded)
	}
	s.settle()
	if got := s.ticks(); got != "02 03 04 05 06 07 " || s.status.Started != 6 {
		t.Errorf("ticks are %s, status %+v", got, s.status)
	}
}

// What lies in the future is the schedule's own; an empty range is done at once.
func TestBackfillOfTheFuture(t *testing.T) {
	s := newShelf(t, 50)
	s.schedule.Spec.Backfill.To.Time = s.now.AddDate(1, 0, 0)
	s.pass(false)
	s.now = s.now.AddDate(0, 1, 0)
	s.settle()
	if n := len(s.runs); n != 23 {
		t.Errorf("%d runs, want those up to the start of the backfill", n)
	}
	s = newShelf(t, 1)
	s.schedule.Spec.Backfill.To.Time = s.schedule.Spec.Backfill.From.Add(time.Minute)
	s.pass(false)
	s.settle()
	if s.status.Phase != v1alpha1.PhaseSucceeded || s.status.Total != 0 || len(s.runs) != 0 {
		t.Errorf("an empty range: %+v", s.status)
	}
}
