package dbtrun

import (
	"context"
	"errors"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/admission"
	"github.com/dbt-operator/dbt-operator/internal/attempt"
	"github.com/dbt-operator/dbt-operator/internal/lifecycle"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
)

// observed is what there is to decide on, and which group the run holds while it does.
type observed struct {
	lifecycle.Input
	// project is nil for a run with an inline project, and when there is none.
	project *v1alpha1.DbtProject
	group   groupID
	// others are the active runs of the group that this run waits for.
	others []types.NamespacedName
	// cached says that the cache shows the run's Job.
	cached bool
	// keeps says that there is a collector; keptErr is why it could not say what it has.
	keeps   bool
	keptErr error
}

// gather reads everything a decision is made of, from the cache wherever a stale answer does no harm.
func (r *Reconciler) gather(ctx context.Context, run *v1alpha1.DbtRun) (*observed, error) {
	seen := &observed{Input: lifecycle.Input{Run: run, Now: r.clock.Now()}}
	if err := r.gatherProject(ctx, seen); err != nil {
		return nil, err
	}
	if err := r.gatherJob(ctx, seen); err != nil {
		return nil, err
	}
	if err := r.gatherPods(ctx, seen); err != nil {
		return nil, err
	}
	if run.Status.Phase.Finished() {
		return seen, nil
	}
	if err := r.gatherResumeFrom(ctx, seen); err != nil {
		return nil, err
	}
	if err := r.gatherState(ctx, seen); err != nil {
		return nil, err
	}
	if err := r.gatherGroup(ctx, seen); err != nil {
		return nil, err
	}
	return seen, nil
}

func (r *Reconciler) gatherProject(ctx context.Context, seen *observed) error {
	run := seen.Run
	var project *v1alpha1.DbtProject
	if ref := run.Spec.ProjectRef; ref != nil {
		project = &v1alpha1.DbtProject{}
		err := r.client.Get(ctx, types.NamespacedName{Namespace: run.Namespace, Name: ref.Name}, project)
		if apierrors.IsNotFound(err) {
			seen.ProjectMissing, seen.Since = true, r.obstacles.since(client.ObjectKeyFromObject(run), projectIsMissing, seen.Now)
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading DbtProject %s of DbtRun %s/%s: %w", ref.Name, run.Namespace, run.Name, err)
		}
	}
	seen.project = project
	if err := r.elsewhere(run, project); err != nil {
		seen.Invalid = err
		return nil
	}
	spec := projectSpec(run, project)
	if spec == nil {
		// An object that was stored before the rule that forbids it.
		seen.Invalid = errors.New("neither spec.projectRef nor spec.project is set: create a DbtRun with one of them")
		return nil
	}
	commands, err := admission.Run(&run.Spec, spec)
	seen.Invalid = err
	seen.Resolved = runjob.Resolve(run, project, commands)
	return nil
}

// elsewhere refuses a run whose concurrency group another manager may work on as well: neither would see that the other
// runs dbt on the same schema.
func (r *Reconciler) elsewhere(run *v1alpha1.DbtRun, project *v1alpha1.DbtProject) error {
	switch {
	case r.shard.All():
	case project != nil && project.Labels[v1alpha1.LabelShard] != run.Labels[v1alpha1.LabelShard]:
		return fmt.Errorf("metadata.labels: %s is %q, and %q on DbtProject %s: create the DbtRun with the label of its project",
			v1alpha1.LabelShard, run.Labels[v1alpha1.LabelShard], project.Labels[v1alpha1.LabelShard], project.Name)
	case run.Spec.Project != nil && run.Spec.Project.Concurrency != nil && run.Spec.Project.Concurrency.Group != "":
		return errors.New("spec.project.concurrency.group: several managers divide the runs here, and only that of a DbtProject knows all runs of a group: name a DbtProject in spec.projectRef, or leave the group out")
	}
	return nil
}

// gatherResumeFrom checks the run that this one is to go on from, before it begins.
func (r *Reconciler) gatherResumeFrom(ctx context.Context, seen *observed) error {
	ref := seen.Run.Spec.ResumeFrom
	if ref == nil || seen.Job != nil || seen.Run.Status.Job != nil || seen.Invalid != nil {
		return nil
	}
	if r.results == nil {
		seen.Invalid = errors.New("spec.resumeFrom: the operator keeps no results of runs: give it a store (--store), or remove the field")
		return nil
	}
	from := &v1alpha1.DbtRun{}
	err := r.client.Get(ctx, types.NamespacedName{Namespace: seen.Run.Namespace, Name: ref.Name}, from)
	switch {
	case apierrors.IsNotFound(err):
		from = nil
	case err != nil:
		return fmt.Errorf("reading DbtRun %s, which DbtRun %s/%s goes on from: %w", ref.Name, seen.Run.Namespace, seen.Run.Name, err)
	}
	seen.Invalid = admission.ResumeFrom(seen.Run, from)
	return nil
}

func projectSpec(run *v1alpha1.DbtRun, project *v1alpha1.DbtProject) *v1alpha1.DbtProjectSpec {
	if project != nil {
		return &project.Spec
	}
	return run.Spec.Project
}

// gatherJob finds the run's own Job. That it is gone is believed only of the API server itself: a cache that has not
// heard of a new Job yet looks the same.
func (r *Reconciler) gatherJob(ctx context.Context, seen *observed) error {
	key := types.NamespacedName{Namespace: seen.Run.Namespace, Name: runjob.Name(seen.Run)}
	job := &batchv1.Job{}
	err := r.client.Get(ctx, key, job)
	cached := err == nil
	if apierrors.IsNotFound(err) && seen.Run.Status.Job != nil && !seen.Run.Status.Phase.Finished() {
		err = r.direct.Get(ctx, key, job)
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("reading Job %s: %w", key, err)
	}
	if metav1.IsControlledBy(job, seen.Run) {
		seen.Job, seen.cached = job, cached
	} else {
		seen.JobTaken = true
	}
	return nil
}

// maxNotes is how many events are read of an object that does not start.
const maxNotes = 20

// notes returns the warnings Kubernetes noted about the newest pod, or about the Job when it has none, newest first.
func (r *Reconciler) notes(ctx context.Context, seen *observed) ([]string, error) {
	about := seen.Job.UID
	if n := len(seen.Pods); n > 0 && !attempt.Ended(seen.Pods[n-1]) {
		about = seen.Pods[n-1].UID
	}
	var list corev1.EventList
	err := r.direct.List(ctx, &list, client.InNamespace(seen.Run.Namespace), client.Limit(maxNotes),
		client.MatchingFields{"involvedObject.uid": string(about), "type": corev1.EventTypeWarning})
	if err != nil {
		return nil, fmt.Errorf("reading the events of the Job of DbtRun %s/%s: %w", seen.Run.Namespace, seen.Run.Name, err)
	}
	slices.SortFunc(list.Items, func(a, b corev1.Event) int { return lastSeen(b).Compare(lastSeen(a).Time) })
	var out []string
	for _, e := range list.Items {
		out = append(out, e.Message)
	}
	return out, nil
}

func lastSeen(e corev1.Event) *metav1.Time {
	switch {
	case e.Series != nil:
		return &metav1.Time{Time: e.Series.LastObservedTime.Time}
	case !e.LastTimestamp.IsZero():
		return &e.LastTimestamp
	case !e.EventTime.IsZero():
		return &metav1.Time{Time: e.EventTime.Time}
	default:
		return &e.CreationTimestamp
	}
}
