// Package history says which runs of a schedule are kept no longer. It knows runs, their ends and limits; it never knows
// a client or a clock.
package history

import (
	"slices"
	"strings"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Limits are how many runs are kept: of those that succeeded, and of those that failed or were cancelled.
type Limits struct {
	Successful, Failed int
}

// defaultLimit is what the CRD's markers say as well.
const defaultLimit = 3

// LimitsOf returns the limits of a schedule.
func LimitsOf(spec *v1alpha1.DbtScheduleSpec) Limits {
	of := func(limit *int32) int {
		if limit == nil {
			return defaultLimit
		}
		return max(0, int(*limit))
	}
	return Limits{Successful: of(spec.SuccessfulRunsHistoryLimit), Failed: of(spec.FailedRunsHistoryLimit)}
}

// Excess returns the runs that are over the limits, oldest first. The newest by creation are kept, runs that are not
// over, or are being deleted, are left alone and do not count.
func Excess(runs []*v1alpha1.DbtRun, limits Limits) []*v1alpha1.DbtRun {
	var successful, failed []*v1alpha1.DbtRun
	for _, run := range runs {
		switch {
		case !run.DeletionTimestamp.IsZero():
		case run.Status.Phase == v1alpha1.PhaseSucceeded:
			successful = append(successful, run)
		case run.Status.Phase.Finished():
			failed = append(failed, run)
		}
	}
	excess := append(oldest(successful, limits.Successful), oldest(failed, limits.Failed)...)
	slices.SortFunc(excess, Older)
	return excess
}

// oldest returns all but the newest.
func oldest(runs []*v1alpha1.DbtRun, keep int) []*v1alpha1.DbtRun {
	keep = max(0, keep)
	if len(runs) <= keep {
		return nil
	}
	slices.SortFunc(runs, Older)
	return runs[:len(runs)-keep]
}

// Older orders runs by their creation, and those of the same second by their tick and name.
func Older(a, b *v1alpha1.DbtRun) int {
	if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
		return c
	}
	if a.Spec.Trigger != nil && b.Spec.Trigger != nil && a.Spec.Trigger.ScheduledTime != nil && b.Spec.Trigger.ScheduledTime != nil {
		if c := a.Spec.Trigger.ScheduledTime.Compare(b.Spec.Trigger.ScheduledTime.Time); c != 0 {
			return c
		}
	}
	return strings.Compare(a.Name, b.Name)
}
