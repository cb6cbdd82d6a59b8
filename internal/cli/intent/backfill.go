package intent

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Range is a backfill, as a command line puts it.
type Range struct {
	// From and To are days (2026-10-01), in the schedule's time zone, or times (RFC 3339).
	From, To        string
	MaxActive       int32
	OnFailure       string
	EventTimeWindow bool
}

// Backfill returns the backfill of a range for a schedule. It refuses one that would do nothing, or break one off.
func Backfill(s *v1alpha1.DbtSchedule, r Range) (*v1alpha1.Backfill, error) {
	if s.Spec.Schedule == "" {
		return nil, fmt.Errorf("DbtSchedule %q has no cron line: a backfill makes the runs of its ticks", s.Name)
	}
	zone, err := time.LoadLocation(s.Spec.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("DbtSchedule %q has a time zone that is not known here (%q): give times such as 2026-10-01T00:00:00Z", s.Name, s.Spec.TimeZone)
	}
	from, _, err := moment("--from", r.From, zone)
	if err != nil {
		return nil, err
	}
	to, day, err := moment("--to", r.To, zone)
	if err != nil {
		return nil, err
	}
	if day {
		// The whole day.
		to = to.AddDate(0, 0, 1).Add(-time.Second)
	}
	if to.Before(from) {
		return nil, fmt.Errorf("--to: found %s, which is before --from, %s: change one of them", to.Format(time.RFC3339), from.Format(time.RFC3339))
	}
	policy := v1alpha1.BackfillFailurePolicy(r.OnFailure)
	if policy != v1alpha1.BackfillStop && policy != v1alpha1.BackfillContinue {
		return nil, fmt.Errorf("--on-failure: found %q: must be %s or %s", r.OnFailure, v1alpha1.BackfillStop, v1alpha1.BackfillContinue)
	}
	if r.MaxActive < 1 || r.MaxActive > 50 {
		return nil, fmt.Errorf("--max-active: found %d: must be 1 to 50", r.MaxActive)
	}
	b := &v1alpha1.Backfill{From: metav1.NewTime(from.UTC()), To: metav1.NewTime(to.UTC()), MaxActive: &r.MaxActive, OnFailure: policy}
	if r.EventTimeWindow {
		b.EventTimeWindow = ptr.To(true)
	}
	return b, free(s, b)
}

// free returns an error if a schedule's backfill is in the way of another.
func free(s *v1alpha1.DbtSchedule, b *v1alpha1.Backfill) error {
	now, status := s.Spec.Backfill, s.Status.Backfill
	switch {
	case now == nil:
		return nil
	case now.From.Equal(&b.From) && now.To.Equal(&b.To):
		return fmt.Errorf("DbtSchedule %q has a backfill of just this range: to make its runs again, remove it first with `kubectl dbt backfill %s --stop`", s.Name, s.Name)
	case status == nil || status.CompletionTime == nil && status.Phase != v1alpha1.PhaseSucceeded && status.Phase != v1alpha1.PhaseFailed:
		return fmt.Errorf("DbtSchedule %q has a backfill under way, from %s to %s: wait for its end, or stop it first with `kubectl dbt backfill %s --stop`",
			s.Name, now.From.UTC().Format(time.RFC3339), now.To.UTC().Format(time.RFC3339), s.Name)
	}
	return nil
}

// moment reads a day or a time, and says whether it was a day.
func moment(flag, given string, zone *time.Location) (at time.Time, day bool, err error) {
	if at, err := time.ParseInLocation(time.DateOnly, given, zone); err == nil {
		return at, true, nil
	}
	at, err = time.Parse(time.RFC3339, given)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("%s: found %q: give a day such as 2026-10-01, or a time such as 2026-10-01T06:00:00Z", flag, given)
	}
	return at, false, nil
}
