package schedule

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// rebase keeps the time since which the ticks of the cron line count, and returns the later of it and since. A line or
// zone that was edited counts from its edit: ticks that it would have had before are not missed, and those that the old
// one had are. One that both have, and that is due as the edit comes, is not lost between them.
func (d *Decision) rebase(in Input, ticks Ticks, since time.Time) time.Time {
	before := in.Ticking
	d.Ticking = &v1alpha1.Ticking{Schedule: in.Spec.Schedule, TimeZone: in.Spec.TimeZone, Since: metav1.NewTime(in.Created)}
	switch {
	case before == nil:
	case before.Schedule == in.Spec.Schedule && before.TimeZone == in.Spec.TimeZone:
		d.Ticking.Since = before.Since
	default:
		old := latest(since, before.Since.Time)
		d.Ticking.Since = metav1.NewTime(d.edit(in, ticks, old))
	}
	return latest(since, d.Ticking.Since.Time)
}

// edit returns the time since which the ticks of an edited line count, and counts those of the old line that were not
// dealt with as missed.
func (d *Decision) edit(in Input, ticks Ticks, since time.Time) time.Time {
	edited := in.Edited
	if edited.IsZero() || edited.After(in.Now) {
		edited = in.Now
	}
	edited = latest(edited, since).Truncate(time.Second)
	old, err := Parse(in.Ticking.Schedule, in.Ticking.TimeZone)
	if err != nil {
		return edited
	}
	// What the jitter held back is pending as well.
	pending := old.Newest(since, edited, 1)
	if len(pending) == 1 && ticks.Has(pending[0]) {
		edited = pending[0].Add(-time.Second)
	}
	d.miss(old, since, edited, MissedEdited)
	return edited
}
