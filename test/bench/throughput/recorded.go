package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/bench/kit"
	"github.com/dbt-operator/dbt-operator/test/bench/plane"
)

// recorded are DbtRuns that nobody carries out but this program, which knows beforehand what to do: it makes each run's Job and
// writes the three statuses and three events that say so. They are the least that a Job costs that has such a record,
// whoever writes it.
type recorded struct{ dbtRuns }

func (recorded) name() string { return "recorded Jobs" }

// recorder writes the records.
type recorder struct {
	plane  *plane.Plane
	cancel context.CancelFunc
	done   chan error
}

func (recorded) needs(ctx context.Context, p *plane.Plane, _ options) (stopper, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &recorder{plane: p, cancel: cancel, done: make(chan error, 1)}
	runs, err := p.Follow(ctx, &v1alpha1.DbtRunList{})
	if err != nil {
		cancel()
		return nil, err
	}
	jobs, err := p.Follow(ctx, &batchv1.JobList{})
	if err != nil {
		cancel()
		return nil, err
	}
	go func() {
		defer runs.Stop()
		defer jobs.Stop()
		var all errgroup.Group
		began, ended := map[string]bool{}, map[string]bool{}
		complete := kit.Complete(func(*batchv1.Job) bool { return true })
		for {
			select {
			case <-ctx.Done():
				r.done <- all.Wait()
				return
			case e := <-runs.ResultChan():
				if run, ok := e.Object.(*v1alpha1.DbtRun); ok && !began[run.Name] {
					began[run.Name] = true
					all.Go(func() error { return r.begin(ctx, run.DeepCopy()) })
				}
			case e := <-jobs.ResultChan():
				job, ok := e.Object.(*batchv1.Job)
				if over, err := complete(e.Object); err != nil || !ok || !over || ended[job.Name] {
					continue
				}
				ended[job.Name] = true
				all.Go(func() error { return r.end(ctx, job) })
			}
		}
	}()
	return r, nil
}

// Stop ends the writing.
func (r *recorder) Stop() {
	r.cancel()
	if err := <-r.done; err != nil && !errors.Is(err, context.Canceled) {
		fmt.Println("recording:", err)
	}
}

// begin makes a run's Job and says so.
func (r *recorder) begin(ctx context.Context, run *v1alpha1.DbtRun) error {
	job, err := jobOf(run)
	if err != nil {
		return err
	}
	if err := r.plane.Create(ctx, job); err != nil {
		return err
	}
	return r.record(ctx, run, v1alpha1.PhasePending, v1alpha1.ReasonStarting, func(s *v1alpha1.DbtRunStatus) {
		s.Job = &v1alpha1.JobReference{Name: job.Name, UID: job.UID}
		s.Project = &v1alpha1.ProjectStatus{Name: "shop", Generation: 1}
	})
}

// end says that a run ran, and that it is over.
func (r *recorder) end(ctx context.Context, job *batchv1.Job) error {
	run := &v1alpha1.DbtRun{}
	owner := metav1.GetControllerOf(job)
	if owner == nil {
		return nil
	}
	if err := r.plane.Get(ctx, client.ObjectKey{Namespace: job.Namespace, Name: owner.Name}, run); err != nil {
		return err
	}
	now := ptr.To(metav1.Now())
	if err := r.record(ctx, run, v1alpha1.PhaseRunning, v1alpha1.ReasonRunning, func(s *v1alpha1.DbtRunStatus) {
		s.StartTime = now
		s.Attempts = []v1alpha1.Attempt{{Pod: job.Name + "-abcde", Node: "node-1", StartTime: now}}
	}); err != nil {
		return err
	}
	return r.record(ctx, run, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded, func(s *v1alpha1.DbtRunStatus) {
		s.CompletionTime, s.DurationSeconds = now, ptr.To[int64](1)
		s.Attempts[0].EndTime, s.Attempts[0].ExitCode = now, ptr.To[int32](0)
	})
}

// record writes one status and one event.
func (r *recorder) record(ctx context.Context, run *v1alpha1.DbtRun, phase v1alpha1.Phase, reason string, change func(*v1alpha1.DbtRunStatus)) error {
	before := run.DeepCopy()
	run.Status.ObservedGeneration, run.Status.Phase, run.Status.Message = run.Generation, phase, "The run is "+string(phase)+"."
	run.Status.Conditions = nil
	for _, kind := range []string{v1alpha1.ConditionSucceeded, v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled, v1alpha1.ConditionResultsAvailable} {
		run.Status.Conditions = append(run.Status.Conditions, metav1.Condition{
			Type: kind, Status: metav1.ConditionUnknown, Reason: reason, Message: run.Status.Message, LastTransitionTime: metav1.Now(), ObservedGeneration: run.Generation,
		})
	}
	change(&run.Status)
	if err := r.plane.Status().Patch(ctx, run, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return err
	}
	return r.plane.Create(ctx, &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: run.Name + "-", Namespace: run.Namespace},
		EventTime:  metav1.NewMicroTime(time.Now()), ReportingController: "bench", ReportingInstance: "bench", Action: "FollowJob", Reason: reason, Type: "Normal",
		Note: run.Status.Message,
	})
}
