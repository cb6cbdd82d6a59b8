package openlineage

import (
	"context"
	"errors"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/openlineage"
	"github.com/dbt-operator/dbt-operator/internal/openlineage/send"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// noteName is the name of the note in which the sender remembers how far it got.
const noteName = "openlineage"

// lineageArtifact is the artifact with the whole lineage.
const lineageArtifact = "lineage.json"

// Known is what the sender may ask of a run: a send.Source and its send.Marks.
type Known struct {
	client client.Reader
	store  *store.Store
}

// NewKnown returns what c's cache and the store know of runs.
func NewKnown(c client.Reader, s *store.Store) *Known { return &Known{client: c, store: s} }

// Known returns what is known of a run now.
func (k *Known) Known(ctx context.Context, key send.Key) (send.Known, error) {
	run := &v1alpha1.DbtRun{}
	err := k.client.Get(ctx, types.NamespacedName{Namespace: key.Namespace, Name: key.Name}, run)
	if apierrors.IsNotFound(err) || err == nil && string(run.UID) != key.UID {
		return send.Known{}, send.ErrGone
	}
	if err != nil {
		return send.Known{}, fmt.Errorf("reading DbtRun %s: %w", key, err)
	}
	at := place(key)
	out := send.Known{
		Run:     describe(run),
		Journal: func(ctx context.Context) (io.ReadCloser, error) { return k.journal(ctx, at) },
	}
	if l := run.Status.Lineage; l != nil && l.Artifact == lineageArtifact {
		out.Lineage = func(ctx context.Context) (io.ReadCloser, error) {
			body, _, err := k.store.Artifact(ctx, at, lineageArtifact)
			return body, err
		}
	}
	return out, nil
}

func place(key send.Key) store.Run { return store.Run{Namespace: key.Namespace, UID: key.UID} }

// describe returns what the events say of a run.
func describe(run *v1alpha1.DbtRun) openlineage.Run {
	s := run.Status
	out := openlineage.Run{
		Namespace: run.Namespace, Name: run.Name, UID: string(run.UID), Target: run.Spec.Target, Trigger: "Manual",
	}
	if who := run.Spec.RequestedBy; who != nil {
		out.Requester = who.Username
	}
	if t := run.Spec.Trigger; t != nil {
		out.Trigger = string(t.Type)
		if t.ScheduleRef != nil {
			out.Schedule = t.ScheduleRef.Name
		}
		if t.ScheduledTime != nil {
			out.ScheduledTime = t.ScheduledTime.Time
		}
	}
	if s.Project != nil && s.Project.Name != v1alpha1.InlineProject {
		out.Project = s.Project.Name
	}
	if s.Revision != nil {
		out.Revision, out.Image = s.Revision.Source, s.Revision.Image
	}
	if s.StartTime != nil {
		out.Start = s.StartTime.Time
	}
	if !settled(run) || s.CompletionTime == nil {
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

// journal opens the journal of all attempts, one after the other; an attempt's torn last line is ended.
func (k *Known) journal(ctx context.Context, at store.Run) (io.ReadCloser, error) {
	parts, err := k.store.Parts(ctx, at, journal.StreamJournal)
	if err != nil {
		return nil, err
	}
	out := &joined{}
	for _, part := range parts {
		body, err := k.store.Read(ctx, at, journal.StreamJournal, part)
		if err != nil {
			return nil, errors.Join(err, out.Close())
		}
		out.closers = append(out.closers, body)
		out.readers = append(out.readers, body, &lineEnd{})
	}
	out.Reader = io.MultiReader(out.readers...)
	return out, nil
}

// joined reads several bodies as one.
type joined struct {
	io.Reader
	readers []io.Reader
	closers []io.Closer
}

func (j *joined) Close() error {
	var errs []error
	for _, c := range j.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// lineEnd reads as one line break.
type lineEnd struct{ read bool }

func (l *lineEnd) Read(b []byte) (int, error) {
	if l.read || len(b) == 0 {
		return 0, io.EOF
	}
	l.read = true
	b[0] = '\n'
	return 1, nil
}

// Get returns the sender's note on a run, nil when there is none.
func (k *Known) Get(ctx context.Context, key send.Key) ([]byte, error) {
	b, err := k.store.Note(ctx, place(key), noteName)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return b, err
}

// Set keeps the sender's note on a run.
func (k *Known) Set(ctx context.Context, key send.Key, b []byte) error {
	return k.store.PutNote(ctx, place(key), noteName, b)
}
