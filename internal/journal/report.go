package journal

import "slices"

// Version is the report version this code writes and reads.
const Version = 1

// MaxSummary is the size of an encoded report in bytes. Kubelet cuts a termination message at 4096.
const MaxSummary = 3072

// Outcome says how an attempt ended, as its runner saw it.
type Outcome string

// Outcomes.
const (
	// Succeeded: every command ended well.
	Succeeded Outcome = "Succeeded"
	// NodesFailed: dbt ran and at least one node errored or failed.
	NodesFailed Outcome = "NodesFailed"
	// DbtError: dbt could not do its work: a parse error, a missing profile, no connection, a crash.
	DbtError Outcome = "DbtError"
	// SourceFailed: the project could not be had and asking again would not help.
	SourceFailed Outcome = "SourceFailed"
	// SourceUnavailable: the project could not be had this time: a network or server fault.
	SourceUnavailable Outcome = "SourceUnavailable"
	// InvalidPlan: the plan cannot be carried out.
	InvalidPlan Outcome = "InvalidPlan"
	// Interrupted: the runner was told to stop and stopped dbt.
	Interrupted Outcome = "Interrupted"
	// OutOfMemory: the kernel killed dbt because the container was out of memory.
	OutOfMemory Outcome = "OutOfMemory"
)

// Exit codes of the runner. Kubernetes reads them in podFailurePolicy: those in FinalExitCodes end the run, any other
// code than 0 costs one of the run's pods.
const (
	ExitNodesFailed       = 10
	ExitDbtError          = 11
	ExitSourceFailed      = 12
	ExitInvalidPlan       = 13
	ExitSourceUnavailable = 20
	ExitInterrupted       = 21
	// ExitOutOfMemory is what a container ends with that is killed as a whole.
	ExitOutOfMemory = 137
)

// FinalExitCodes returns the exit codes after which another pod would end the same way, in ascending order.
func FinalExitCodes() []int32 {
	return []int32{ExitNodesFailed, ExitDbtError, ExitSourceFailed, ExitInvalidPlan}
}

// ExitCode returns the runner's exit code for an outcome; an unknown outcome is 1.
func (o Outcome) ExitCode() int {
	switch o {
	case Succeeded:
		return 0
	case NodesFailed:
		return ExitNodesFailed
	case DbtError:
		return ExitDbtError
	case SourceFailed:
		return ExitSourceFailed
	case InvalidPlan:
		return ExitInvalidPlan
	case SourceUnavailable:
		return ExitSourceUnavailable
	case Interrupted:
		return ExitInterrupted
	case OutOfMemory:
		return ExitOutOfMemory
	default:
		return 1
	}
}

// Final reports whether another pod would end the same way.
func (o Outcome) Final() bool {
	return slices.Contains(FinalExitCodes(), int32(o.ExitCode()))
}

// Report is what one attempt of a run says of itself. Every string in it is redacted, valid UTF-8 and bounded.
type Report struct {
	Version int `json:"v"`
	// RunUID is the UID of the DbtRun the attempt belongs to.
	RunUID  string  `json:"uid"`
	Outcome Outcome `json:"outcome"`
	// Message is one plain sentence on why the outcome is not Succeeded.
	Message string `json:"msg,omitempty"`
	// Source is the pinned revision: a git commit (40 hex digits), or "sha256:…" over a ConfigMap's files; empty for
	// a project baked into the image, which the image digest pins.
	Source string `json:"src,omitempty"`
	// Dbt is dbt's version, Adapter the adapter's name and version ("postgres=1.11.0").
	Dbt     string `json:"dbt,omitempty"`
	Adapter string `json:"adapter,omitempty"`

	Commands []Command `json:"cmds,omitempty"`
	// Selected is the number of nodes dbt set out to run, over all commands, 0 when unknown; Finished of them ended.
	Selected int32   `json:"sel,omitempty"`
	Finished int32   `json:"fin,omitempty"`
	Results  Results `json:"res"`
	// Failures are the first nodes that did not end well, at most MaxFailures.
	Failures []Failure `json:"fail,omitempty"`
	// Slowest are the nodes that took longest, at most MaxSlowest, longest first.
	Slowest []NodeTime `json:"slow,omitempty"`
	Lineage *Lineage   `json:"lin,omitempty"`
	// Running are nodes that run now, the longest first; a report that is a pod's last word has none.
	Running []string `json:"-"`
}

// Limits of lists in a Report.
const (
	MaxFailures = 10
	MaxSlowest  = 5
)

// Command is one dbt command of the run.
type Command struct {
	// Command is the command line as dbt got it, without the flags the operator adds.
	Command      string `json:"c"`
	InvocationID string `json:"id,omitempty"`
	// Start and End are Unix milliseconds; End is 0 when the command did not end.
	Start int64 `json:"s,omitempty"`
	End   int64 `json:"e,omitempty"`
	// ExitCode is dbt's own; -1 when it was ended by a signal or did not end.
	ExitCode int32 `json:"x"`
	// Note says why the command was begun more than once, and with what.
	Note string `json:"n,omitempty"`
}

// Results counts node results by status.
type Results struct {
	Success int32 `json:"ok,omitempty"`
	Warn    int32 `json:"warn,omitempty"`
	Fail    int32 `json:"fail,omitempty"`
	Error   int32 `json:"err,omitempty"`
	Skipped int32 `json:"skip,omitempty"`
	NoOp    int32 `json:"noop,omitempty"`
	Reused  int32 `json:"reuse,omitempty"`
}

// Failure is one node that did not end well.
type Failure struct {
	UniqueID     string `json:"id"`
	ResourceType string `json:"t,omitempty"`
	// Status is dbt's node status: error, fail, runtime error, partial success, cancelled.
	Status  string `json:"st"`
	Message string `json:"m,omitempty"`
	// Path is the node's file, relative to the project.
	Path string `json:"p,omitempty"`
}

// NodeTime is how long one node took.
type NodeTime struct {
	UniqueID string  `json:"id"`
	Seconds  float64 `json:"s"`
}

// Lineage is what the project's manifest says about the nodes of the run.
type Lineage struct {
	// Nodes and Edges count the whole graph: models, seeds, snapshots and sources, and what each depends on.
	Nodes int32 `json:"n"`
	Edges int32 `json:"e"`
	// Inputs are relations read but not made here (sources); Outputs are relations made by nodes that ran.
	Inputs  []string `json:"in,omitempty"`
	Outputs []string `json:"out,omitempty"`
	// Graph is as much of the graph as fits, in topological order.
	Graph []GraphNode `json:"-"`
	// Truncated says that Inputs, Outputs or Graph are not complete.
	Truncated bool `json:"tr,omitempty"`
}

// GraphNode is one node of the lineage graph.
type GraphNode struct {
	// ID is the unique_id.
	ID string
	// Relation is the full name in the warehouse, empty for what makes none.
	Relation string
	// DependsOn are the unique_ids of its parents.
	DependsOn []string
}
