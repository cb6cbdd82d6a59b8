package tracing

import (
	"context"
	"io"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/controller/follow"
	"github.com/dbt-operator/dbt-operator/internal/outbox"
	"github.com/dbt-operator/dbt-operator/internal/store"
	"github.com/dbt-operator/dbt-operator/internal/tracing"
	"github.com/dbt-operator/dbt-operator/internal/tracing/send"
)

// Name is that of the controller, and of the note in which the sender remembers what is done.
const Name = "tracing"

// Known is what the sender may ask of a run: a send.Source and its notes.
type Known struct{ *follow.Kept }

// NewKnown returns what c's cache and the store know of runs.
func NewKnown(c client.Reader, s *store.Store) *Known { return &Known{follow.NewKept(c, s, Name)} }

// Known returns what is known of a run now.
func (k *Known) Known(ctx context.Context, key outbox.Key) (send.Known, error) {
	run, err := k.Run(ctx, key)
	if err != nil {
		return send.Known{}, err
	}
	return send.Known{
		Run:     describe(run),
		Journal: func(ctx context.Context) (io.ReadCloser, error) { return k.Journal(ctx, key) },
	}, nil
}

// describe returns what the spans say of a run.
func describe(run *v1alpha1.DbtRun) tracing.Run {
	s, f := run.Status, follow.FactsOf(run)
	out := tracing.Run{
		Namespace: run.Namespace, Name: run.Name, UID: string(run.UID), Project: f.Project, Target: run.Spec.Target,
		Trigger: f.Trigger, Schedule: f.Schedule, ScheduledTime: f.ScheduledTime, Requester: f.Requester,
		Revision: f.Revision, Image: f.Image, Start: f.Start,
		TraceParent: run.Annotations[v1alpha1.AnnotationTraceParent], Created: run.CreationTimestamp.Time,
	}
	if !follow.Settled(run) || s.CompletionTime == nil {
		return out
	}
	out.End, out.Phase, out.Message = s.CompletionTime.Time, string(s.Phase), s.Message
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionSucceeded); c != nil {
		out.Reason = c.Reason
	}
	switch s.Phase {
	case v1alpha1.PhaseSucceeded:
		out.Outcome, out.Message = tracing.Succeeded, ""
	case v1alpha1.PhaseCancelled:
		out.Outcome = tracing.Cancelled
	default:
		out.Outcome = tracing.Failed
	}
	return out
}
