package dbtschedule

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/schedule"
	"github.com/dbt-operator/dbt-operator/internal/text"
)

// why puts the reasons of missed ticks into words.
var why = map[string]string{
	schedule.MissedLate:      "it was too late for them",
	schedule.MissedCatchUp:   "catchUp takes newer ones only",
	schedule.MissedForbid:    "an earlier run was not over and concurrencyPolicy is Forbid",
	schedule.MissedReplace:   "newer ones replace them",
	schedule.MissedEdited:    "the schedule was edited",
	schedule.MissedNameTaken: "other runs have their names",
	schedule.MissedDenied:    "the schedule's author may not run the project",
}

func (r *Reconciler) createdEvent(s *v1alpha1.DbtSchedule, run *v1alpha1.DbtRun) {
	of := ""
	if who := requester(run.Spec.RequestedBy); who != "" {
		of = " for " + who
	}
	r.recorder.Eventf(s, run, corev1.EventTypeNormal, "RunCreated", "CreateRun", "%s", fmt.Sprintf("Created DbtRun %s (%s)%s.", run.Name, run.Spec.Trigger.Type, of))
}

func (r *Reconciler) cancelledEvent(s *v1alpha1.DbtSchedule, run *v1alpha1.DbtRun) {
	r.recorder.Eventf(s, run, corev1.EventTypeNormal, "RunReplaced", "CancelRun", "%s", fmt.Sprintf("Cancelled DbtRun %s: concurrencyPolicy is Replace.", run.Name))
}

// missedEvent tells of ticks without a run, by one event for all of them.
func (r *Reconciler) missedEvent(s *v1alpha1.DbtSchedule, missed []schedule.Missed) {
	for _, m := range missed {
		verb := "have"
		if m.Count == 1 {
			verb = "has"
		}
		r.recorder.Eventf(s, nil, corev1.EventTypeWarning, "TicksMissed", "CheckTicks", "%s",
			fmt.Sprintf("%s %s no run: %s.", text.Count(int(m.Count), "tick"), verb, why[m.Why]))
	}
}

// conditionEvent tells of a condition that changed. Waiting for a run or a schedule is no change.
func (r *Reconciler) conditionEvent(s *v1alpha1.DbtSchedule, c metav1.Condition) {
	kind, reason := corev1.EventTypeNormal, c.Reason
	if c.Status != metav1.ConditionTrue {
		kind = corev1.EventTypeWarning
	}
	if c.Type == v1alpha1.ConditionAuthorized {
		reason = "Author" + c.Reason
	}
	if c.Type == v1alpha1.ConditionLastRunSucceeded {
		reason = "RunSucceeded"
		if c.Status != metav1.ConditionTrue {
			reason = "RunFailed"
		}
	}
	r.recorder.Eventf(s, nil, kind, reason, "CheckSchedule", "%s", c.Message)
}

// transitions returns the conditions whose status or, of Ready, reason changed. A schedule that is Ready at first is no
// news, nor is one that names no author.
func transitions(before, after *v1alpha1.DbtSchedule) []metav1.Condition {
	var out []metav1.Condition
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionLastRunSucceeded, v1alpha1.ConditionAuthorized} {
		was, is := meta.FindStatusCondition(before.Status.Conditions, kind), meta.FindStatusCondition(after.Status.Conditions, kind)
		switch {
		case is == nil, was == nil && is.Status == metav1.ConditionTrue, is.Reason == v1alpha1.ReasonNoAuthor:
		case was == nil, was.Status != is.Status, kind == v1alpha1.ConditionReady && was.Reason != is.Reason:
			out = append(out, *is)
		}
	}
	return out
}
