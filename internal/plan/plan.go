package plan

import (
	"encoding/json"
	"errors"
	"fmt"
)

// EnvVar is the environment variable that carries the plan as one JSON document.
const EnvVar = "DBT_OPERATOR_PLAN"

// Version is the only plan version this code writes and reads. An operator and its runner come from one image, so
// another version means that somebody else started the runner.
const Version = 1

// Paths inside the pod. The operator mounts them, the runner uses them.
const (
	// RunnerDir holds the runner binary, by image volume or copied there by an init container.
	RunnerDir = "/dbt-operator"
	// RunnerPath is the runner binary in the dbt container.
	RunnerPath = RunnerDir + "/runner"
	// Workspace is the one writable folder, a sized emptyDir. dbt's home, target, logs and the fetched source live in it.
	Workspace = "/workspace"
	// ConfigMapDir is where the project's ConfigMap is mounted.
	ConfigMapDir = "/var/run/dbtoperator.dev/source"
	// ProfilesDir is where the file named by DbtProject.spec.profiles is mounted, as profiles.yml.
	ProfilesDir = "/var/run/dbtoperator.dev/profiles"
	// TokensDir holds one file per projected token, named as the token is.
	TokensDir = "/var/run/secrets/dbtoperator.dev/tokens"
	// CollectorToken is the token that the pod shows to the collector. Kubelet renews it.
	CollectorToken = "/var/run/secrets/dbtoperator.dev/collector/token"
	// GitCredentialsDir holds the Secret of DbtProject.spec.source.git.credentialsSecretRef, in the init container only.
	GitCredentialsDir = "/var/run/secrets/dbtoperator.dev/git"
	// TerminationLog is the file kubelet reads the report from.
	TerminationLog = "/dev/termination-log"
)

// Plan says what the runner is to do. Times are seconds.
type Plan struct {
	Version int `json:"version"`
	// Run names the DbtRun, for log lines and for dbt's own records.
	Run Identity `json:"run"`
	// Source is where the dbt project comes from. Exactly one of its members is set.
	Source Source `json:"source"`
	// Commands are dbt argument vectors without the leading "dbt", run in order until one fails.
	Commands [][]string `json:"commands,omitempty"`
	// Vars is a JSON object merged under the --vars of every command: what the command says wins.
	Vars json.RawMessage `json:"vars,omitempty"`
	// Target is passed as --target; empty leaves it to the profile.
	Target string `json:"target,omitempty"`
	// Threads is passed as --threads; 0 leaves it to the profile.
	Threads int32 `json:"threads,omitempty"`
	// ProfilesDir is the folder of profiles.yml; empty means the project's own.
	ProfilesDir string `json:"profilesDir,omitempty"`
	// InstallDeps runs `dbt deps` first when the project asks for packages that are not there.
	InstallDeps bool `json:"installDeps,omitempty"`
	// LogFormat is what the pod prints: LogText or LogJSON.
	LogFormat string `json:"logFormat,omitempty"`
	// GracePeriodSeconds is how long the pod has between TERM and KILL.
	GracePeriodSeconds int64 `json:"gracePeriodSeconds,omitempty"`
	// Tokens are the projected tokens that dbt gets otherwise than as a file of TokensDir alone. Never their values.
	Tokens []Token `json:"tokens,omitempty"`
	// Collector is where the run's journal, log and artifacts go; nil when the operator keeps none.
	Collector *Collector `json:"collector,omitempty"`
	// Caches says which caches of its project the run may use; nil for none.
	Caches *Caches `json:"caches,omitempty"`
	// State is the run whose manifest dbt gets as --state; nil for none.
	State *State `json:"state,omitempty"`
	// RetryNodes says how often, and after how many seconds, nodes that failed are run again in the same pod.
	RetryNodes RetryNodes `json:"retryNodes,omitzero"`
	// ResumeFrom says that the run goes on from the failures of another run, whose journal the collector gives.
	ResumeFrom bool `json:"resumeFrom,omitempty"`
	// SecretEnv names the variables whose values are redacted from everything the pod prints or reports.
	SecretEnv []string `json:"secretEnv,omitempty"`
	// AWSIdentity says that the project has a token for AWS: without one, variables that redirect an AWS client to another
	// identity are not taken from envFrom.
	AWSIdentity bool `json:"awsIdentity,omitempty"`
}

// Token is a projected token that the runner hands on. Exactly one of Env and PGPass is set.
type Token struct {
	// Name is the token's file in TokensDir.
	Name string `json:"name"`
	// Env is the variable of dbt's process that gets the value.
	Env string `json:"env,omitempty"`
	// PGPass asks for a libpq password file that follows the token.
	PGPass *PGPass `json:"pgPass,omitempty"`
}

// PGPass says whom the password file is for.
type PGPass struct {
	// Host is the only server that gets the token, as the profile writes it; empty means any.
	Host string `json:"host,omitempty"`
}

// Collector is how a pod reaches the operator's collector.
type Collector struct {
	// URL is the base of all requests, such as "https://collector.dbt-operator-system.svc:9443".
	URL string `json:"url"`
	// CA are the PEM certificates of the authorities that sign the collector's own; they alone are trusted.
	CA string `json:"ca"`
}

// Caches are what lets a run begin warm: the packages that an earlier run of the project installed.
type Caches struct {
	// Write says that the run may put caches, and not only use what is there.
	Write bool `json:"write,omitempty"`
	// Parse says that what dbt parsed is kept, too.
	Parse bool `json:"parse,omitempty"`
}

// State is the run whose files the collector gives as state: that which the run's own status names, and no other.
type State struct {
	// Run is the DbtRun's name, for messages.
	Run string `json:"run"`
	// Manifest is "sha256:" and the digest that its manifest.json must have.
	Manifest string `json:"manifest"`
}

// RetryNodes says how nodes that failed are run again in the same pod.
type RetryNodes struct {
	Limit        int32 `json:"limit,omitempty"`
	DelaySeconds int32 `json:"delaySeconds,omitempty"`
}

// LogFormat values.
const (
	LogText = "Text"
	LogJSON = "JSON"
)

// Identity names a DbtRun.
type Identity struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	// Project is the DbtProject's name, empty for an inline project.
	Project string `json:"project,omitempty"`
	// ScheduledTime is the tick of a scheduled run, in RFC 3339 and UTC; empty for others.
	ScheduledTime string `json:"scheduledTime,omitempty"`
	// RequestedBy is the user who asked for the run, one line of at most 1 KiB and an ellipsis; empty when that is not
	// known.
	RequestedBy string `json:"requestedBy,omitempty"`
}

// Source is a union: exactly one member is set.
type Source struct {
	Git *Git `json:"git,omitempty"`
	// ConfigMap says that the project lies in ConfigMapDir: plain files, or an archive under the key project.tar.gz.
	ConfigMap *ConfigMap `json:"configMap,omitempty"`
	// Image says that the project is baked into the dbt image.
	Image *Image `json:"image,omitempty"`
}

// Git is a repository at one ref. At most one of Branch, Tag, Commit and Ref is set; none means the remote's HEAD.
type Git struct {
	URL    string `json:"url"`
	Branch string `json:"branch,omitempty"`
	Tag    string `json:"tag,omitempty"`
	Commit string `json:"commit,omitempty"`
	// Ref is a full ref name such as refs/pull/12/head.
	Ref string `json:"ref,omitempty"`
	// Path is the project's folder inside the repository, clean and relative; empty means the top.
	Path string `json:"path,omitempty"`
	// Credentials says that GitCredentialsDir is mounted in the init container, which alone then fetches.
	Credentials bool `json:"credentials,omitempty"`
}

// ConfigMap is a project out of a ConfigMap.
type ConfigMap struct {
	Name string `json:"name"`
}

// Image is a project baked into the dbt image at Path, an absolute folder.
type Image struct {
	Path string `json:"path"`
}

// Encode returns the plan as one JSON document.
func Encode(p Plan) (string, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("encoding the plan of run %s/%s: %w", p.Run.Namespace, p.Run.Name, err)
	}
	return string(b), nil
}

// ErrMissing is returned by Decode when there is no plan.
var ErrMissing = errors.New("environment variable " + EnvVar + " is empty: the runner is started by the operator, not by hand")

// Decode parses what Encode wrote and refuses another version.
func Decode(s string) (Plan, error) {
	if s == "" {
		return Plan{}, ErrMissing
	}
	var p Plan
	if err := json.Unmarshal([]byte(s), &p); err != nil {
		return Plan{}, fmt.Errorf("decoding %s: %w", EnvVar, err)
	}
	if p.Version != Version {
		return Plan{}, fmt.Errorf("%s has version %d, this runner reads version %d: the runner and the operator must come from the same image", EnvVar, p.Version, Version)
	}
	return p, nil
}
