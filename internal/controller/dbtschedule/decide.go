package dbtschedule

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/schedule"
)

// decision is all that a schedule does next: about its ticks, its project and its backfill.
type decision struct {
	ticks    schedule.Decision
	project  schedule.ProjectDecision
	backfill schedule.BackfillDecision
	// invalid is what keeps the schedule from making runs.
	invalid error
}

// decide asks each of the pure functions in turn. A schedule that is not valid makes no runs, and what it has recorded
// stays: when it is corrected, it goes on from there.
func decide(seen *observed) decision {
	s := seen.schedule
	stay := decision{
		ticks:    schedule.Decision{},
		project:  schedule.ProjectDecision{Action: schedule.Wait, Observed: s.Status.Project},
		backfill: schedule.BackfillDecision{Status: s.Status.Backfill},
		invalid:  seen.invalid,
	}
	active := len(seen.active())
	denied := seen.authority != nil && seen.authority.Status == metav1.ConditionFalse
	ticks, err := schedule.Decide(schedule.Input{
		Spec: &s.Spec, UID: s.UID, Created: s.CreationTimestamp.Time, Settled: settled(&s.Status), Made: seen.ticks(),
		Ticking: s.Status.Ticking, Edited: edited(s), Active: active, Upstream: seen.upstream, Denied: denied, Now: seen.now,
	})
	if err != nil {
		stay.invalid = err
	}
	if stay.invalid != nil {
		return stay
	}
	if ticks.Action == schedule.Start || ticks.Action == schedule.Replace {
		active++
	}
	backfill, err := schedule.DecideBackfill(schedule.BackfillInput{
		Spec: &s.Spec, Generation: s.Generation, Status: s.Status.Backfill, Runs: seen.backfills, Denied: denied, Now: seen.now,
	})
	if err != nil {
		stay.invalid = err
		return stay
	}
	return decision{
		ticks: ticks, backfill: backfill,
		project: schedule.DecideProject(schedule.ProjectInput{
			Spec: &s.Spec, Observed: s.Status.Project, Current: seen.project, Active: active, Denied: denied,
		}),
	}
}

// fires reports whether runs are to be made.
func (d decision) fires() bool {
	return len(d.ticks.Slots) > 0 || len(d.backfill.Slots) > 0 || d.project.Action == schedule.Start || d.project.Action == schedule.Replace
}

// ticksAlone reports whether the runs to be made are of ticks, and of nothing else.
func (d decision) ticksAlone() bool {
	return len(d.ticks.Slots) > 0 && len(d.backfill.Slots) == 0 && d.project.Action != schedule.Start && d.project.Action != schedule.Replace
}

// replaces reports whether active runs are to be cancelled.
func (d decision) replaces() bool {
	return d.ticks.Action == schedule.Replace || d.project.Action == schedule.Replace
}

// pendingProjectRun is the run of a change of the project that is not recorded as dealt with: it must not be deleted, or
// the change would have another.
func pendingProjectRun(seen *observed) string {
	current, recorded := seen.project, seen.schedule.Status.Project
	if current == nil || recorded == nil || *current == *recorded {
		return ""
	}
	return projectRunName(seen.schedule, current)
}

// mayGo leaves of runs those that may be deleted: the status as it is recorded tells all that is to be told
// of them.
func (o *observed) mayGo(recorded func(*v1alpha1.DbtRun) bool, runs []*v1alpha1.DbtRun) []*v1alpha1.DbtRun {
	return slices.DeleteFunc(runs, func(run *v1alpha1.DbtRun) bool { return !recorded(run) })
}
