package testutil

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// ScheduleWrapper builds a DbtSchedule.
type ScheduleWrapper struct{ v1alpha1.DbtSchedule }

// MakeDbtSchedule begins a DbtSchedule of a cron line, whose runs are of DbtProject shop, in no namespace.
func MakeDbtSchedule(name, line string) *ScheduleWrapper {
	w := &ScheduleWrapper{v1alpha1.DbtSchedule{ObjectMeta: metav1.ObjectMeta{Name: name}}}
	w.Spec.Schedule = line
	w.Spec.RunTemplate.Spec.ProjectRef = &v1alpha1.ProjectReference{Name: "shop"}
	return w
}

// Obj returns a copy of the schedule.
func (w *ScheduleWrapper) Obj() *v1alpha1.DbtSchedule { return w.DeepCopy() }

// Clone returns a wrapper that shares nothing with this one.
func (w *ScheduleWrapper) Clone() *ScheduleWrapper { return &ScheduleWrapper{*w.DeepCopy()} }

// Namespace sets the namespace.
func (w *ScheduleWrapper) Namespace(ns string) *ScheduleWrapper {
	w.DbtSchedule.Namespace = ns
	return w
}

// UID sets what an API server would.
func (w *ScheduleWrapper) UID(uid string) *ScheduleWrapper {
	w.DbtSchedule.UID = types.UID(uid)
	return w
}

// Created sets what an API server would.
func (w *ScheduleWrapper) Created(at time.Time) *ScheduleWrapper {
	w.CreationTimestamp = metav1.NewTime(at)
	return w
}

// Author sets who the API server says last changed the spec.
func (w *ScheduleWrapper) Author(name string, groups ...string) *ScheduleWrapper {
	w.Spec.RequestedBy = &v1alpha1.Requester{Username: name, Groups: groups}
	return w
}

// Zone sets the time zone.
func (w *ScheduleWrapper) Zone(zone string) *ScheduleWrapper {
	w.Spec.TimeZone = zone
	return w
}

// Suspend suspends it.
func (w *ScheduleWrapper) Suspend() *ScheduleWrapper {
	w.Spec.Suspend = Ptr(true)
	return w
}

// Policy sets the concurrency policy.
func (w *ScheduleWrapper) Policy(p v1alpha1.ScheduleConcurrencyPolicy) *ScheduleWrapper {
	w.Spec.ConcurrencyPolicy = p
	return w
}

// CatchUp sets the catch-up policy.
func (w *ScheduleWrapper) CatchUp(p v1alpha1.CatchUpPolicy, limit int32) *ScheduleWrapper {
	w.Spec.CatchUp = v1alpha1.CatchUp{Policy: p, Limit: &limit}
	return w
}

// Deadline sets startingDeadlineSeconds.
func (w *ScheduleWrapper) Deadline(seconds int64) *ScheduleWrapper {
	w.Spec.StartingDeadlineSeconds = &seconds
	return w
}

// Jitter sets jitterSeconds.
func (w *ScheduleWrapper) Jitter(seconds int32) *ScheduleWrapper {
	w.Spec.JitterSeconds = &seconds
	return w
}

// History sets both history limits.
func (w *ScheduleWrapper) History(successful, failed int32) *ScheduleWrapper {
	w.Spec.SuccessfulRunsHistoryLimit, w.Spec.FailedRunsHistoryLimit = &successful, &failed
	return w
}

// OnProjectChange makes a deploy make a run.
func (w *ScheduleWrapper) OnProjectChange() *ScheduleWrapper {
	w.Spec.OnProjectChange = Ptr(true)
	return w
}

// After adds a schedule that comes first.
func (w *ScheduleWrapper) After(name string, when v1alpha1.UpstreamOutcome) *ScheduleWrapper {
	w.Spec.After = append(w.Spec.After, v1alpha1.Upstream{Schedule: name, When: when})
	return w
}

// Template sets the spec of the runs.
func (w *ScheduleWrapper) Template(run *RunWrapper) *ScheduleWrapper {
	w.Spec.RunTemplate.Spec = *run.Spec.DeepCopy()
	return w
}

// RunLabel adds a label to the runs.
func (w *ScheduleWrapper) RunLabel(key, value string) *ScheduleWrapper {
	if w.Spec.RunTemplate.Metadata.Labels == nil {
		w.Spec.RunTemplate.Metadata.Labels = map[string]string{}
	}
	w.Spec.RunTemplate.Metadata.Labels[key] = value
	return w
}

// RunAnnotation adds an annotation to the runs.
func (w *ScheduleWrapper) RunAnnotation(key, value string) *ScheduleWrapper {
	if w.Spec.RunTemplate.Metadata.Annotations == nil {
		w.Spec.RunTemplate.Metadata.Annotations = map[string]string{}
	}
	w.Spec.RunTemplate.Metadata.Annotations[key] = value
	return w
}

// Backfill asks for the ticks of a range.
func (w *ScheduleWrapper) Backfill(from, to time.Time, most int32) *ScheduleWrapper {
	w.Spec.Backfill = &v1alpha1.Backfill{From: metav1.NewTime(from), To: metav1.NewTime(to), MaxActive: &most, OnFailure: v1alpha1.BackfillStop}
	return w
}
