package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Phase is where a run is. It is derived from the Succeeded condition, never the reverse.
//
// +kubebuilder:validation:Enum=Pending;Queued;Running;Succeeded;Failed;Cancelled
type Phase string

// Phases.
const (
	// PhasePending: the run has not begun, or its pod has not started yet.
	PhasePending Phase = "Pending"
	// PhaseQueued: the run waits for others of its concurrency group, or for its queue to admit it.
	PhaseQueued Phase = "Queued"
	// PhaseRunning: dbt is at work, or is about to be started again.
	PhaseRunning Phase = "Running"
	// PhaseSucceeded: every command ended well.
	PhaseSucceeded Phase = "Succeeded"
	// PhaseFailed: the run ended and did not succeed.
	PhaseFailed Phase = "Failed"
	// PhaseCancelled: the run was stopped by cancel, or replaced by a newer one.
	PhaseCancelled Phase = "Cancelled"
)

// Finished reports whether the phase is terminal.
func (p Phase) Finished() bool {
	return p == PhaseSucceeded || p == PhaseFailed || p == PhaseCancelled
}

// DbtRunStatus is what became of a run. The whole is at most 32 KiB, whatever the project's size.
type DbtRunStatus struct {
	// phase is where the run is, in one word.
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// observedGeneration is the generation of the spec that this status speaks of; -1 before
	// the operator has seen the object.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions hold Succeeded (Unknown while in progress, then True or False with the reason), for kstatus Ready,
	// Reconciling and Stalled, and once the run is over ResultsAvailable: whether its whole log and its artifacts are kept.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// message is one sentence on where the run is, or why it ended as it did. At most 2 KiB.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	Message string `json:"message,omitempty"`

	// startTime is when dbt's container first started.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// completionTime is when the run ended.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`

	// durationSeconds is the time from startTime to completionTime.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DurationSeconds *int64 `json:"durationSeconds,omitempty"`

	// duration is durationSeconds for people, such as "1m30s".
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Duration string `json:"duration,omitempty"`

	// nodes is how many of the selected nodes have ended, for people, such as "17/28".
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Nodes string `json:"nodes,omitempty"`

	// failedNodes is how many nodes ended with an error or a failed test.
	// +optional
	// +kubebuilder:validation:Minimum=0
	FailedNodes *int32 `json:"failedNodes,omitempty"`

	// project is the DbtProject the run was made of.
	// +optional
	Project *ProjectStatus `json:"project,omitempty"`

	// job is the Job that carries the run out.
	// +optional
	Job *JobReference `json:"job,omitempty"`

	// revision pins what ran.
	// +optional
	Revision *Revision `json:"revision,omitempty"`

	// state is the run whose manifest dbt got as --state, for a run with state: Auto. It is pinned when the Job is made:
	// each pod of the run gets the same.
	// +optional
	State *StateStatus `json:"state,omitempty"`

	// attempts are the run's pods, the newest 5, oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=5
	Attempts []Attempt `json:"attempts,omitempty"`

	// commands are the dbt commands that were started.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=21
	Commands []CommandStatus `json:"commands,omitempty"`

	// progress is how far the run is, while it is at work: brought up to date every 5 seconds at most.
	// +optional
	Progress *Progress `json:"progress,omitempty"`

	// results counts nodes by how they ended, over all attempts.
	// +optional
	Results *Results `json:"results,omitempty"`

	// failures are nodes that did not end well, at most 10.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Failures []Failure `json:"failures,omitempty"`

	// slowest are the nodes that took longest, at most 5, longest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=5
	Slowest []NodeDuration `json:"slowest,omitempty"`

	// lineage is what the run's nodes read and make.
	// +optional
	Lineage *Lineage `json:"lineage,omitempty"`

	// log is what the run's pods printed, redacted.
	// +optional
	Log *Log `json:"log,omitempty"`

	// artifacts are the files that dbt left and the operator keeps, at most 40, by name.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=40
	Artifacts []Artifact `json:"artifacts,omitempty"`
}

// Progress is how far a run is.
type Progress struct {
	// total is the number of nodes dbt set out to run, over the commands begun so far.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Total int32 `json:"total"`

	// done is how many of them have ended.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Done int32 `json:"done"`

	// running are the unique_ids of nodes that run now, the longest first, at most 10.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=512
	Running []string `json:"running,omitempty"`
}

// Log is what a run's pods printed.
type Log struct {
	// tail are the last lines of the newest pod, at most 4 KiB, redacted.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Tail string `json:"tail,omitempty"`

	// uri is where the collector serves the whole log, over all pods, as a path on its Service.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	URI string `json:"uri,omitempty"`

	// bytes is the size of the whole log as it is kept, compressed.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Bytes int64 `json:"bytes,omitempty"`
}

// Artifact is a file that a run left.
type Artifact struct {
	// name is the file's name, such as "manifest.json" or "run_results-1.json" of the first command.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	Name string `json:"name,omitempty"`

	// digest is "sha256:" and the digest of its content in hexadecimal.
	// +optional
	// +kubebuilder:validation:MaxLength=71
	Digest string `json:"digest,omitempty"`

	// bytes is its size.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Bytes int64 `json:"bytes"`

	// uri is where the collector serves it, as a path on its Service.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	URI string `json:"uri,omitempty"`
}

// ProjectStatus is the DbtProject a run was made of.
type ProjectStatus struct {
	// name is the DbtProject's name; "(inline)" for a project in the run's own spec.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// generation of the DbtProject when the run began. 0 for an inline project.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`

	// uid of the DbtProject, once the run has a Job. Empty for an inline project.
	// +optional
	UID types.UID `json:"uid,omitempty"`

	// target is the one that the run began with: its own or the project's. Empty: the profile's default.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Target string `json:"target,omitempty"`

	// sourceDigest tells sources apart: it is over their kind and the git URL and path, the ConfigMap's name or the path in
	// the image, and not over the revision.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	SourceDigest string `json:"sourceDigest,omitempty"`

	// ttlSecondsAfterFinished is what the run began with: its own or that of the project's runDefaults. Unset: it is kept.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TTLSecondsAfterFinished *int64 `json:"ttlSecondsAfterFinished,omitempty"`
}

// JobReference names the Job that carries a run out.
type JobReference struct {
	// name of the Job, in the run's namespace.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// uid of the Job.
	// +optional
	UID types.UID `json:"uid,omitempty"`
}

// Revision pins what ran.
type Revision struct {
	// source is the commit hash of a git source, or "sha256:…" over the files of a ConfigMap. Empty for a project baked
	// into the image, which the image's digest pins.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Source string `json:"source,omitempty"`

	// image is the digest reference of the dbt image that ran.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// dbt is dbt's version, such as "1.11.16".
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Dbt string `json:"dbt,omitempty"`

	// adapter is the adapter's name and version, such as "postgres=1.11.0".
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Adapter string `json:"adapter,omitempty"`
}

// Attempt is one pod of a run.
type Attempt struct {
	// pod is the pod's name.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`

	// node is the node it ran on.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`

	// startTime is when dbt's container started.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// endTime is when dbt's container ended.
	// +optional
	EndTime *metav1.Time `json:"endTime,omitempty"`

	// exitCode is the exit code of dbt's container.
	// +optional
	ExitCode *int32 `json:"exitCode,omitempty"`

	// reason is how it ended: Succeeded, NodesFailed, DbtError, SourceFailed, OutOfMemory, Evicted, Deleted,
	// Interrupted or PodLost.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
}

// CommandStatus is one dbt command of a run.
type CommandStatus struct {
	// command is the command line.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Command string `json:"command,omitempty"`

	// invocationId is dbt's own id of the invocation.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	InvocationID string `json:"invocationId,omitempty"`

	// startTime is when the command was started.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// endTime is when the command ended; unset when it was cut off.
	// +optional
	EndTime *metav1.Time `json:"endTime,omitempty"`

	// exitCode is dbt's exit code; -1 when it was ended by a signal.
	// +optional
	ExitCode *int32 `json:"exitCode,omitempty"`

	// note says how the command came to be begun again: resumed after a lost pod, begun anew and why, or its failed nodes
	// retried.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Note string `json:"note,omitempty"`
}

// Results counts nodes by how they ended, in dbt's words.
type Results struct {
	// success counts nodes that were built, and tests that passed.
	// +optional
	Success int32 `json:"success"`
	// warn counts tests that warned.
	// +optional
	Warn int32 `json:"warn"`
	// fail counts tests that failed.
	// +optional
	Fail int32 `json:"fail"`
	// error counts nodes that errored.
	// +optional
	Error int32 `json:"error"`
	// skipped counts nodes dbt skipped because of a node above them.
	// +optional
	Skipped int32 `json:"skipped"`
	// noOp counts nodes for which there was nothing to do.
	// +optional
	NoOp int32 `json:"noOp"`
	// reused counts nodes dbt 2.x took over from an earlier run.
	// +optional
	Reused int32 `json:"reused"`
}

// Failure is a node that did not end well.
type Failure struct {
	// uniqueId is dbt's unique_id, such as "model.shop.orders".
	// +optional
	// +kubebuilder:validation:MaxLength=512
	UniqueID string `json:"uniqueId,omitempty"`

	// resourceType is dbt's resource type, such as "model" or "test".
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ResourceType string `json:"resourceType,omitempty"`

	// status is dbt's node status, such as "error" or "fail".
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Status string `json:"status,omitempty"`

	// message is what dbt or the warehouse said, at most 1 KiB, redacted.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// path is the node's file in the project.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Path string `json:"path,omitempty"`
}

// NodeDuration is how long a node took.
type NodeDuration struct {
	// uniqueId is dbt's unique_id.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	UniqueID string `json:"uniqueId,omitempty"`

	// seconds the node took, with three decimals, such as "12.345".
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Seconds string `json:"seconds,omitempty"`
}

// Lineage is what a run's nodes read and make, as much of it as fits.
type Lineage struct {
	// nodes counts models, seeds, snapshots and sources of the whole project.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Nodes int32 `json:"nodes"`

	// edges counts the dependencies between them.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Edges int32 `json:"edges"`

	// inputs are relations that were read and not made here: sources.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MaxLength=512
	Inputs []string `json:"inputs,omitempty"`

	// outputs are relations made by the nodes that ran.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MaxLength=512
	Outputs []string `json:"outputs,omitempty"`

	// graph is the lineage graph in topological order, as much of it as fits.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=200
	Graph []LineageNode `json:"graph,omitempty"`

	// truncated says that inputs, outputs or graph do not hold everything.
	// +optional
	Truncated bool `json:"truncated,omitempty"`

	// artifact names the artifact of the run that holds everything.
	// +optional
	// +kubebuilder:validation:MaxLength=100
	Artifact string `json:"artifact,omitempty"`
}

// LineageNode is one node of the lineage graph.
type LineageNode struct {
	// id is dbt's unique_id.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	ID string `json:"id,omitempty"`

	// relation is the node's full name in the warehouse, for what makes one.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Relation string `json:"relation,omitempty"`

	// dependsOn are the unique_ids of its parents.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MaxLength=512
	DependsOn []string `json:"dependsOn,omitempty"`
}
