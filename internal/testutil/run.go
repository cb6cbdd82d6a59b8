package testutil

import (
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// RunWrapper builds a DbtRun.
type RunWrapper struct{ v1alpha1.DbtRun }

// MakeDbtRun begins a DbtRun without a project, in no namespace.
func MakeDbtRun(name string) *RunWrapper {
	return &RunWrapper{v1alpha1.DbtRun{ObjectMeta: metav1.ObjectMeta{Name: name}}}
}

// Obj returns a copy of the run.
func (w *RunWrapper) Obj() *v1alpha1.DbtRun { return w.DeepCopy() }

// Clone returns a wrapper that shares nothing with this one.
func (w *RunWrapper) Clone() *RunWrapper { return &RunWrapper{*w.DeepCopy()} }

// Label sets a label.
func (w *RunWrapper) Label(key, value string) *RunWrapper {
	if w.Labels == nil {
		w.Labels = map[string]string{}
	}
	w.Labels[key] = value
	return w
}

// Namespace sets the namespace.
func (w *RunWrapper) Namespace(ns string) *RunWrapper {
	w.DbtRun.Namespace = ns
	return w
}

// UID sets what an API server would.
func (w *RunWrapper) UID(uid string) *RunWrapper {
	w.DbtRun.UID = types.UID(uid)
	return w
}

// Created sets what an API server would.
func (w *RunWrapper) Created(at time.Time) *RunWrapper {
	w.CreationTimestamp = metav1.NewTime(at)
	return w
}

// Project names the DbtProject.
func (w *RunWrapper) Project(name string) *RunWrapper {
	w.Spec.ProjectRef = &v1alpha1.ProjectReference{Name: name}
	return w
}

// RequestedBy sets who the API server says created the run.
func (w *RunWrapper) RequestedBy(name string, groups ...string) *RunWrapper {
	w.Spec.RequestedBy = &v1alpha1.Requester{Username: name, Groups: groups}
	return w
}

// Inline sets a project in the run itself.
func (w *RunWrapper) Inline(p *v1alpha1.DbtProject) *RunWrapper {
	w.Spec.Project = p.Spec.DeepCopy()
	return w
}

// Command adds command lines.
func (w *RunWrapper) Command(lines ...string) *RunWrapper {
	w.Spec.Commands = append(w.Spec.Commands, lines...)
	return w
}

// Var adds a variable with a JSON value.
func (w *RunWrapper) Var(name, json string) *RunWrapper {
	if w.Spec.Vars == nil {
		w.Spec.Vars = map[string]apiextensionsv1.JSON{}
	}
	w.Spec.Vars[name] = apiextensionsv1.JSON{Raw: []byte(json)}
	return w
}

// Target sets dbt's target.
func (w *RunWrapper) Target(target string) *RunWrapper {
	w.Spec.Target = target
	return w
}

// Revision sets the git revision.
func (w *RunWrapper) Revision(revision string) *RunWrapper {
	w.Spec.Revision = revision
	return w
}

// Cancel asks the run to stop.
func (w *RunWrapper) Cancel() *RunWrapper {
	w.Spec.Cancel = ptr.To(true)
	return w
}

// Timeout sets timeoutSeconds.
func (w *RunWrapper) Timeout(seconds int64) *RunWrapper {
	w.Spec.TimeoutSeconds = &seconds
	return w
}

// StartTimeout sets startTimeoutSeconds.
func (w *RunWrapper) StartTimeout(seconds int64) *RunWrapper {
	w.Spec.StartTimeoutSeconds = &seconds
	return w
}

// TTL sets ttlSecondsAfterFinished.
func (w *RunWrapper) TTL(seconds int64) *RunWrapper {
	w.Spec.TTLSecondsAfterFinished = &seconds
	return w
}

// RetryPods sets retry.pods.
func (w *RunWrapper) RetryPods(n int32) *RunWrapper {
	w.Spec.Retry = &v1alpha1.Retry{Pods: &n}
	return w
}

// RetryNodes sets how often, and after how many seconds, failed nodes are run again.
func (w *RunWrapper) RetryNodes(limit, delay int32) *RunWrapper {
	if w.Spec.Retry == nil {
		w.Spec.Retry = &v1alpha1.Retry{}
	}
	w.Spec.Retry.Nodes = &v1alpha1.NodeRetry{Limit: ptr.To(limit), DelaySeconds: ptr.To(delay)}
	return w
}

// ResumeFrom names the run to go on from.
func (w *RunWrapper) ResumeFrom(name string) *RunWrapper {
	w.Spec.ResumeFrom = &v1alpha1.RunReference{Name: name}
	return w
}

// Job records the run's Job in its status.
func (w *RunWrapper) Job(name, uid string) *RunWrapper {
	w.Status.Job = &v1alpha1.JobReference{Name: name, UID: types.UID(uid)}
	return w
}

// Truth records the Succeeded condition in the run's status, and the phase with it.
func (w *RunWrapper) Truth(phase v1alpha1.Phase, status metav1.ConditionStatus, reason, message string) *RunWrapper {
	w.Status.Phase, w.Status.Message = phase, message
	w.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionSucceeded, Status: status, Reason: reason, Message: message,
	}}
	return w
}

// Completed records the run's end in its status.
func (w *RunWrapper) Completed(at time.Time) *RunWrapper {
	w.Status.CompletionTime = ptr.To(metav1.NewTime(at))
	return w
}

// JSON returns a JSON value.
func JSON(raw string) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: []byte(raw)} }

// Cancel asks a run to stop.
func Cancel(run *v1alpha1.DbtRun) { run.Spec.Cancel = ptr.To(true) }

// Ptr returns a pointer to a value.
func Ptr[T any](v T) *T { return &v }

// NoProject takes the DbtProject's name away.
func (w *RunWrapper) NoProject() *RunWrapper {
	w.Spec.ProjectRef = nil
	return w
}

// State asks for the state of the last good run of a target, of the run's own when that is empty.
func (w *RunWrapper) State(target string) *RunWrapper {
	w.Spec.State, w.Spec.StateTarget = v1alpha1.StateAuto, target
	return w
}

// Good makes the run one that succeeded at a time, of a project, with a target and a manifest.json of this digest; none is
// kept when that is empty.
func (w *RunWrapper) Good(of *v1alpha1.DbtProject, target, digest, sourceDigest string, at time.Time) *RunWrapper {
	w.Project(of.Name).Truth(v1alpha1.PhaseSucceeded, metav1.ConditionTrue, "Succeeded", "It succeeded.").Completed(at)
	w.Status.Conditions[0].LastTransitionTime = metav1.NewTime(at)
	w.Status.Project = &v1alpha1.ProjectStatus{Name: of.Name, UID: of.UID, Target: target, SourceDigest: sourceDigest}
	w.Status.Job = &v1alpha1.JobReference{Name: w.Name, UID: "job-" + w.DbtRun.UID}
	w.Status.Revision = &v1alpha1.Revision{Source: "commit-of-" + w.Name, Image: "sha256:1"}
	w.Status.Conditions = append(w.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionResultsAvailable, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonStored})
	if digest != "" {
		w.Status.Artifacts = []v1alpha1.Artifact{{Name: "lineage.json", Digest: "sha256:lineage"}, {Name: "manifest.json", Digest: digest}}
	}
	return w
}

// Sending makes the files of a good run be still on their way.
func (w *RunWrapper) Sending() *RunWrapper {
	w.Status.Artifacts = nil
	w.Status.Conditions[1].Status, w.Status.Conditions[1].Reason = metav1.ConditionFalse, v1alpha1.ReasonUploading
	return w
}
