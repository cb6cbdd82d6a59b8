package dbtrun

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/attempt"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/lifecycle"
)

// Indexes of the cache.
const (
	// indexWaiting finds runs that are not over and have no Job yet: by "project/<name>" of their DbtProject, or by
	// "group/<group>" of their inline project.
	indexWaiting = "dbtoperator.dev/waiting"
	// indexRunUID finds the pods of a run.
	indexRunUID = "dbtoperator.dev/run-uid"
	// indexActiveGroup finds the Jobs that are not over and the pods that have not ended, by LabelGroup.
	indexActiveGroup = "dbtoperator.dev/active-group"
)

// AddIndexes adds the indexes that the controller reads by, and that of good runs, by which the DbtProject controller does.
func AddIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	for _, add := range []struct {
		object client.Object
		field  string
		keys   client.IndexerFunc
	}{
		{&v1alpha1.DbtRun{}, indexWaiting, waitingKeys},
		{&v1alpha1.DbtRun{}, controller.IndexGoodRuns, controller.GoodRunKeys},
		{&corev1.Pod{}, indexRunUID, runUIDKeys},
		{&corev1.Pod{}, indexActiveGroup, activeGroupOfPod},
		{&batchv1.Job{}, indexActiveGroup, activeGroupOfJob},
	} {
		if err := indexer.IndexField(ctx, add.object, add.field, add.keys); err != nil {
			return err
		}
	}
	return nil
}

func projectKey(name string) string { return "project/" + name }

func groupKey(group string) string { return "group/" + group }

func waitingKeys(object client.Object) []string {
	run, ok := object.(*v1alpha1.DbtRun)
	switch {
	case !ok, run.Status.Job != nil, run.Status.Phase.Finished():
		return nil
	case run.Spec.ProjectRef != nil:
		return []string{projectKey(run.Spec.ProjectRef.Name)}
	case run.Spec.Project != nil && run.Spec.Project.Concurrency != nil && run.Spec.Project.Concurrency.Group != "":
		return []string{groupKey(run.Spec.Project.Concurrency.Group)}
	}
	return nil
}

func runUIDKeys(object client.Object) []string {
	return nonEmpty(object.GetLabels()[v1alpha1.LabelRunUID])
}

func activeGroupOfPod(object client.Object) []string {
	if pod, ok := object.(*corev1.Pod); !ok || attempt.Ended(pod) {
		return nil
	}
	return nonEmpty(object.GetLabels()[v1alpha1.LabelGroup])
}

func activeGroupOfJob(object client.Object) []string {
	job, ok := object.(*batchv1.Job)
	if !ok || lifecycle.JobFinished(job) || ownerRun(job) == "" {
		return nil
	}
	return nonEmpty(job.Labels[v1alpha1.LabelGroup])
}

func nonEmpty(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// ownerRun returns the name of the DbtRun that controls an object, empty when none does.
func ownerRun(object client.Object) string {
	owner := metav1.GetControllerOf(object)
	if owner == nil || owner.Kind != "DbtRun" || owner.APIVersion != v1alpha1.GroupVersion.String() {
		return ""
	}
	return owner.Name
}
