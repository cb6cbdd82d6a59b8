package collector

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/admission"
	"github.com/dbt-operator/dbt-operator/internal/collector/access"
	"github.com/dbt-operator/dbt-operator/internal/collector/live"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// lateTime is how long the pod that ended a run may still send what belongs to it.
const lateTime = 15 * time.Minute

func liveRun(run *v1alpha1.DbtRun) live.Run {
	r := live.Run{Namespace: run.Namespace, Name: run.Name, UID: string(run.UID)}
	if run.Spec.ProjectRef != nil {
		r.Project = run.Spec.ProjectRef.Name
	}
	return r
}

func (q *podRequest) live() live.Attempt {
	return live.Attempt{Run: liveRun(q.attempt.Run), Pod: q.attempt.Pod, UID: string(q.attempt.UID)}
}

// serveAttempt says what an attempt has to know before it begins.
func (c *Collector) serveAttempt(w http.ResponseWriter, q podRequest) error {
	ctx, cancel := c.short(q.Context())
	defer cancel()
	s, err := c.live.Standing(ctx, q.live())
	if err != nil {
		return err
	}
	reply := journal.AttemptReply{Source: s.Source, Earlier: s.Earlier, Offsets: s.Offsets}
	switch {
	case q.attempt.Run.Status.Phase.Finished():
		reply.Over, reply.Outcome = true, outcome(q.attempt.Run, s.Outcome)
	case s.Outcome == journal.Succeeded || s.Outcome != "" && s.Outcome.Final():
		// The status does not say so yet. Another pod would have nothing to do.
		reply.Over, reply.Outcome = true, s.Outcome
	}
	c.reply(w, http.StatusOK, reply)
	return nil
}

// outcome returns how a run that is over ended, for pods that come too late to repeat.
func outcome(run *v1alpha1.DbtRun, said journal.Outcome) journal.Outcome {
	if run.Status.Phase == v1alpha1.PhaseSucceeded {
		return journal.Succeeded
	}
	if said != "" && said != journal.Succeeded {
		return said
	}
	truth := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionSucceeded)
	if truth == nil {
		return journal.Interrupted
	}
	switch truth.Reason {
	case v1alpha1.ReasonNodesFailed:
		return journal.NodesFailed
	case v1alpha1.ReasonDbtError:
		return journal.DbtError
	case v1alpha1.ReasonSourceFailed:
		return journal.SourceFailed
	case v1alpha1.ReasonInvalidSpec:
		return journal.InvalidPlan
	case v1alpha1.ReasonOutOfMemory:
		return journal.OutOfMemory
	}
	return journal.Interrupted
}

// heard refuses a pod whose run is over, unless it is the one that ended it, and that not long ago.
func (c *Collector) heard(ctx context.Context, q podRequest) (over bool, err error) {
	run := q.attempt.Run
	if !run.Status.Phase.Finished() {
		return false, nil
	}
	s, err := c.live.Standing(ctx, q.live())
	if err != nil {
		return true, err
	}
	late := c.overFor(run)
	if s.EndedBy == string(q.attempt.UID) && late <= lateTime {
		return true, nil
	}
	return true, fmt.Errorf("%w: DbtRun %s/%s is %s, and pod %s has nothing to say of it any more", live.ErrOver, run.Namespace, run.Name, run.Status.Phase, q.attempt.Pod)
}

// overFor returns how long a run has been over. A status that says it ended in the future was written by a clock that was
// wrong: then it counts from when it was first seen here.
func (c *Collector) overFor(run *v1alpha1.DbtRun) time.Duration {
	now := c.config.Clock.Now()
	if end := run.Status.CompletionTime; end != nil && !end.After(now) {
		return now.Sub(end.Time)
	}
	since, ok := c.overSince.Get(run.UID)
	if !ok {
		since = now
		c.overSince.Add(run.UID, now, 24*time.Hour)
	}
	first, _ := since.(time.Time)
	return max(0, now.Sub(first))
}

// serveAppend appends to a stream of the attempt.
func (c *Collector) serveAppend(w http.ResponseWriter, q podRequest) error {
	offset, err := offsetOf(q.URL.RawQuery)
	if err != nil {
		return err
	}
	ctx, cancel := c.short(q.Context())
	defer cancel()
	over, err := c.heard(ctx, q)
	if err != nil {
		return err
	}
	if q.ContentLength > journal.MaxAppend {
		return fmt.Errorf("%w: %d bytes, at most %d are taken at once", store.ErrTooLarge, q.ContentLength, journal.MaxAppend)
	}
	pace := c.paced(w, c.limits.slowestIn, nil)
	body, release, err := c.memory.read(ctx, &slowReader{paced: pace, in: q.Body}, journal.MaxAppend)
	defer release()
	if err != nil {
		return err
	}
	end, err := c.live.Append(ctx, q.live(), q.stream, offset, body, over)
	if err != nil {
		return err
	}
	c.config.Metrics.Received(q.stream, int64(len(body)))
	c.reply(w, http.StatusOK, journal.StreamReply{Offset: end})
	return nil
}

// servePut keeps an artifact.
func (c *Collector) servePut(w http.ResponseWriter, q podRequest) error {
	made, err := c.take(w, q, "artifact", journal.MaxArtifact, func(ctx context.Context, digest string, body io.Reader) (journal.Artifact, error) {
		if _, err := c.heard(ctx, q); err != nil {
			return journal.Artifact{}, err
		}
		return c.live.PutArtifact(ctx, q.live(), q.artifact, digest, body)
	})
	if err != nil {
		return err
	}
	c.reply(w, http.StatusOK, made)
	return nil
}

// take hands the body of a request to keep, with the digest that it must have, and cuts one off that comes too slowly.
func (c *Collector) take(w http.ResponseWriter, q podRequest, what string, limit int64, keep func(ctx context.Context, digest string, body io.Reader) (journal.Artifact, error)) (journal.Artifact, error) {
	digest, err := checkDigest(q.Header)
	if err != nil {
		return journal.Artifact{}, err
	}
	if q.ContentLength > limit {
		return journal.Artifact{}, fmt.Errorf("%w: the %s has %d bytes, at most %d are kept", store.ErrTooLarge, what, q.ContentLength, limit)
	}
	ctx, cancel := context.WithCancel(q.Context())
	defer cancel()
	pace := c.paced(w, c.limits.slowestIn, cancel)
	defer pace.end()
	made, err := keep(ctx, digest, &slowReader{paced: pace, in: q.Body})
	if err == nil {
		c.config.Metrics.Received(what, made.Bytes)
	}
	return made, err
}

// serveDone notes that the attempt has sent everything.
func (c *Collector) serveDone(w http.ResponseWriter, q podRequest) error {
	ctx, cancel := c.short(q.Context())
	defer cancel()
	if _, err := c.heard(ctx, q); err != nil {
		return err
	}
	if err := c.live.Done(ctx, q.live()); err != nil {
		return err
	}
	c.reply(w, http.StatusOK, struct{}{})
	return nil
}

// fromResumeFrom asks for the journal of the run that spec.resumeFrom names.
const fromResumeFrom = "resumeFrom"

// serveEarlier gives the journals of the run's other attempts, or of the run that this one goes on from.
func (c *Collector) serveEarlier(w http.ResponseWriter, q podRequest) error {
	run, others := q.live().Run, string(q.attempt.UID)
	switch from := q.URL.Query().Get("from"); from {
	case "":
	case fromResumeFrom:
		before, err := c.resumed(q.Context(), q.attempt)
		if err != nil {
			return err
		}
		run, others = before, ""
	default:
		return badRequest("from must be %s, found %.40q", fromResumeFrom, from)
	}
	return c.stream(w, q.Request, "application/x-ndjson", func(ctx context.Context, out io.Writer) error {
		return c.live.WriteJournal(ctx, run, others, out)
	})
}

// resumed returns the run that spec.resumeFrom of an attempt's run names, in the same namespace. What was checked before the
// run began is checked again, as another run may have the name by now.
func (c *Collector) resumed(ctx context.Context, a access.Attempt) (live.Run, error) {
	if a.Run.Spec.ResumeFrom == nil {
		return live.Run{}, notFound("spec.resumeFrom of DbtRun %s/%s names no run", a.Run.Namespace, a.Run.Name)
	}
	before := &v1alpha1.DbtRun{}
	key := types.NamespacedName{Namespace: a.Run.Namespace, Name: a.Run.Spec.ResumeFrom.Name}
	err := c.config.Cache.Get(ctx, key, before)
	switch {
	case apierrors.IsNotFound(err):
		return live.Run{}, notFound("DbtRun %s, which spec.resumeFrom of %s names, is not there any more", key, a.Run.Name)
	case err != nil:
		return live.Run{}, &access.Refusal{Kind: access.ErrLater, Message: fmt.Sprintf("DbtRun %s cannot be read from the cache now: try again", key)}
	}
	if err := admission.ResumeFrom(a.Run, before); err != nil {
		return live.Run{}, notFound("DbtRun %s/%s cannot go on: %v", a.Run.Namespace, a.Run.Name, err)
	}
	return liveRun(before), nil
}
