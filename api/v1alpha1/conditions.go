package v1alpha1

// Condition types.
const (
	// ConditionSucceeded is the one truth about a DbtRun: Unknown while in progress, then True or False.
	ConditionSucceeded = "Succeeded"
	// ConditionReady, ConditionReconciling and ConditionStalled follow kstatus: a run in progress is Reconciling, one
	// that succeeded is Ready, one that failed or was cancelled is Stalled.
	// https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
	ConditionReady       = "Ready"
	ConditionReconciling = "Reconciling"
	ConditionStalled     = "Stalled"
	// ConditionLastRunSucceeded is how the newest run of a DbtSchedule that ended did.
	ConditionLastRunSucceeded = "LastRunSucceeded"
	// ConditionAuthorized says of a DbtSchedule whether its author may run what it runs, as found when it was last asked:
	// before each firing, and after each change of the spec.
	ConditionAuthorized = "Authorized"
	// ConditionResultsAvailable says of a DbtRun that is over whether its whole log and its artifacts are kept.
	ConditionResultsAvailable = "ResultsAvailable"
)

// Reasons of the ResultsAvailable condition.
const (
	// ReasonStored: everything the run had to send is there.
	ReasonStored = "Stored"
	// ReasonUploading: the run is over and its pod is still sending.
	ReasonUploading = "Uploading"
	// ReasonIncomplete: the pod ended before it had sent everything.
	ReasonIncomplete = "Incomplete"
	// ReasonCollectorUnreachable: nothing reached the collector; the status is from the pod's own last report.
	ReasonCollectorUnreachable = "CollectorUnreachable"
)

// Reasons of the Succeeded condition while it is Unknown.
const (
	ReasonPending    = "Pending"
	ReasonQueued     = "Queued"
	ReasonStarting   = "Starting"
	ReasonRunning    = "Running"
	ReasonRetrying   = "Retrying"
	ReasonCancelling = "Cancelling"
	ReasonSuspended  = "Suspended"
)

// Reasons of the Succeeded condition once it is True or False.
const (
	ReasonSucceeded       = "Succeeded"
	ReasonNodesFailed     = "NodesFailed"
	ReasonDbtError        = "DbtError"
	ReasonInvalidSpec     = "InvalidSpec"
	ReasonProjectNotFound = "ProjectNotFound"
	ReasonStateNotFound   = "StateNotFound"
	ReasonSourceFailed    = "SourceFailed"
	ReasonImagePullFailed = "ImagePullFailed"
	ReasonStartTimeout    = "StartTimeout"
	ReasonTimedOut        = "TimedOut"
	ReasonOutOfMemory     = "OutOfMemory"
	ReasonPodLost         = "PodLost"
	ReasonJobMissing      = "JobMissing"
	ReasonCancelled       = "Cancelled"
	ReasonRejected        = "Rejected"
)

// ReasonValid is the reason of a DbtProject's Ready condition when it is True; ReasonInvalidSpec when it is False.
const ReasonValid = "Valid"

// Reasons of a DbtSchedule's Ready condition: Ticking and Suspended when it is True, the others, InvalidSpec and
// ProjectNotFound when it is False.
const (
	ReasonTicking           = "Ticking"
	ReasonScheduleSuspended = "Suspended"
	// ReasonUpstreamNotFound: a schedule named in after is not there.
	ReasonUpstreamNotFound = "UpstreamNotFound"
	// ReasonUpstreamLoop: the schedules named in after wait for this one.
	ReasonUpstreamLoop = "UpstreamLoop"
	// ReasonNameTaken: somebody else's DbtRun has the name of a tick's run.
	ReasonNameTaken = "NameTaken"
	// ReasonRunRefused: the API server refuses to take a run.
	ReasonRunRefused = "RunRefused"
	// ReasonClockBehind: the newest tick lies in the future of the operator's clock.
	ReasonClockBehind = "ClockBehind"
)

// Reasons of a DbtSchedule's Authorized condition.
const (
	// ReasonAllowed: the author may.
	ReasonAllowed = "Allowed"
	// ReasonDenied: the author may not, and no runs are made.
	ReasonDenied = "Denied"
	// ReasonNoAuthor: the schedule names no author, so that nobody's right can be checked; runs are made.
	ReasonNoAuthor = "NoAuthor"
)

// Label and annotation keys on runs, Jobs and pods the operator makes.
const (
	// LabelRun holds the run's name, cut to 63 characters.
	LabelRun = "dbtoperator.dev/run"
	// LabelRunUID holds the run's UID: the operator finds pods by it.
	LabelRunUID = "dbtoperator.dev/run-uid"
	// LabelProject holds the project's name, cut to 63 characters.
	LabelProject = "dbtoperator.dev/project"
	// LabelSchedule holds the name of the DbtSchedule that made a run.
	LabelSchedule = "dbtoperator.dev/schedule"
	// LabelGroup holds a digest of the concurrency group.
	LabelGroup = "dbtoperator.dev/concurrency-group"
	// LabelManagedBy and ManagedBy select every object the operator made.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	ManagedBy      = "dbt-operator"
	// LabelShard says which of several managers works on a DbtRun, DbtSchedule or DbtProject, and on a run's Job and pods.
	LabelShard = "dbtoperator.dev/shard"
	// LabelQueue is Kueue's label for the local queue of a Job.
	LabelQueue = "kueue.x-k8s.io/queue-name"
	// AnnotationRun holds the run's whole name, AnnotationProject the project's.
	AnnotationRun     = "dbtoperator.dev/run"
	AnnotationProject = "dbtoperator.dev/project"
	// AnnotationProjectGeneration holds the generation of the DbtProject that a Job was made of.
	AnnotationProjectGeneration = "dbtoperator.dev/project-generation"
	// AnnotationProjectUID, AnnotationTarget and AnnotationSourceDigest hold what a Job was made of beside: the DbtProject's
	// UID, dbt's target and a digest of where the source is. AnnotationState holds the run's status.state as JSON.
	AnnotationProjectUID   = "dbtoperator.dev/project-uid"
	AnnotationTarget       = "dbtoperator.dev/target"
	AnnotationSourceDigest = "dbtoperator.dev/source-digest"
	AnnotationState        = "dbtoperator.dev/state"
	// AnnotationStartTimeout and AnnotationTTL hold what was resolved when the run began, in seconds, so that a later
	// edit of the project does not touch the run.
	AnnotationStartTimeout = "dbtoperator.dev/start-timeout-seconds"
	AnnotationTTL          = "dbtoperator.dev/ttl-seconds-after-finished"
	// AnnotationAgent names the agent through which the requester of a DbtRun asked for it, as name/version, such as
	// "claude-code/2.1": `kubectl dbt mcp` writes it on the runs it makes. It is what the agent says of itself: whoever may
	// create the run may write anything there, or leave it out. Who asked is spec.requestedBy.
	AnnotationAgent = "dbtoperator.dev/agent"
	// AnnotationTraceParent on a DbtRun holds the caller's span, as the traceparent header of W3C Trace Context has it: the run's
	// trace becomes part of the caller's. One that is malformed is ignored.
	AnnotationTraceParent = "dbtoperator.dev/traceparent"
	// AnnotationDatasetNamespace on a DbtProject is the namespace of the datasets in the OpenLineage events of its runs, such as
	// "postgres://warehouse.example.com:5432". It comes before the manager's --openlineage-dataset-namespace.
	AnnotationDatasetNamespace = "dbtoperator.dev/openlineage-dataset-namespace"
)

// InlineProject stands for the project's name in the status of a run with an inline project.
const InlineProject = "(inline)"
