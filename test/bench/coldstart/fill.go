package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
	"github.com/dbt-operator/dbt-operator/test/bench/plane"
)

// models is how many nodes the lineage of a run has: of a small project, as most runs are of a part of one.
const models = 20

// image is the digest of the image that ran, said the length in bytes of what a runner of so many models ends with.
const (
	image = "sha256:4b825dc642cb6eb9a060e54bf8d69288fbee4904c6b2d4f1a1b2c3d4e5f60718"
	said  = 1500
)

// fill makes a project and its ended runs, each with its Job and its pod, as they are left by a manager.
func fill(ctx context.Context, p *plane.Plane, n int) error {
	if err := p.CreateShop(ctx); err != nil {
		return err
	}
	return plane.Each(n, func(i int) error { return leave(ctx, p, asked(fmt.Sprintf("run-%05d", i))) })
}

// asked is a run as its user writes it.
func asked(name string) *v1alpha1.DbtRun {
	return &v1alpha1.DbtRun{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: plane.Namespace},
		Spec:       v1alpha1.DbtRunSpec{ProjectRef: &v1alpha1.ProjectReference{Name: "shop"}, Commands: []string{"dbt build"}},
	}
}

// leave makes a run that ended, its Job and its pod.
func leave(ctx context.Context, p *plane.Plane, run *v1alpha1.DbtRun) error {
	if err := p.Create(ctx, run); err != nil {
		return err
	}
	resolved := runjob.Resolve(run, plane.Shop(), [][]string{{"dbt", "build"}})
	job, err := runjob.Build(run, resolved, runjob.Options{OperatorImage: "registry.example.com/dbt-operator:1", Delivery: runjob.DeliverByInitContainer})
	if err != nil {
		return err
	}
	if err := p.Create(ctx, job); err != nil {
		return err
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: run.Name + "-x", Namespace: plane.Namespace, Labels: job.Spec.Template.Labels, Annotations: job.Spec.Template.Annotations,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))},
		},
		Spec: job.Spec.Template.Spec,
	}
	if err := p.Create(ctx, pod); err != nil {
		return err
	}
	now := metav1.NewTime(time.Now().Truncate(time.Second))
	pod.Status.Phase = corev1.PodSucceeded
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: pod.Spec.Containers[0].Name, Image: pod.Spec.Containers[0].Image,
		ImageID: image, ContainerID: "containerd://" + strings.Repeat("c", 64),
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: now, FinishedAt: now, Message: strings.Repeat("r", said)}},
	}}
	if err := p.Status().Update(ctx, pod); err != nil {
		return err
	}
	job.Status.StartTime, job.Status.CompletionTime, job.Status.Succeeded = &now, &now, 1
	job.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{}
	for _, kind := range []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete} {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, LastProbeTime: now, LastTransitionTime: now})
	}
	if err := p.Status().Update(ctx, job); err != nil {
		return err
	}
	run.Status = status(run, job, pod, now)
	return p.Status().Update(ctx, run)
}

// status is that of a run of a small project.
func status(run *v1alpha1.DbtRun, job *batchv1.Job, pod *corev1.Pod, now metav1.Time) v1alpha1.DbtRunStatus {
	out := v1alpha1.DbtRunStatus{
		ObservedGeneration: run.Generation, Phase: v1alpha1.PhaseSucceeded, StartTime: &now, CompletionTime: &now,
		Message: "Succeeded: 20 nodes ended well.", Nodes: "20/20", DurationSeconds: ptr.To[int64](7), Duration: "7s",
		Job:      &v1alpha1.JobReference{Name: job.Name, UID: job.UID},
		Project:  &v1alpha1.ProjectStatus{Name: "shop", Generation: 1},
		Attempts: []v1alpha1.Attempt{{Pod: pod.Name, Node: "node-1", StartTime: &now, EndTime: &now, Reason: "Succeeded"}},
		Results:  &v1alpha1.Results{Success: models},
	}
	lineage := &v1alpha1.Lineage{Nodes: models, Edges: models - 1}
	for i := range models {
		node := v1alpha1.LineageNode{ID: fmt.Sprintf("model.shop.model_%02d", i), Relation: fmt.Sprintf(`"warehouse"."analytics"."model_%02d"`, i)}
		if i > 0 {
			node.DependsOn = []string{fmt.Sprintf("model.shop.model_%02d", i-1)}
		}
		lineage.Graph = append(lineage.Graph, node)
		lineage.Outputs = append(lineage.Outputs, node.Relation)
	}
	out.Lineage = lineage
	out.Revision = &v1alpha1.Revision{Image: image, Dbt: "1.11.2", Adapter: "postgres 1.10.0"}
	out.Commands = []v1alpha1.CommandStatus{{Command: "dbt build", InvocationID: "7f0c2a0e-8e0b-4a55-9a42-2f7b8f4f9d11", StartTime: &now, EndTime: &now, ExitCode: ptr.To[int32](0)}}
	base := "/v1/runs/" + run.Namespace + "/" + run.Name
	out.Log = &v1alpha1.Log{Tail: strings.Repeat("06:00:00  1 of 20 OK created sql view model\n", 93), URI: base + "/log", Bytes: 12000}
	for _, name := range []string{"manifest.json", "run_results.json", "lineage.json", "catalog.json", "graph_summary.json"} {
		out.Artifacts = append(out.Artifacts, v1alpha1.Artifact{Name: name, Digest: image, Bytes: 100000, URI: base + "/artifacts/" + name})
	}
	for i := range 5 {
		out.Slowest = append(out.Slowest, v1alpha1.NodeDuration{UniqueID: fmt.Sprintf("model.shop.model_%02d", i), Seconds: "1.234"})
	}
	for _, kind := range []string{v1alpha1.ConditionSucceeded, v1alpha1.ConditionReady, v1alpha1.ConditionResultsAvailable} {
		out.Conditions = append(out.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded, Message: out.Message, LastTransitionTime: now})
	}
	return out
}
