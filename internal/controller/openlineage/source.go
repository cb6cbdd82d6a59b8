package openlineage

import (
	"context"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/controller/follow"
	"github.com/dbt-operator/dbt-operator/internal/openlineage"
	"github.com/dbt-operator/dbt-operator/internal/openlineage/send"
	"github.com/dbt-operator/dbt-operator/internal/outbox"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// Name is that of the controller, and of the note in which the sender remembers how far it got.
const Name = "openlineage"

// lineageArtifact is the artifact with the whole lineage.
const lineageArtifact = "lineage.json"

// Known is what the sender may ask of a run: a send.Source and its notes.
type Known struct {
	*follow.Kept
	client client.Reader
}

// NewKnown returns what c's cache and the store know of runs.
func NewKnown(c client.Reader, s *store.Store) *Known { return &Known{follow.NewKept(c, s, Name), c} }

// Known returns what is known of a run now.
func (k *Known) Known(ctx context.Context, key outbox.Key) (send.Known, error) {
	run, err := k.Run(ctx, key)
	if err != nil {
		return send.Known{}, err
	}
	out := send.Known{
		Run:     describe(run),
		Journal: func(ctx context.Context) (io.ReadCloser, error) { return k.Journal(ctx, key) },
	}
	if out.Run.DatasetNamespace, err = k.datasets(ctx, run); err != nil {
		return send.Known{}, err
	}
	if l := run.Status.Lineage; l != nil && l.Artifact == lineageArtifact {
		out.Lineage = func(ctx context.Context) (io.ReadCloser, error) { return k.Artifact(ctx, key, lineageArtifact) }
	}
	return out, nil
}

// datasets returns the namespace that the run's DbtProject gives to datasets, empty when it gives none or is gone.
func (k *Known) datasets(ctx context.Context, run *v1alpha1.DbtRun) (string, error) {
	if run.Spec.ProjectRef == nil {
		return "", nil
	}
	project := &v1alpha1.DbtProject{}
	key := types.NamespacedName{Namespace: run.Namespace, Name: run.Spec.ProjectRef.Name}
	if err := client.IgnoreNotFound(k.client.Get(ctx, key, project)); err != nil {
		return "", fmt.Errorf("reading DbtProject %s of DbtRun %s: %w", key, run.Name, err)
	}
	return project.Annotations[v1alpha1.AnnotationDatasetNamespace], nil
}

// describe returns what the events say of a run.
func describe(run *v1alpha1.DbtRun) openlineage.Run {
	s, f := run.Status, follow.FactsOf(run)
	out := openlineage.Run{
		Namespace: run.Namespace, Name: run.Name, UID: string(run.UID), Project: f.Project, Target: run.Spec.Target,
		Trigger: f.Trigger, Schedule: f.Schedule, ScheduledTime: f.ScheduledTime, Requester: f.Requester,
		Revision: f.Revision, Image: f.Image, Start: f.Start,
	}
	if !follow.Settled(run) || s.CompletionTime == nil {
		return out
	}
	out.End, out.Message = s.CompletionTime.Time, s.Message
	switch s.Phase {
	case v1alpha1.PhaseSucceeded:
		out.Outcome, out.Message = openlineage.Complete, ""
	case v1alpha1.PhaseCancelled:
		out.Outcome = openlineage.Abort
	default:
		out.Outcome = openlineage.Fail
	}
	return out
}
