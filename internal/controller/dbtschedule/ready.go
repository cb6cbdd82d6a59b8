package dbtschedule

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/schedule"
	"github.com/dbt-operator/dbt-operator/internal/text"
)

// ready says whether the schedule is valid and ticking: the first thing that is wrong with it, or what it waits for.
func ready(seen *observed, d decision, done outcome) conditions.Truth {
	no := func(reason, message string) conditions.Truth {
		return conditions.Truth{Status: metav1.ConditionFalse, Reason: reason, Message: text.Sentence(message)}
	}
	yes := func(reason, message string) conditions.Truth {
		return conditions.Truth{Status: metav1.ConditionTrue, Reason: reason, Message: text.Sentence(message)}
	}
	taken := seen.taken
	if len(done.taken) > 0 {
		taken = done.taken[len(done.taken)-1]
	}
	switch {
	case d.invalid != nil:
		return no(v1alpha1.ReasonInvalidSpec, d.invalid.Error())
	case seen.loop:
		return no(v1alpha1.ReasonUpstreamLoop, "spec.after: the schedules named there wait for this one, so that none of them ever runs: take one of them out of another's spec.after")
	case len(seen.upstreamMissing) > 0:
		return no(v1alpha1.ReasonUpstreamNotFound, fmt.Sprintf("spec.after: there is no DbtSchedule %s: create it, or take it out", text.Names(seen.upstreamMissing)))
	case done.refused != "":
		return no(v1alpha1.ReasonRunRefused, "The API server refuses the run, which is tried again: "+done.refused)
	case taken != "":
		return no(v1alpha1.ReasonNameTaken, fmt.Sprintf("DbtRun %s exists and is not of this schedule, so its tick has no run: delete it", taken))
	case seen.denied():
		return no(v1alpha1.ReasonDenied, "The schedule's author may not run its project, so no runs are made: see the condition Authorized")
	case seen.projectMissing != "":
		return no(v1alpha1.ReasonProjectNotFound, fmt.Sprintf("There is no DbtProject %s: create it, or name another in spec.runTemplate.spec.projectRef; runs made meanwhile fail", seen.projectMissing))
	case d.ticks.Reason == schedule.ReasonClockBehind:
		return no(v1alpha1.ReasonClockBehind, "The newest tick lies in the future of the operator's clock, which was set back or runs late: the schedule goes on after it; delete and create the schedule to go on at once")
	case d.ticks.Reason == schedule.ReasonSuspended:
		return yes(v1alpha1.ReasonScheduleSuspended, "The schedule is suspended: spec.suspend is set")
	case d.ticks.Reason == schedule.ReasonActive:
		return yes(v1alpha1.ReasonTicking, "A tick waits for the end of the active run, as concurrencyPolicy is Forbid")
	case d.ticks.Reason == schedule.ReasonUpstream:
		return yes(v1alpha1.ReasonTicking, fmt.Sprintf("A tick waits for DbtSchedule %s", text.Names(d.ticks.Waiting)))
	}
	return yes(v1alpha1.ReasonTicking, "Runs are made as scheduled")
}
