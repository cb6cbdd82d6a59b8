package runjob

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/lastgood"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// Defaults that the CRD's markers state as well; they are repeated here for objects that no API server defaulted.
const (
	defaultStartTimeout = 900
	defaultRetryPods    = 3
	defaultRetryNodes   = 1
	defaultRetryDelay   = 30
	defaultGracePeriod  = 60
	defaultAccount      = "default"
)

// Resolved is a run together with the project as it was when the run began: no field of it needs a default.
type Resolved struct {
	// Project is the project's spec.
	Project *v1alpha1.DbtProjectSpec
	// Name and Generation of the DbtProject; InlineProject and 0 for a project in the run's spec.
	Name       string
	Generation int64
	// UID of the DbtProject, empty for a project in the run's spec; SourceDigest tells its sources apart.
	UID          types.UID
	SourceDigest string
	// State is what the run's status says of its state; nil unless spec.state is Auto.
	State *v1alpha1.StateStatus
	// Commands are the dbt command lines as words, without the leading "dbt".
	Commands [][]string

	Target       string
	Timeout      *time.Duration
	StartTimeout time.Duration
	RetryPods    int32
	RetryNodes   plan.RetryNodes
	GracePeriod  int64
	TTL          *time.Duration

	// Policy and Group say which runs are kept apart; Group is empty when none are.
	Policy v1alpha1.ConcurrencyPolicy
	Group  string
}

// Resolve returns a run with every field of its project, and every default, filled in. project is nil for a run with
// an inline project. commands are the run's, split into words.
func Resolve(run *v1alpha1.DbtRun, project *v1alpha1.DbtProject, commands [][]string) *Resolved {
	r := &Resolved{Project: run.Spec.Project, Name: v1alpha1.InlineProject, Commands: commands}
	if project != nil {
		r.Project, r.Name, r.Generation, r.UID = &project.Spec, project.Name, project.Generation, project.UID
		r.SourceDigest = lastgood.SourceDigest(project.Spec.Source)
	}
	defaults := r.Project.RunDefaults
	r.Target = firstNonEmpty(run.Spec.Target, r.Project.Target)
	r.Timeout = seconds(first(run.Spec.TimeoutSeconds, defaults.TimeoutSeconds))
	r.StartTimeout = ptr.Deref(seconds(first(run.Spec.StartTimeoutSeconds, defaults.StartTimeoutSeconds)), defaultStartTimeout*time.Second)
	r.TTL = seconds(first(run.Spec.TTLSecondsAfterFinished, defaults.TTLSecondsAfterFinished))
	retry := defaults.Retry
	if run.Spec.Retry != nil {
		retry = *run.Spec.Retry
	}
	r.RetryPods, r.RetryNodes = ptr.Deref(retry.Pods, defaultRetryPods), retryNodes(retry.Nodes)
	r.GracePeriod = defaultGracePeriod
	if r.Project.Pod != nil {
		r.GracePeriod = ptr.Deref(r.Project.Pod.TerminationGracePeriodSeconds, defaultGracePeriod)
	}
	r.Policy, r.Group = concurrency(r, project != nil)
	return r
}

func retryNodes(n *v1alpha1.NodeRetry) plan.RetryNodes {
	if n == nil {
		return plan.RetryNodes{}
	}
	return plan.RetryNodes{Limit: ptr.Deref(n.Limit, defaultRetryNodes), DelaySeconds: ptr.Deref(n.DelaySeconds, defaultRetryDelay)}
}

// concurrency returns the policy and group of a run. The default group is the project and the target; its separator
// cannot occur in a group that a user names.
func concurrency(r *Resolved, named bool) (v1alpha1.ConcurrencyPolicy, string) {
	var c v1alpha1.Concurrency
	if r.Project.Concurrency != nil {
		c = *r.Project.Concurrency
	}
	group := c.Group
	if group == "" && named {
		group = r.Name + "/" + r.Target
	}
	if group == "" {
		return v1alpha1.ConcurrencyAllow, ""
	}
	if c.Policy == "" {
		c.Policy = v1alpha1.ConcurrencyQueue
	}
	return c.Policy, group
}

// GroupLabel returns the value of LabelGroup for a group, empty for none. Groups may hold characters that labels may
// not, so the value is a digest.
func GroupLabel(group string) string {
	if group == "" {
		return ""
	}
	return digest(group, 16)
}

// Name returns the name of a run's Job: the run's name, cut, and a digest of its UID, so that a run that is deleted
// and made again never meets the old one's Job. At most 63 characters, as Jobs label their pods with it.
func Name(run *v1alpha1.DbtRun) string {
	const most = 63 - 1 - 8
	name := strings.ReplaceAll(run.Name, ".", "-")
	if len(name) > most {
		name = strings.TrimRight(name[:most], "-")
	}
	return name + "-" + digest(string(run.UID), 8)
}

// labelValue cuts a name to what a label value may be.
func labelValue(name string) string {
	const most = 63
	if len(name) > most {
		name = name[:most]
	}
	return strings.TrimRight(name, "-.")
}

func digest(s string, digits int) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])[:digits]
}

func seconds(s *int64) *time.Duration {
	if s == nil {
		return nil
	}
	return ptr.To(time.Duration(*s) * time.Second)
}

func first[T any](values ...*T) *T {
	for _, v := range values {
		if v != nil {
			return v
		}
	}
	return nil
}

func firstNonEmpty(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
