package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DbtRun is one run of dbt. Its spec never changes after creation, except cancel and ttlSecondsAfterFinished: to run
// again, create another.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=dbtrun,categories=dbt
// +kubebuilder:selectablefield:JSONPath=`.status.phase`
// +kubebuilder:selectablefield:JSONPath=`.spec.projectRef.name`
// +kubebuilder:printcolumn:name="Project",type=string,JSONPath=`.status.project.name`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Nodes",type=string,JSONPath=`.status.nodes`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.failedNodes`
// +kubebuilder:printcolumn:name="Duration",type=string,JSONPath=`.status.duration`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Requester",type=string,priority=1,JSONPath=`.spec.requestedBy.username`
// +kubebuilder:printcolumn:name="Revision",type=string,priority=1,JSONPath=`.status.revision.source`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.message`
type DbtRun struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what to run.
	// +required
	// +kubebuilder:validation:XValidation:rule="has(self.projectRef) == has(oldSelf.projectRef) && (!has(self.projectRef) || self.projectRef == oldSelf.projectRef)",message="projectRef is immutable: create another DbtRun"
	// +kubebuilder:validation:XValidation:rule="has(self.project) == has(oldSelf.project) && (!has(self.project) || self.project == oldSelf.project)",message="project is immutable: create another DbtRun"
	// +kubebuilder:validation:XValidation:rule="self.commands == oldSelf.commands",message="commands is immutable: create another DbtRun"
	// +kubebuilder:validation:XValidation:rule="has(dyn(self).vars) == has(dyn(oldSelf).vars) && (!has(dyn(self).vars) || dyn(self).vars == dyn(oldSelf).vars)",message="vars is immutable: create another DbtRun"
	// +kubebuilder:validation:XValidation:rule="has(self.target) == has(oldSelf.target) && (!has(self.target) || self.target == oldSelf.target)",message="target is immutable: create another DbtRun"
	// +kubebuilder:validation:XValidation:rule="has(self.revision) == has(oldSelf.revision) && (!has(self.revision) || self.revision == oldSelf.revision)",message="revision is immutable: create another DbtRun"
	// +kubebuilder:validation:XValidation:rule="has(self.retry) == has(oldSelf.retry) && (!has(self.retry) || self.retry == oldSelf.retry)",message="retry is immutable: create another DbtRun"
	// +kubebuilder:validation:XValidation:rule="has(self.resumeFrom) == has(oldSelf.resumeFrom) && (!has(self.resumeFrom) || self.resumeFrom == oldSelf.resumeFrom)",message="resumeFrom is immutable: create another DbtRun"
	// +kubebuilder:validation:XValidation:rule="has(self.state) == has(oldSelf.state) && (!has(self.state) || self.state == oldSelf.state)",message="state is immutable: create another DbtRun"
	// +kubebuilder:validation:XValidation:rule="has(self.stateTarget) == has(oldSelf.stateTarget) && (!has(self.stateTarget) || self.stateTarget == oldSelf.stateTarget)",message="stateTarget is immutable: create another DbtRun"
	// +kubebuilder:validation:XValidation:rule="has(self.timeoutSeconds) == has(oldSelf.timeoutSeconds) && (!has(self.timeoutSeconds) || self.timeoutSeconds == oldSelf.timeoutSeconds)",message="timeoutSeconds is immutable: create another DbtRun"
	// +kubebuilder:validation:XValidation:rule="has(self.startTimeoutSeconds) == has(oldSelf.startTimeoutSeconds) && (!has(self.startTimeoutSeconds) || self.startTimeoutSeconds == oldSelf.startTimeoutSeconds)",message="startTimeoutSeconds is immutable: create another DbtRun"
	// +kubebuilder:validation:XValidation:rule="!(has(oldSelf.cancel) && oldSelf.cancel) || (has(self.cancel) && self.cancel)",message="cancel cannot be taken back: create another DbtRun"
	// +kubebuilder:validation:XValidation:rule="has(self.trigger) == has(oldSelf.trigger) && (!has(self.trigger) || self.trigger == oldSelf.trigger)",message="trigger is immutable: create another DbtRun"
	// +kubebuilder:validation:XValidation:rule="has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy)",message="requestedBy is immutable: it says who created the run"
	Spec DbtRunSpec `json:"spec,omitzero"`

	// status is what became of it. Before, observedGeneration is -1: kstatus takes an object without
	// a status for done.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status DbtRunStatus `json:"status,omitempty,omitzero"`
}

// DbtRunList is a list of DbtRuns.
//
// +kubebuilder:object:root=true
type DbtRunList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DbtRun `json:"items"`
}

// DbtRunSpec is what to run. The rules on what may change stand on DbtRun's field, not here: a DbtSchedule holds this
// type as well, and its template may change.
//
// +kubebuilder:validation:XValidation:rule="(has(self.projectRef) ? 1 : 0) + (has(self.project) ? 1 : 0) == 1",message="exactly one of projectRef and project must be set"
// +kubebuilder:validation:XValidation:rule="!has(self.project) || !has(self.project.requestedBy)",message="project.requestedBy is the author of a DbtProject, and an inline project has none of its own: remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.project) || !has(self.state) || self.state != 'Auto'",message="state is Auto, but an inline project has no earlier runs: remove it, or name a DbtProject in projectRef"
// +kubebuilder:validation:XValidation:rule="!has(self.stateTarget) || (has(self.state) && self.state == 'Auto')",message="stateTarget says whose state is used, and none is: set state to Auto, or remove stateTarget"
// +kubebuilder:validation:XValidation:rule="!has(self.project) || !has(self.project.tokens) || !has(self.timeoutSeconds) || self.project.tokens.all(t, !has(t.env) || (has(t.expirationSeconds) ? t.expirationSeconds : 3600) >= self.timeoutSeconds)",message="a token with delivery Env is given once and must last as long as the run: expirationSeconds must be at least timeoutSeconds; raise it, lower the timeout, or use a delivery that follows the renewed token"
// +kubebuilder:validation:XValidation:rule="!has(self.project) || !has(self.project.tokens) || has(self.timeoutSeconds) || (has(self.project.runDefaults) && has(self.project.runDefaults.timeoutSeconds)) || self.project.tokens.all(t, !has(t.env))",message="a token with delivery Env is given once and must last as long as the run, and this run has no bound: set timeoutSeconds, at most the token's expirationSeconds"
type DbtRunSpec struct {
	// projectRef names the DbtProject to run, in this namespace. Exactly one of projectRef and project is set.
	// Immutable.
	// +optional
	ProjectRef *ProjectReference `json:"projectRef,omitempty"`

	// project is a project inline, for a single run. Exactly one of projectRef and project is set. Immutable.
	// +optional
	Project *DbtProjectSpec `json:"project,omitempty"`

	// commands are dbt command lines, run in order; the first that fails stops the rest. They are split into words as a
	// shell would and never run by a shell; the leading "dbt" may be left out. Allowed: build, run, test, seed,
	// snapshot, compile, docs generate, source freshness, run-operation, retry, deps, parse, ls, list, show, clone,
	// debug. Flags the operator owns are refused: --profiles-dir, --profile, --project-dir, --target, -t, --target-path,
	// --state, --defer-state, --packages-install-path, --log-* and --no-log-*. 1 to 20 commands of at most 4096
	// characters. Immutable.
	// +optional
	// +listType=atomic
	// +kubebuilder:default={"dbt build"}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="self.all(c, !c.matches('[[:cntrl:]]'))",message="a command must be one line without control characters: give several commands as several entries"
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.matches('^ *(dbt +)?(build|run|test|seed|snapshot|compile|docs +generate|source +freshness|run-operation|retry|deps|parse|ls|list|show|clone|debug)( |$)'))",message="a command must be one of build, run, test, seed, snapshot, compile, docs generate, source freshness, run-operation, retry, deps, parse, ls, list, show, clone and debug, with or without a leading dbt, and global flags behind it"
	Commands []string `json:"commands,omitempty"`

	// vars are dbt variables, any JSON value by name. They are merged into --vars of every command; a variable that a
	// command gives itself wins there. At most 128, and with the commands little less than 128 KiB. Immutable.
	// +optional
	// +kubebuilder:validation:MaxProperties=128
	Vars map[string]apiextensionsv1.JSON `json:"vars,omitempty"`

	// target is dbt's target and overrides the project's. At most 63 characters: letters, digits, underscore, dash and
	// dot. Unset: the project's. Immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_][A-Za-z0-9_.-]*$')",message="target must be letters, digits, underscores, dashes and dots, and must not begin with a dash or a dot"
	Target string `json:"target,omitempty"`

	// revision overrides the git ref of the project: a full ref such as "refs/pull/12/head", or a full commit hash.
	// Unset: the project's ref. Refused for a project that is not in git. Immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^(refs/[A-Za-z0-9_][A-Za-z0-9_./+@-]*|[0-9a-f]{40})$') && !self.contains('..')",message="revision must be a full ref such as refs/heads/main or refs/pull/12/head, or a full commit hash of 40 lower-case hexadecimal digits"
	Revision string `json:"revision,omitempty"`

	// retry says how often lost work is begun again. Unset: the project's runDefaults. Immutable.
	// +optional
	Retry *Retry `json:"retry,omitempty"`

	// resumeFrom names a finished run of this namespace to go on from: commands that ended well there are not run again,
	// and of the first that did not only the nodes that failed, were skipped or never ran, as "dbt retry" does. The run
	// must be of the same project and have the same commands; the source is fetched anew, so that what was mended counts.
	// It needs the operator's collector. Unset: everything runs. Immutable.
	// +optional
	ResumeFrom *RunReference `json:"resumeFrom,omitempty"`

	// state says whether dbt gets the manifest of the last good run of a target, as --state and --defer. Auto: it does,
	// with that of the newest run of this DbtProject, without a revision of its own and without resumeFrom, that built with
	// the target, succeeded and kept its manifest.json; where there is none the run goes on without, unless one of its
	// commands needs it. It needs the operator's collector and a projectRef. Never: it does not. Unset: Never. Immutable.
	// +optional
	State StatePolicy `json:"state,omitempty"`

	// stateTarget is the target whose last good run is meant by state. At most 63 characters: letters, digits, underscore,
	// dash and dot. Unset: the run's own target. Refused unless state is Auto. Immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_][A-Za-z0-9_.-]*$')",message="stateTarget must be letters, digits, underscores, dashes and dots, and must not begin with a dash or a dot"
	StateTarget string `json:"stateTarget,omitempty"`

	// timeoutSeconds bounds the run from the start of its Job, pod retries included: then dbt is told to stop, its
	// queries are cancelled, and the run fails with reason TimedOut. Unset: the project's runDefaults, else no bound. 1
	// to 2592000 (30 days). Immutable.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2592000
	TimeoutSeconds *int64 `json:"timeoutSeconds,omitempty"`

	// startTimeoutSeconds bounds the time from the Job's start until dbt's container first runs: image pull, volumes,
	// no fitting node. Then the run fails with reason StartTimeout or ImagePullFailed. Unset: the project's runDefaults.
	// 1 to 86400. Immutable.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	StartTimeoutSeconds *int64 `json:"startTimeoutSeconds,omitempty"`

	// cancel stops the run: dbt cancels its queries in the warehouse and the run ends as Cancelled. It can be set at any
	// time and not taken back; on a run that is over it changes nothing. Unset: false.
	// +optional
	Cancel *bool `json:"cancel,omitempty"`

	// ttlSecondsAfterFinished deletes the run, its Job and its pods this long after its end. Unset: the project's
	// runDefaults at the time of the run, else they are kept. It may be changed at any time. 0 to 31536000 (a year).
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=31536000
	TTLSecondsAfterFinished *int64 `json:"ttlSecondsAfterFinished,omitempty"`

	// trigger says what the run was made for. Set by the operator on the runs it makes: of anybody else, types other than
	// Manual are refused. A scheduled time reaches dbt as
	// the environment variable DBT_SCHEDULED_TIME. Unset: a person or program made it. Immutable.
	// +optional
	Trigger *Trigger `json:"trigger,omitempty"`

	// requestedBy is who asked for the run: its creator, or for a run that a DbtSchedule made the schedule's author. It is
	// stamped by the API server, which overwrites what is written here; only the operator may carry another's name. Unset:
	// the cluster does not stamp, or the schedule has no author. Immutable.
	// +optional
	RequestedBy *Requester `json:"requestedBy,omitempty"`
}

// StatePolicy says whether dbt gets the state of an earlier run.
//
// +kubebuilder:validation:Enum=Auto;Never
type StatePolicy string

// State policies.
const (
	StateAuto  StatePolicy = "Auto"
	StateNever StatePolicy = "Never"
)

// TriggerType says what a run was made for.
//
// +kubebuilder:validation:Enum=Manual;Schedule;Upstream;ProjectChange;Backfill
type TriggerType string

// Trigger types.
const (
	// TriggerManual: a person or program made it.
	TriggerManual TriggerType = "Manual"
	// TriggerSchedule: a tick of a DbtSchedule.
	TriggerSchedule TriggerType = "Schedule"
	// TriggerUpstream: the schedules that a DbtSchedule without a cron line follows have ended their runs.
	TriggerUpstream TriggerType = "Upstream"
	// TriggerProjectChange: the DbtProject's spec changed.
	TriggerProjectChange TriggerType = "ProjectChange"
	// TriggerBackfill: a tick of the past.
	TriggerBackfill TriggerType = "Backfill"
)

// Trigger says what a run was made for.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'Manual') != has(self.scheduleRef)",message="scheduleRef must be set, unless type is Manual"
// +kubebuilder:validation:XValidation:rule="(self.type in ['Schedule', 'Upstream', 'Backfill']) == has(self.scheduledTime)",message="scheduledTime must be set for the types Schedule, Upstream and Backfill, and for no other"
type Trigger struct {
	// type is what the run was made for.
	// +required
	Type TriggerType `json:"type,omitempty"`

	// scheduleRef names the DbtSchedule, in this namespace. Unset for type Manual.
	// +optional
	ScheduleRef *ScheduleReference `json:"scheduleRef,omitempty"`

	// scheduledTime is the tick: the time the run was due at by the schedule, whenever it was made. Unset for the types
	// Manual and ProjectChange.
	// +optional
	ScheduledTime *metav1.Time `json:"scheduledTime,omitempty"`
}

// ScheduleReference names a DbtSchedule in the same namespace.
type ScheduleReference struct {
	// name is the DbtSchedule's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=52
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="name must be the name of a DbtSchedule in this namespace: lower-case letters, digits, dashes and dots, with no slash"
	Name string `json:"name,omitempty"`
}

// RunReference names a DbtRun in the same namespace.
type RunReference struct {
	// name is the DbtRun's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="name must be the name of a DbtRun in this namespace: lower-case letters, digits, dashes and dots, with no slash"
	Name string `json:"name,omitempty"`
}

// ProjectReference names a DbtProject in the same namespace.
type ProjectReference struct {
	// name is the DbtProject's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="name must be the name of a DbtProject in this namespace: lower-case letters, digits, dashes and dots, with no slash"
	Name string `json:"name,omitempty"`
}
