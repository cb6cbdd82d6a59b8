package runjob

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/text"
)

// Delivery says how the runner binary reaches dbt's container.
type Delivery string

// Deliveries.
const (
	// DeliverByImageVolume mounts the operator's image. It needs Kubernetes 1.36 and a runtime with image volumes, and
	// saves the 1.4 s that an init container costs each run.
	DeliverByImageVolume Delivery = "image-volume"
	// DeliverByInitContainer copies the runner from an init container. It works on every cluster.
	DeliverByInitContainer Delivery = "init-container"
)

// Options are the operator's own settings.
type Options struct {
	// OperatorImage holds the runner.
	OperatorImage string
	// OperatorPullPolicy is when OperatorImage is pulled; empty is Kubernetes' own rule.
	OperatorPullPolicy corev1.PullPolicy
	Delivery           Delivery
	// Collector is how pods reach the operator's collector, nil when it has none.
	Collector *plan.Collector
}

// ContainerName is the name of dbt's container; PrepareContainerName and InstallContainerName those of init containers.
const (
	ContainerName        = "dbt"
	PrepareContainerName = "prepare"
	InstallContainerName = "install-runner"
)

// Build returns the Job of a run. It is created once and never updated, so everything that must not change while the
// run is under way is in it.
func Build(run *v1alpha1.DbtRun, r *Resolved, opts Options) (*batchv1.Job, error) {
	pod, err := podTemplate(run, r, opts)
	if err != nil {
		return nil, err
	}
	notes, err := annotations(run, r)
	if err != nil {
		return nil, err
	}
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name:            Name(run),
			Namespace:       run.Namespace,
			Labels:          labels(run, r),
			Annotations:     notes,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(run, v1alpha1.GroupVersion.WithKind("DbtRun"))},
		},
		Spec: batchv1.JobSpec{
			Parallelism:  ptr.To[int32](1),
			Completions:  ptr.To[int32](1),
			BackoffLimit: ptr.To(r.RetryPods),
			// Two dbt writers on one schema is the worst bug: the next pod waits for the last one's real end.
			PodReplacementPolicy: ptr.To(batchv1.Failed),
			PodFailurePolicy:     podFailurePolicy(),
			Template:             *pod,
		},
	}
	if r.Timeout != nil {
		job.Spec.ActiveDeadlineSeconds = ptr.To(int64(r.Timeout.Seconds()))
	}
	if r.Project.QueueName != "" {
		job.Labels[v1alpha1.LabelQueue] = r.Project.QueueName
	}
	return job, nil
}

// podFailurePolicy says what a pod's end means: a disruption costs nothing, dbt's own no is final, anything else costs
// one of retry.pods (the Job's backoffLimit). https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy
func podFailurePolicy() *batchv1.PodFailurePolicy {
	return &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
		{
			Action: batchv1.PodFailurePolicyActionIgnore,
			OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{
				{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue},
			},
		},
		{
			Action: batchv1.PodFailurePolicyActionFailJob,
			OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
				Operator: batchv1.PodFailurePolicyOnExitCodesOpIn,
				Values:   journal.FinalExitCodes(),
			},
		},
	}}
}

func labels(run *v1alpha1.DbtRun, r *Resolved) map[string]string {
	l := map[string]string{
		v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
		v1alpha1.LabelRun:       labelValue(run.Name),
		v1alpha1.LabelRunUID:    string(run.UID),
	}
	if shard, ok := run.Labels[v1alpha1.LabelShard]; ok {
		l[v1alpha1.LabelShard] = shard
	}
	if r.Generation > 0 {
		l[v1alpha1.LabelProject] = labelValue(r.Name)
	}
	if r.Group != "" {
		l[v1alpha1.LabelGroup] = GroupLabel(r.Group)
	}
	return l
}

// Annotated reads a number that annotations wrote on a Job, of at most so many bits. A value that someone broke, or that is
// negative, is no value.
func Annotated(job *batchv1.Job, key string, bits int) (int64, bool) {
	n, err := strconv.ParseInt(job.Annotations[key], 10, bits)
	if err != nil || n < 0 {
		return 0, false
	}
	return n, true
}

// annotations are what the run's status is made of later, whatever becomes of the project meanwhile.
func annotations(run *v1alpha1.DbtRun, r *Resolved) (map[string]string, error) {
	a := map[string]string{
		v1alpha1.AnnotationRun:               run.Name,
		v1alpha1.AnnotationProject:           r.Name,
		v1alpha1.AnnotationProjectGeneration: strconv.FormatInt(r.Generation, 10),
		v1alpha1.AnnotationStartTimeout:      strconv.FormatInt(int64(r.StartTimeout.Seconds()), 10),
	}
	if r.TTL != nil {
		a[v1alpha1.AnnotationTTL] = strconv.FormatInt(int64(r.TTL.Seconds()), 10)
	}
	if r.UID != "" {
		a[v1alpha1.AnnotationProjectUID] = string(r.UID)
		a[v1alpha1.AnnotationTarget] = r.Target
		a[v1alpha1.AnnotationSourceDigest] = r.SourceDigest
	}
	if r.State != nil {
		b, err := json.Marshal(r.State)
		if err != nil {
			return nil, fmt.Errorf("writing down the state of run %s/%s: %w", run.Namespace, run.Name, err)
		}
		a[v1alpha1.AnnotationState] = string(b)
	}
	return a, nil
}

// podMeta returns the pod's labels and annotations: the user's, with the operator's over them.
func podMeta(run *v1alpha1.DbtRun, r *Resolved, pod *v1alpha1.PodSettings) metav1.ObjectMeta {
	meta := metav1.ObjectMeta{Labels: maps.Clone(pod.Labels), Annotations: maps.Clone(pod.Annotations)}
	if meta.Labels == nil {
		meta.Labels = map[string]string{}
	}
	if meta.Annotations == nil {
		meta.Annotations = map[string]string{}
	}
	delete(meta.Labels, v1alpha1.LabelShard)
	maps.Copy(meta.Labels, labels(run, r))
	meta.Annotations[v1alpha1.AnnotationRun] = run.Name
	// The pod ends when dbt ends: a cluster autoscaler must not end it before.
	meta.Annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] = "false"
	return meta
}

// maxUser bounds a user's name in bytes. The API server takes 1,024 characters, of any kind.
const maxUser = 1024

// cachesOf says which caches of its project a run may use. A run of a revision of its own puts none: others would use what
// came from a fork.
func cachesOf(run *v1alpha1.DbtRun, r *Resolved, opts Options) *plan.Caches {
	if opts.Collector == nil || run.Spec.ProjectRef == nil {
		return nil
	}
	return &plan.Caches{Write: run.Spec.Revision == "", Parse: r.Project.PartialParse != v1alpha1.PartialParseNever}
}

// planOf returns what the runner is told.
func planOf(run *v1alpha1.DbtRun, r *Resolved, opts Options) (plan.Plan, error) {
	p := plan.Plan{
		Version:            plan.Version,
		Run:                plan.Identity{Namespace: run.Namespace, Name: run.Name, UID: string(run.UID)},
		Source:             sourceOf(run, r.Project),
		Commands:           r.Commands,
		Target:             r.Target,
		Threads:            ptr.Deref(r.Project.Threads, 0),
		InstallDeps:        r.Project.Deps != v1alpha1.DepsNever,
		LogFormat:          string(r.Project.LogFormat),
		GracePeriodSeconds: r.GracePeriod,
		SecretEnv:          secretEnv(r.Project.Env),
		AWSIdentity:        awsIdentity(r.Project),
		Tokens:             handedOn(r.Project.Tokens),
		Collector:          opts.Collector,
		RetryNodes:         r.RetryNodes,
		ResumeFrom:         run.Spec.ResumeFrom != nil,
		Caches:             cachesOf(run, r, opts),
	}
	if r.Generation > 0 {
		p.Run.Project = r.Name
	}
	if s := r.State; s != nil && s.Run != "" {
		p.State = &plan.State{Run: s.Run, Manifest: s.ManifestDigest}
	}
	if who := run.Spec.RequestedBy; who != nil {
		p.Run.RequestedBy = text.Cut(who.Username, maxUser)
	}
	if t := run.Spec.Trigger; t != nil && t.ScheduledTime != nil {
		p.Run.ScheduledTime = t.ScheduledTime.UTC().Format(time.RFC3339)
	}
	if r.Project.Profiles != nil {
		p.ProfilesDir = plan.ProfilesDir
	}
	vars, err := encodeVars(run.Spec.Vars)
	p.Vars = vars
	return p, err
}
