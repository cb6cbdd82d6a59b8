package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DbtSchedule makes DbtRuns on time: each tick of its cron line at most once, by a run whose name is the lock. Every
// field may be changed at any time; what is corrected goes on.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=dbtsched,categories=dbt
// +kubebuilder:printcolumn:name="Schedule",type=string,JSONPath=`.spec.schedule`
// +kubebuilder:printcolumn:name="Suspend",type=boolean,JSONPath=`.spec.suspend`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Last Run",type=string,JSONPath=`.status.lastRun.phase`
// +kubebuilder:printcolumn:name="Last Schedule",type=date,JSONPath=`.status.lastScheduleTime`
// +kubebuilder:printcolumn:name="Next",type=string,JSONPath=`.status.nextScheduleTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Author",type=string,priority=1,JSONPath=`.spec.requestedBy.username`
// +kubebuilder:printcolumn:name="Time Zone",type=string,priority=1,JSONPath=`.spec.timeZone`
// +kubebuilder:printcolumn:name="Missed",type=integer,priority=1,JSONPath=`.status.missedTotal`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 52",message="name must be at most 52 characters: the name of a run is the schedule's and up to 11 characters more, 63 in all"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.after) || self.spec.after.all(a, a.schedule != self.metadata.name)",message="after must not name this schedule itself: name the schedules it is to wait for"
type DbtSchedule struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata. The name has at most 52 characters.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what to run, and when.
	// +required
	Spec DbtScheduleSpec `json:"spec,omitzero"`

	// status is what the operator did. Before, observedGeneration is -1: kstatus takes an object without
	// a status for done.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status DbtScheduleStatus `json:"status,omitempty,omitzero"`
}

// DbtScheduleList is a list of DbtSchedules.
//
// +kubebuilder:object:root=true
type DbtScheduleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DbtSchedule `json:"items"`
}

// DbtScheduleSpec is what to run, and when.
//
// +kubebuilder:validation:XValidation:rule="has(self.schedule) || has(self.after)",message="schedule must be set, unless after names the schedules whose ticks this one follows"
// +kubebuilder:validation:XValidation:rule="!has(self.onProjectChange) || !self.onProjectChange || has(self.runTemplate.spec.projectRef)",message="onProjectChange needs runTemplate.spec.projectRef: an inline project has no changes of its own"
// +kubebuilder:validation:XValidation:rule="!has(self.backfill) || has(self.schedule)",message="backfill needs schedule: it makes the runs of that cron line's ticks"
type DbtScheduleSpec struct {
	// schedule is a cron line: minute, hour, day of month, month and day of week, as numbers, names (JAN, MON), ranges,
	// lists and steps, such as "0 6 * * 1-5"; or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly and
	// @annually. A day matches either of the two day fields when both are given, as in cron. "TZ=", "@every", seconds and
	// lines that never fire are refused. Unset: only with after; then the ticks are those of the schedules named there.
	// At most 128 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('(?i)^ *(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|([*?]|[0-5]?[0-9](-[0-5]?[0-9])?)(/[1-9][0-9]?)?(,([*?]|[0-5]?[0-9](-[0-5]?[0-9])?)(/[1-9][0-9]?)?)* +([*?]|([01]?[0-9]|2[0-3])(-([01]?[0-9]|2[0-3]))?)(/[1-9][0-9]?)?(,([*?]|([01]?[0-9]|2[0-3])(-([01]?[0-9]|2[0-3]))?)(/[1-9][0-9]?)?)* +([*?]|(0?[1-9]|[12][0-9]|3[01])(-(0?[1-9]|[12][0-9]|3[01]))?)(/[1-9][0-9]?)?(,([*?]|(0?[1-9]|[12][0-9]|3[01])(-(0?[1-9]|[12][0-9]|3[01]))?)(/[1-9][0-9]?)?)* +([*?]|(0?[1-9]|1[0-2]|[a-z]{3})(-(0?[1-9]|1[0-2]|[a-z]{3}))?)(/[1-9][0-9]?)?(,([*?]|(0?[1-9]|1[0-2]|[a-z]{3})(-(0?[1-9]|1[0-2]|[a-z]{3}))?)(/[1-9][0-9]?)?)* +([*?]|(0?[0-6]|[a-z]{3})(-(0?[0-6]|[a-z]{3}))?)(/[1-9][0-9]?)?(,([*?]|(0?[0-6]|[a-z]{3})(-(0?[0-6]|[a-z]{3}))?)(/[1-9][0-9]?)?)*) *$')",message="schedule must be five cron fields (minute 0-59, hour 0-23, day of month 1-31, month 1-12 or JAN-DEC, day of week 0-6 or SUN-SAT) such as '0 6 * * 1-5', or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually; TZ=, @every and seconds are not taken: use timeZone for the zone"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(?i)^ *[^ ]+ +[^ ]+ +(3[01])([-,]3[01])*(/[0-9]+)? +(0?2|feb)([-,](0?2|feb))* +[*?] *$') && !self.matches('(?i)^ *[^ ]+ +[^ ]+ +31([-,]31)*(/[0-9]+)? +(0?[2469]|11|feb|apr|jun|sep|nov)(,(0?[2469]|11|feb|apr|jun|sep|nov))* +[*?] *$')",message="schedule never fires: no month it names has the day of month it names"
	Schedule string `json:"schedule,omitempty"`

	// timeZone is the IANA zone the schedule is read in, such as "Europe/Lisbon". A local time that does not exist, as
	// clocks are put forward, runs once right after the gap; one that exists twice, as they are put back, runs once.
	// +optional
	// +kubebuilder:default="Etc/UTC"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self != 'Local' && self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$') && timestamp('2000-01-01T00:00:00Z').getFullYear(self) > 0",message="timeZone must be the name of an IANA time zone such as Europe/Lisbon or Etc/UTC"
	TimeZone string `json:"timeZone,omitempty"`

	// suspend keeps runs from being made; those under way go on. Ticks meanwhile count as missed, and catchUp says what
	// becomes of them when it is taken back. Unset: false.
	// +optional
	Suspend *bool `json:"suspend,omitempty"`

	// concurrencyPolicy says what happens when a tick is due while an earlier run of this schedule is not over. Forbid:
	// the tick waits for its end, and catchUp says what becomes of those that pile up. Allow: runs go on side by side, as
	// far as the concurrency of their project lets them. Replace: the earlier run is cancelled. Runs of a backfill do not
	// count.
	// +optional
	// +kubebuilder:default=Forbid
	ConcurrencyPolicy ScheduleConcurrencyPolicy `json:"concurrencyPolicy,omitempty"`

	// startingDeadlineSeconds is how late a run may be made, counted from its tick with the jitter: a tick that is later
	// is counted as missed. It bounds the wait for an earlier run (Forbid) and for other schedules (after) as well.
	// Unset: no bound. 10 to 31536000 (a year).
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=31536000
	StartingDeadlineSeconds *int64 `json:"startingDeadlineSeconds,omitempty"`

	// catchUp says what becomes of ticks that were missed, as the operator was away, the schedule suspended, or an
	// earlier run not over.
	// +optional
	// +kubebuilder:default={}
	CatchUp CatchUp `json:"catchUp,omitempty,omitzero"`

	// jitterSeconds spreads schedules that tick together: each run is made this much later at most, by a share that is
	// always the same for one schedule. The time that dbt is told is the tick's. 0 to 3600. Unset: 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	JitterSeconds *int32 `json:"jitterSeconds,omitempty"`

	// successfulRunsHistoryLimit is how many runs that succeeded are kept, and failedRunsHistoryLimit how many that
	// failed or were cancelled, the newest of each. 0 to 1000.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	SuccessfulRunsHistoryLimit *int32 `json:"successfulRunsHistoryLimit,omitempty"`

	// failedRunsHistoryLimit is how many runs that failed or were cancelled are kept. 0 to 1000.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	FailedRunsHistoryLimit *int32 `json:"failedRunsHistoryLimit,omitempty"`

	// onProjectChange makes a run of its own when the spec of the DbtProject changes (a deploy), so that results follow
	// code. The project as it is when this is set, or when the schedule is created, makes none. Unset: false.
	// +optional
	OnProjectChange *bool `json:"onProjectChange,omitempty"`

	// after are schedules of this namespace that come first: a tick of this one is due when each of them has a run of the
	// same tick or a later one that has ended. Without schedule, this one's ticks are those that all of them have ended.
	// At most 10.
	// +optional
	// +listType=map
	// +listMapKey=schedule
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	After []Upstream `json:"after,omitempty"`

	// runTemplate is what each run is made from. A change is used by runs made after it.
	// +required
	RunTemplate RunTemplate `json:"runTemplate,omitzero"`

	// backfill makes runs for ticks of the past, oldest first. They are made beside the schedule's own, also while it is
	// suspended. To stop one, remove it; to make another, change it; ticks that had a run have another then. Unset: none.
	// +optional
	Backfill *Backfill `json:"backfill,omitempty"`

	// requestedBy is the schedule's author: who last changed its spec. Its runs carry that name, and the author's right is
	// checked again before each. It is stamped by the API server, which overwrites what is written here; an update that
	// changes nothing else of the spec leaves it as it was. Unset: the cluster does not stamp; see the condition
	// Authorized.
	// +optional
	RequestedBy *Requester `json:"requestedBy,omitempty"`
}

// ScheduleConcurrencyPolicy says what happens when a tick is due while an earlier run is not over.
//
// +kubebuilder:validation:Enum=Allow;Forbid;Replace
type ScheduleConcurrencyPolicy string

// Concurrency policies of schedules.
const (
	ScheduleAllow   ScheduleConcurrencyPolicy = "Allow"
	ScheduleForbid  ScheduleConcurrencyPolicy = "Forbid"
	ScheduleReplace ScheduleConcurrencyPolicy = "Replace"
)

// CatchUpPolicy says what becomes of ticks that were missed.
//
// +kubebuilder:validation:Enum=Latest;All;None
type CatchUpPolicy string

// Catch-up policies.
const (
	// CatchUpLatest makes the run of the newest.
	CatchUpLatest CatchUpPolicy = "Latest"
	// CatchUpAll makes the runs of the newest, up to the limit, oldest first.
	CatchUpAll CatchUpPolicy = "All"
	// CatchUpNone makes none.
	CatchUpNone CatchUpPolicy = "None"
)

// CatchUp says what becomes of ticks that were missed.
type CatchUp struct {
	// policy says which missed ticks have a run after all. Latest: the newest. All: the newest limit of them, oldest
	// first; with concurrencyPolicy Replace it is Latest, as each would replace the one before. None: none that is more
	// than a minute late. Ticks that have no run are counted in status.missedTotal.
	// +optional
	// +kubebuilder:default=Latest
	Policy CatchUpPolicy `json:"policy,omitempty"`

	// limit is how many missed ticks have a run with policy All. 1 to 100.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Limit *int32 `json:"limit,omitempty"`
}

// UpstreamOutcome says how a run that is waited for must have ended.
//
// +kubebuilder:validation:Enum=Success;Always
type UpstreamOutcome string

// Outcomes that are waited for.
const (
	// UpstreamSuccess waits for a run that succeeded.
	UpstreamSuccess UpstreamOutcome = "Success"
	// UpstreamAlways waits for a run that ended, however it did.
	UpstreamAlways UpstreamOutcome = "Always"
)

// Upstream is a schedule that comes first.
type Upstream struct {
	// schedule is the name of a DbtSchedule in this namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=52
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="schedule must be the name of a DbtSchedule in this namespace: lower-case letters, digits, dashes and dots, with no slash"
	Schedule string `json:"schedule,omitempty"`

	// when is how its run must have ended. Success: it succeeded. Always: it ended, however it did.
	// +optional
	// +kubebuilder:default=Success
	When UpstreamOutcome `json:"when,omitempty"`
}

// RunTemplate is what each run is made from.
//
// +kubebuilder:validation:XValidation:rule="!has(self.spec.trigger)",message="spec.trigger is set by the operator: remove it from the template",fieldPath=".spec"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.requestedBy)",message="spec.requestedBy of the runs is the schedule's author: remove it from the template",fieldPath=".spec"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.cancel)",message="spec.cancel would stop every run at once: remove it, and use suspend to make no runs",fieldPath=".spec"
type RunTemplate struct {
	// metadata are labels and annotations of the runs. Nothing else is copied to them from the schedule.
	// +optional
	Metadata RunTemplateMetadata `json:"metadata,omitempty,omitzero"`

	// spec is the spec of the runs.
	// +required
	Spec DbtRunSpec `json:"spec,omitzero"`
}

// RunTemplateMetadata are labels and annotations of the runs.
type RunTemplateMetadata struct {
	// labels are added to the runs. Keys of dbtoperator.dev are refused; those by which Argo CD tracks what it applied
	// (app.kubernetes.io/instance, argocd.argoproj.io) are left out, or it would delete the runs. At most 32.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 317 && self[k].size() <= 63 && !k.matches('(^|[.])dbtoperator[.]dev/'))",message="labels must not hold keys of dbtoperator.dev, which are the operator's, or values of more than 63 characters"
	Labels map[string]string `json:"labels,omitempty"`

	// annotations are added to the runs, with the same exceptions. At most 32.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 317 && !k.matches('(^|[.])dbtoperator[.]dev/'))",message="annotations must not hold keys of dbtoperator.dev: they are the operator's"
	Annotations map[string]string `json:"annotations,omitempty"`
}

// BackfillFailurePolicy says what a backfill does when one of its runs fails.
//
// +kubebuilder:validation:Enum=Stop;Continue
type BackfillFailurePolicy string

// Failure policies of backfills.
const (
	// BackfillStop makes no further runs.
	BackfillStop BackfillFailurePolicy = "Stop"
	// BackfillContinue goes on with the next tick.
	BackfillContinue BackfillFailurePolicy = "Continue"
)

// Backfill makes runs for ticks of the past.
//
// +kubebuilder:validation:XValidation:rule="self.from <= self.to",message="from must not be later than to"
type Backfill struct {
	// from is the earliest tick that has a run, if it is one; the time itself is included.
	// +required
	From metav1.Time `json:"from,omitzero"`

	// to is the latest tick that has a run, if it is one; the time itself is included. Ticks later than the backfill's
	// own start are left to the schedule.
	// +required
	To metav1.Time `json:"to,omitzero"`

	// maxActive is how many runs of the backfill may be under way at a time. 1 to 50.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=50
	MaxActive *int32 `json:"maxActive,omitempty"`

	// onFailure says what becomes of the rest when a run fails. Stop: no further runs are made. Continue: they are.
	// +optional
	// +kubebuilder:default=Stop
	OnFailure BackfillFailurePolicy `json:"onFailure,omitempty"`

	// eventTimeWindow passes the tick's interval to dbt's microbatch models: the commands build and run get
	// --event-time-start with the time of the tick before, and --event-time-end with the tick's own, in UTC, unless they
	// give one themselves. Unset: false.
	// +optional
	EventTimeWindow *bool `json:"eventTimeWindow,omitempty"`
}

// DbtScheduleStatus is what the operator did.
type DbtScheduleStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of; -1 before
	// the operator has seen the object.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions hold Ready (valid and ticking, or suspended) and LastRunSucceeded (how the newest run that ended did).
	// A run that failed does not touch Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// active are runs that are not over, oldest first; the newest 10 if there are more. Those of a backfill are not
	// among them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=253
	Active []string `json:"active,omitempty"`

	// lastScheduleTime is the newest tick that has, or had, a run.
	// +optional
	LastScheduleTime *metav1.Time `json:"lastScheduleTime,omitempty"`

	// lastMissedTime is the newest tick that has no run.
	// +optional
	LastMissedTime *metav1.Time `json:"lastMissedTime,omitempty"`

	// missedTotal is how many ticks since the schedule's creation have no run.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MissedTotal int64 `json:"missedTotal,omitempty"`

	// lastSuccessfulTime is when a run last succeeded.
	// +optional
	LastSuccessfulTime *metav1.Time `json:"lastSuccessfulTime,omitempty"`

	// lastFailureTime is when a run last failed or was cancelled.
	// +optional
	LastFailureTime *metav1.Time `json:"lastFailureTime,omitempty"`

	// lastRun is the newest run.
	// +optional
	LastRun *LastRun `json:"lastRun,omitempty"`

	// nextScheduleTime is the next tick, without jitter. Unset while the schedule is suspended or invalid, and when its
	// ticks are those of others.
	// +optional
	NextScheduleTime *metav1.Time `json:"nextScheduleTime,omitempty"`

	// lastEndedScheduleTime is the newest tick whose run has ended, lastSucceededScheduleTime the newest whose run has
	// succeeded: what schedules that name this one in after wait for.
	// +optional
	LastEndedScheduleTime *metav1.Time `json:"lastEndedScheduleTime,omitempty"`

	// lastSucceededScheduleTime is the newest tick whose run has succeeded.
	// +optional
	LastSucceededScheduleTime *metav1.Time `json:"lastSucceededScheduleTime,omitempty"`

	// ticking is the cron line by which ticks are counted, and since when.
	// +optional
	Ticking *Ticking `json:"ticking,omitempty"`

	// project is the state of the DbtProject that onProjectChange has dealt with.
	// +optional
	Project *ObservedProject `json:"project,omitempty"`

	// backfill is how far spec.backfill is.
	// +optional
	Backfill *BackfillStatus `json:"backfill,omitempty"`
}

// LastRun is the newest run of a schedule.
type LastRun struct {
	// name of the DbtRun.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// phase of the DbtRun.
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// creationTime of the DbtRun.
	// +optional
	CreationTime metav1.Time `json:"creationTime,omitempty,omitzero"`
}

// Ticking is the cron line by which ticks are counted, and since when: another line in the spec counts from its edit,
// so that ticks it would have had before are not missed.
type Ticking struct {
	// schedule as it was when its ticks began to count.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Schedule string `json:"schedule,omitempty"`

	// timeZone as it was when its ticks began to count.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`

	// since is the time after which ticks count.
	// +optional
	Since metav1.Time `json:"since,omitempty,omitzero"`
}

// ObservedProject is a state of a DbtProject.
type ObservedProject struct {
	// name of the DbtProject.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// uid of the DbtProject: one that is deleted and made again is another.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid,omitempty"`

	// generation of its spec.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`
}

// BackfillStatus is how far a backfill is.
type BackfillStatus struct {
	// id is in the names of the runs, so that another backfill of the same ticks has runs of its own.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ID int64 `json:"id,omitempty"`

	// from is the range's start.
	// +optional
	From metav1.Time `json:"from,omitempty,omitzero"`

	// to is the range's end: that of the spec, or the time the backfill began if that is earlier.
	// +optional
	To metav1.Time `json:"to,omitempty,omitzero"`

	// requestedTo is the range's end as the spec has it.
	// +optional
	RequestedTo metav1.Time `json:"requestedTo,omitempty,omitzero"`

	// total is how many ticks there are in the range.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Total int64 `json:"total,omitempty"`

	// started is how many of them have, or had, a run.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Started int64 `json:"started,omitempty"`

	// lastScheduleTime is the newest tick that has, or had, a run.
	// +optional
	LastScheduleTime *metav1.Time `json:"lastScheduleTime,omitempty"`

	// active is how many runs are not over.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Active int32 `json:"active,omitempty"`

	// phase is where the backfill is: Running, Succeeded (every run did), or Failed (a run failed or was cancelled).
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// failed is the newest run that failed or was cancelled, empty when none was.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Failed string `json:"failed,omitempty"`

	// completionTime is when the last of the runs ended.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
}
