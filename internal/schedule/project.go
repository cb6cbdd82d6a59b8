package schedule

import (
	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// ProjectInput is all that a decision on a change of the project is made of.
type ProjectInput struct {
	Spec *v1alpha1.DbtScheduleSpec
	// Observed is the state that was dealt with; nil at first.
	Observed *v1alpha1.ObservedProject
	// Current is the state as it is; nil when there is no such project.
	Current *v1alpha1.ObservedProject
	// Active is how many runs are not over.
	Active int
	// Denied says that the author may not run the project: a change that is due has no run.
	Denied bool
}

// ProjectDecision is what a schedule does about a change of its project.
type ProjectDecision struct {
	// Action is Wait, Start, Replace, or Skip for a change that has no run.
	Action Action
	// Observed is the state that is dealt with, once the run of Start or Replace is made.
	Observed *v1alpha1.ObservedProject
}

// DecideProject reports what a DbtSchedule does about a change of its project. Of several changes that come before a run
// can be made, the newest has one.
func DecideProject(in ProjectInput) ProjectDecision {
	if in.Spec.OnProjectChange == nil || !*in.Spec.OnProjectChange {
		return ProjectDecision{Action: Wait}
	}
	waits := ProjectDecision{Action: Wait, Observed: in.Observed}
	settled := ProjectDecision{Action: Wait, Observed: in.Current}
	due := func(a Action) ProjectDecision {
		if in.Denied {
			a = Skip
		}
		return ProjectDecision{Action: a, Observed: in.Current}
	}
	switch {
	case in.Current == nil:
		return waits
	case in.Observed == nil, in.Observed.Name != in.Current.Name, *in.Observed == *in.Current:
		// The first that is seen, or another project, is no change.
		return settled
	case in.Spec.Suspend != nil && *in.Spec.Suspend:
		if in.Spec.CatchUp.Policy == v1alpha1.CatchUpNone {
			return settled
		}
		return waits
	case in.Active == 0, in.Spec.ConcurrencyPolicy == v1alpha1.ScheduleAllow:
		return due(Start)
	case in.Spec.ConcurrencyPolicy == v1alpha1.ScheduleReplace:
		return due(Replace)
	}
	return waits
}
