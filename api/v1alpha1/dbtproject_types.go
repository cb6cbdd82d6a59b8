package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// DbtProject says what to run, on what, and as whom: a dbt project's source, the image that holds dbt and its
// adapter, and the identity its runs have. It is written by the platform team; whoever may write one can run any
// code under its service account, so writing it is as strong as creating pods.
//
// A change is used by runs that begin after it. It never touches a run that has begun.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=dbtproj,categories=dbt
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.image`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.target`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Author",type=string,priority=1,JSONPath=`.spec.requestedBy.username`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type DbtProject struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what to run, on what, and as whom.
	// +required
	Spec DbtProjectSpec `json:"spec,omitzero"`

	// status is what the operator found. Before, observedGeneration is -1: kstatus takes an object without
	// a status for done.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status DbtProjectStatus `json:"status,omitempty,omitzero"`
}

// DbtProjectList is a list of DbtProjects.
//
// +kubebuilder:object:root=true
type DbtProjectList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DbtProject `json:"items"`
}

// DbtProjectSpec is what to run, on what, and as whom.
//
// +kubebuilder:validation:XValidation:rule="!has(self.env) || self.env.all(e, !(e.name in ['AWS_ROLE_ARN', 'AWS_WEB_IDENTITY_TOKEN_FILE', 'AWS_ROLE_SESSION_NAME'])) || (has(self.tokens) && self.tokens.exists(t, t.audience == 'sts.amazonaws.com'))",message="env names an AWS identity variable (AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE or AWS_ROLE_SESSION_NAME), but no entry of tokens has the audience sts.amazonaws.com: add that token, or remove the variable"
// +kubebuilder:validation:XValidation:rule="!has(self.tokens) || self.tokens.filter(t, has(t.delivery) && t.delivery == 'PGPassFile').size() <= 1",message="only one entry of tokens can have delivery PGPassFile: libpq reads one password file"
// +kubebuilder:validation:XValidation:rule="!has(self.tokens) || !self.tokens.exists(t, has(t.delivery) && t.delivery == 'PGPassFile') || ((!has(self.env) || self.env.all(e, !(e.name in ['PGPASSFILE', 'PGPASSWORD']))) && self.tokens.all(t, !has(t.env) || !(t.env in ['PGPASSFILE', 'PGPASSWORD'])))",message="env or a token sets PGPASSFILE or PGPASSWORD, beside a token with delivery PGPassFile that is in their place: remove the variable, or the delivery"
// +kubebuilder:validation:XValidation:rule="!has(self.tokens) || !has(self.env) || self.tokens.all(t, !has(t.env) || self.env.all(e, e.name != t.env))",message="env sets a variable that an entry of tokens is delivered in: remove one of them, or give one another name"
// +kubebuilder:validation:XValidation:rule="!has(self.tokens) || !has(self.runDefaults) || !has(self.runDefaults.timeoutSeconds) || self.tokens.all(t, !has(t.env) || (has(t.expirationSeconds) ? t.expirationSeconds : 3600) >= self.runDefaults.timeoutSeconds)",message="a token with delivery Env is given once and must last as long as the run: expirationSeconds must be at least runDefaults.timeoutSeconds; raise it, lower the timeout, or use a delivery that follows the renewed token"
type DbtProjectSpec struct {
	// source is where the dbt project comes from: exactly one of git, configMap and image.
	// +required
	Source Source `json:"source,omitzero"`

	// image is the container image that holds dbt and its adapter, for example "registry.example.com/dbt:1.11". The
	// command `dbt` must be on its PATH. It runs as user 65532 with a read-only root. A tag is resolved once for each
	// run and the digest recorded in the run's status. 1 to 512 characters, no white space.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.matches('[[:space:]]') && !self.startsWith('-')",message="image must be an image reference such as registry.example.com/dbt:1.11, without white space"
	Image string `json:"image,omitempty"`

	// imagePullPolicy is when the image is pulled. Unset: Kubernetes' own rule, Always for the tag latest and
	// IfNotPresent otherwise.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// profiles is the Secret or ConfigMap that holds dbt's profiles.yml. Unset: the project's own profiles.yml. When
	// it is set, the project's own is ignored.
	// +optional
	Profiles *Profiles `json:"profiles,omitempty"`

	// target is dbt's target, passed as --target. Unset: the profile's own default. A run's target overrides it. At
	// most 63 characters: letters, digits, underscore, dash and dot.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_][A-Za-z0-9_.-]*$')",message="target must be letters, digits, underscores, dashes and dots, and must not begin with a dash or a dot"
	Target string `json:"target,omitempty"`

	// threads is dbt's number of threads, passed as --threads. Unset: what the profile says. 1 to 256.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=256
	Threads *int32 `json:"threads,omitempty"`

	// env are environment variables of the dbt container, literal or by valueFrom. Values that come from a Secret are
	// redacted from what the pod prints and reports. Names the operator owns are refused: LD_*, PYTHON*, HOME, PATH,
	// TMPDIR, DBT_PROFILES_DIR, DBT_PROJECT_DIR, DBT_TARGET_PATH, DBT_LOG_*, DBT_SCHEDULED_TIME, the same behind
	// DBT_ENGINE_, DBT_ENV_CUSTOM_ENV_RUN_*, and DBT_OPERATOR_*; AWS identity variables are accepted only beside a token for
	// sts.amazonaws.com. At most 64.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(e, !e.name.startsWith('LD_') && !e.name.startsWith('PYTHON') && !e.name.startsWith('DBT_LOG_') && !e.name.startsWith('DBT_ENGINE_LOG_') && !e.name.startsWith('DBT_OPERATOR_') && !e.name.startsWith('DBT_ENV_CUSTOM_ENV_RUN_') && !e.name.startsWith('DBT_ENGINE_ENV_CUSTOM_ENV_RUN_') && !(e.name in ['HOME', 'PATH', 'TMPDIR', 'DBT_PROFILES_DIR', 'DBT_PROJECT_DIR', 'DBT_TARGET_PATH', 'DBT_SCHEDULED_TIME', 'DBT_ENGINE_PROFILES_DIR', 'DBT_ENGINE_PROJECT_DIR', 'DBT_ENGINE_TARGET_PATH', 'DBT_ENGINE_SCHEDULED_TIME']))",message="env holds a name the operator owns (LD_*, PYTHON*, HOME, PATH, TMPDIR, DBT_PROFILES_DIR, DBT_PROJECT_DIR, DBT_TARGET_PATH, DBT_LOG_*, DBT_SCHEDULED_TIME, the same behind DBT_ENGINE_, DBT_ENV_CUSTOM_ENV_RUN_*, DBT_OPERATOR_*): remove it; use spec.profiles for profiles.yml and spec.logFormat for what is logged"
	Env []corev1.EnvVar `json:"env,omitempty"`

	// envFrom takes environment variables from Secrets and ConfigMaps. Values that come from a Secret are redacted from what
	// the pod prints and reports. Names the operator owns (see env) are dropped before dbt starts, and so are AWS identity
	// variables without a token for sts.amazonaws.com; a value that the image has under such a name is lost, so a run whose
	// envFrom brings PATH fails. At most 16.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	EnvFrom []corev1.EnvFromSource `json:"envFrom,omitempty"`

	// serviceAccountName is the ServiceAccount whose projected tokens the run holds. Its API token is never mounted.
	// Unset: "default".
	// +optional
	// +kubebuilder:default=default
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="serviceAccountName must be the name of a ServiceAccount in this namespace: lower-case letters, digits, dashes and dots, with no slash"
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// tokens are short-lived service-account tokens, one file each at
	// /var/run/secrets/dbtoperator.dev/tokens/<name>, made by kubelet for this pod alone and renewed by it. At most 8, and
	// at most one with delivery PGPassFile.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.env) || self.exists_one(u, has(u.env) && u.env == t.env))",message="two entries of tokens have the same env: give each a variable of its own"
	Tokens []Token `json:"tokens,omitempty"`

	// volumes are further files of the dbt container: key files, a DuckDB database. A closed list of kinds; host paths
	// are not among them. At most 16.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Volumes []Volume `json:"volumes,omitempty"`

	// deps says whether `dbt deps` runs before the first command. Auto: when packages.yml or dependencies.yml ask for
	// packages that are not in dbt_packages. Packages that a package-lock.yml pins are then kept by the operator's
	// collector, and installed once for all runs with that lock. Never: the packages are in the source or the image.
	// +optional
	// +kubebuilder:default=Auto
	Deps DepsPolicy `json:"deps,omitempty"`

	// partialParse says whether a run parses on from what an earlier run of the project parsed. Auto: when no file, setting
	// or version differs, and no configuration in the project depends on the time or on dbt's flags; it needs the
	// operator's collector, and dbt 1.x. Never: each run parses everything.
	// +optional
	// +kubebuilder:default=Auto
	PartialParse PartialParsePolicy `json:"partialParse,omitempty"`

	// logFormat is what the pod prints. Text: a line for people. JSON: dbt's own event with the run, its namespace and
	// project added, one a line, for log collectors.
	// +optional
	// +kubebuilder:default=Text
	LogFormat LogFormat `json:"logFormat,omitempty"`

	// pod shapes the run's pod: resources, scheduling, labels.
	// +optional
	Pod *PodSettings `json:"pod,omitempty"`

	// queueName is the Kueue LocalQueue that admits the run's Job. The run is Queued while Kueue holds the Job
	// suspended. Unset: no queue. At most 63 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="queueName must be the name of a LocalQueue in this namespace: lower-case letters, digits and dashes"
	QueueName string `json:"queueName,omitempty"`

	// concurrency says what happens when a run begins while another of its group is active.
	// +optional
	Concurrency *Concurrency `json:"concurrency,omitempty"`

	// runDefaults are used by runs that do not set the field themselves.
	// +optional
	// +kubebuilder:default={}
	RunDefaults RunDefaults `json:"runDefaults,omitempty,omitzero"`

	// requestedBy is the project's author: who last changed its spec. It is stamped by the API server, which overwrites
	// what is written here; an update that changes nothing else of the spec leaves it as it was. Unset: the cluster does
	// not stamp, or the project is inline.
	// +optional
	RequestedBy *Requester `json:"requestedBy,omitempty"`
}

// DepsPolicy says whether `dbt deps` runs before the first command.
//
// +kubebuilder:validation:Enum=Auto;Never
type DepsPolicy string

// Deps policies.
const (
	DepsAuto  DepsPolicy = "Auto"
	DepsNever DepsPolicy = "Never"
)

// PartialParsePolicy says whether a run parses on from what an earlier one parsed.
//
// +kubebuilder:validation:Enum=Auto;Never
type PartialParsePolicy string

// Partial parse policies.
const (
	PartialParseAuto  PartialParsePolicy = "Auto"
	PartialParseNever PartialParsePolicy = "Never"
)

// LogFormat is what the pod prints.
//
// +kubebuilder:validation:Enum=Text;JSON
type LogFormat string

// Log formats.
const (
	LogText LogFormat = "Text"
	LogJSON LogFormat = "JSON"
)

// ConcurrencyPolicy says what a run does when another of its group is active.
//
// +kubebuilder:validation:Enum=Queue;Allow;Reject;Replace
type ConcurrencyPolicy string

// Concurrency policies.
const (
	// ConcurrencyQueue waits until the others are over, in order of creation.
	ConcurrencyQueue ConcurrencyPolicy = "Queue"
	// ConcurrencyAllow begins at once, beside the others.
	ConcurrencyAllow ConcurrencyPolicy = "Allow"
	// ConcurrencyReject fails the new run with reason Rejected.
	ConcurrencyReject ConcurrencyPolicy = "Reject"
	// ConcurrencyReplace cancels the others and begins when their pods are gone.
	ConcurrencyReplace ConcurrencyPolicy = "Replace"
)

// Concurrency says which runs are kept apart and how.
type Concurrency struct {
	// policy says what a run does when another of its group is active. Queue: it waits its turn, in order of creation.
	// Allow: it begins beside the others. Reject: it fails with reason Rejected. Replace: it cancels the others and
	// begins when their pods are gone. Unset: Queue; but Allow for a run with an inline project and no group.
	// +optional
	Policy ConcurrencyPolicy `json:"policy,omitempty"`

	// group names the runs that are kept apart, across all projects of the namespace. Unset: the project and the
	// target, so that two runs never write to one target at a time. At most 63 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",message="group must be letters, digits, dashes, underscores and dots, and begin and end with a letter or digit"
	Group string `json:"group,omitempty"`
}

// RunDefaults are used by runs that do not set the field themselves.
type RunDefaults struct {
	// timeoutSeconds bounds a run from the moment its Job starts; see DbtRun. Unset: no bound. 1 to 2592000 (30 days).
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2592000
	TimeoutSeconds *int64 `json:"timeoutSeconds,omitempty"`

	// startTimeoutSeconds bounds the time from the Job's start until dbt's container runs. 1 to 86400.
	// +optional
	// +kubebuilder:default=900
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	StartTimeoutSeconds *int64 `json:"startTimeoutSeconds,omitempty"`

	// retry says how often lost work is begun again.
	// +optional
	// +kubebuilder:default={}
	Retry Retry `json:"retry,omitempty,omitzero"`

	// ttlSecondsAfterFinished deletes a run, its Job and its pods this long after its end. Unset: they are kept. 0 to
	// 31536000 (a year).
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=31536000
	TTLSecondsAfterFinished *int64 `json:"ttlSecondsAfterFinished,omitempty"`
}

// Retry says how often lost work is begun again.
type Retry struct {
	// pods is how many pods may be lost (out of memory, deleted, crashed, source not reachable) before the run fails.
	// A pod that was evicted or whose node went away does not count, and a run that dbt itself failed is not begun
	// again. 0 to 20.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=20
	Pods *int32 `json:"pods,omitempty"`

	// nodes says how often nodes that failed are run again in the same pod, as "dbt retry" does: the failed ones and those
	// that were skipped because of them. Unset: they are not.
	// +optional
	Nodes *NodeRetry `json:"nodes,omitempty"`
}

// NodeRetry says how nodes that failed are run again.
type NodeRetry struct {
	// limit is how many times at most, for each command. 1 to 10.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10
	Limit *int32 `json:"limit,omitempty"`

	// delaySeconds is how long to wait before each time: what failed in the warehouse may need time to pass. 0 to 3600.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	DelaySeconds *int32 `json:"delaySeconds,omitempty"`
}

// DbtProjectStatus is what the operator found.
type DbtProjectStatus struct {
	// observedGeneration is the generation of the spec that the conditions speak of; -1 before
	// the operator has seen the object.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions hold Ready: True when a run can be made of this project, False with the field, what was found and what
	// would do.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// lastGood are the last good runs, one for each target: the newest that built with it, succeeded, was of the project's
	// own ref, and went on from no other run. At most 20, the newest first; the oldest is dropped. Runs with state: Auto get
	// their manifest. A run that is deleted stays here until a newer one succeeds: an older one must not be taken for the
	// last. Empty where the operator keeps no artifacts.
	// +optional
	// +listType=map
	// +listMapKey=target
	// +kubebuilder:validation:MaxItems=20
	LastGood []GoodRun `json:"lastGood,omitempty"`
}

// GoodRun is the newest run of a target that succeeded.
type GoodRun struct {
	// target is the one the run began with. Empty: the profile's default.
	// +required
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=63
	Target string `json:"target"`

	// run is the DbtRun's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Run string `json:"run,omitempty"`

	// uid of the DbtRun.
	// +required
	UID types.UID `json:"uid,omitempty"`

	// revision is what it ran on: a commit hash, or "sha256:…" over the files of a ConfigMap. Empty for a baked project.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Revision string `json:"revision,omitempty"`

	// time is when it was recorded to have succeeded.
	// +required
	Time metav1.Time `json:"time,omitempty,omitzero"`

	// manifestDigest is "sha256:" and the digest of its manifest.json. Empty: none was kept, and the target has no state.
	// +optional
	// +kubebuilder:validation:MaxLength=71
	ManifestDigest string `json:"manifestDigest,omitempty"`

	// sourceDigest is the run's status.project.sourceDigest. The state is not used by a project that has another source.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	SourceDigest string `json:"sourceDigest,omitempty"`
}
