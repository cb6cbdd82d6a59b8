package dbtschedule

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/history"
	"github.com/dbt-operator/dbt-operator/internal/schedule"
	"github.com/dbt-operator/dbt-operator/internal/schedulestatus"
)

// outcome is what came of a decision.
type outcome struct {
	// made are the runs that were made, and cancelled those that were asked to stop.
	made, cancelled []*v1alpha1.DbtRun
	// taken are names of runs that somebody else has.
	taken []string
	// missed are ticks that have no run because of that; lastMissed is the newest.
	missed     int64
	lastMissed time.Time
	// refused is what the API server said of a run it did not take.
	refused string
	// project and backfill are as far as they were carried out.
	project  *v1alpha1.ObservedProject
	backfill *v1alpha1.BackfillStatus
}

// errTaken says that somebody else's run has the name.
var errTaken = errors.New("the name is taken")

// act carries a decision out, as far as the API server lets it: what was done is in the outcome, also with an error.
func (r *Reconciler) act(ctx context.Context, seen *observed, d decision) (outcome, error) {
	done := outcome{project: seen.schedule.Status.Project, backfill: d.backfill.Status}
	if d.replaces() {
		if err := r.cancelActive(ctx, seen, &done); err != nil {
			return done, err
		}
	}
	for _, step := range []func(context.Context, *observed, decision, *outcome) error{r.makeTicks, r.makeProjectRun, r.makeBackfill} {
		if err := step(ctx, seen, d, &done); err != nil || done.refused != "" {
			return done, err
		}
	}
	return done, r.trim(ctx, seen)
}

// cancelActive asks the active runs to stop.
func (r *Reconciler) cancelActive(ctx context.Context, seen *observed, done *outcome) error {
	for _, run := range seen.active() {
		if run.Spec.Cancel != nil && *run.Spec.Cancel {
			continue
		}
		err := r.client.Patch(ctx, run.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`)))
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("cancelling DbtRun %s of DbtSchedule %s, which is to be replaced: %w", run.Name, seen.key(), err)
		}
		done.cancelled = append(done.cancelled, run)
	}
	return nil
}

// makeTicks makes the runs of ticks, oldest first.
func (r *Reconciler) makeTicks(ctx context.Context, seen *observed, d decision, done *outcome) error {
	for _, tick := range d.ticks.Slots {
		before := len(done.made)
		err := r.create(ctx, seen, schedule.Run(seen.schedule, schedule.RunName(seen.schedule.Name, tick), d.ticks.Trigger, tick), done)
		switch {
		case errors.Is(err, errTaken):
			done.missed++
			done.lastMissed = tick
		case err != nil || done.refused != "":
			return err
		default:
			if len(done.made) > before && len(seen.schedule.Spec.After) == 0 {
				r.metrics.Skew(r.clock.Now().Sub(tick.Add(schedule.Jitter(seen.schedule.UID, seen.schedule.Spec.JitterSeconds))))
			}
		}
	}
	return nil
}

func projectRunName(s *v1alpha1.DbtSchedule, project *v1alpha1.ObservedProject) string {
	return schedule.ProjectRunName(s.Name, types.UID(project.UID), project.Generation)
}

// makeProjectRun makes the run of a change of the project.
func (r *Reconciler) makeProjectRun(ctx context.Context, seen *observed, d decision, done *outcome) error {
	if d.project.Action == schedule.Wait || d.project.Action == schedule.Skip {
		done.project = d.project.Observed
		return nil
	}
	run := schedule.Run(seen.schedule, projectRunName(seen.schedule, d.project.Observed), v1alpha1.TriggerProjectChange, time.Time{})
	if err := r.create(ctx, seen, run, done); err != nil && !errors.Is(err, errTaken) || done.refused != "" {
		return err
	}
	done.project = d.project.Observed
	return nil
}

// makeBackfill makes the next runs of a backfill.
func (r *Reconciler) makeBackfill(ctx context.Context, seen *observed, d decision, done *outcome) error {
	want := seen.schedule.Spec.Backfill
	for _, tick := range d.backfill.Slots {
		run := schedule.Run(seen.schedule, schedule.BackfillRunName(seen.schedule.Name, done.backfill.ID, tick), v1alpha1.TriggerBackfill, tick)
		if want.EventTimeWindow != nil && *want.EventTimeWindow {
			ticks, err := schedule.Parse(seen.schedule.Spec.Schedule, seen.schedule.Spec.TimeZone)
			if err != nil {
				return err
			}
			start, end := ticks.Interval(tick)
			run.Spec.Commands = schedule.EventTimes(run.Spec.Commands, start, end)
		}
		err := r.create(ctx, seen, run, done)
		switch {
		case errors.Is(err, errTaken):
			done.backfill.Failed = run.Name
		case err != nil || done.refused != "":
			return err
		default:
			done.backfill.Active++
		}
		done.backfill.Started++
		at := metav1.NewTime(tick)
		done.backfill.LastScheduleTime = &at
	}
	return nil
}

// create creates a run. Its name is the lock: one that exists and is the schedule's own is success.
func (r *Reconciler) create(ctx context.Context, seen *observed, run *v1alpha1.DbtRun, done *outcome) error {
	err := r.client.Create(ctx, run)
	switch {
	case err == nil:
		done.made = append(done.made, run)
		seen.add(run)
		return nil
	case apierrors.IsAlreadyExists(err):
		return r.adopt(ctx, seen, run, done)
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		done.refused = err.Error()
		return nil
	}
	return fmt.Errorf("creating DbtRun %s of DbtSchedule %s: %w", run.Name, seen.key(), err)
}

// adopt reads the run that has the name from the API server and takes it for made if the schedule controls it.
func (r *Reconciler) adopt(ctx context.Context, seen *observed, run *v1alpha1.DbtRun, done *outcome) error {
	there := &v1alpha1.DbtRun{}
	if err := r.direct.Get(ctx, client.ObjectKeyFromObject(run), there); err != nil {
		return fmt.Errorf("reading DbtRun %s, which exists: %w", client.ObjectKeyFromObject(run), err)
	}
	if !schedule.Owns(seen.schedule, there) {
		done.taken = append(done.taken, run.Name)
		return errTaken
	}
	seen.add(there)
	return nil
}

// trim deletes the runs that are kept no longer, of the schedule's own and of its backfills, each within its limits.
func (r *Reconciler) trim(ctx context.Context, seen *observed) error {
	s := seen.schedule
	limits, pending := history.LimitsOf(&s.Spec), pendingProjectRun(seen)
	gone := seen.mayGo(func(run *v1alpha1.DbtRun) bool {
		return run.Name != pending && schedulestatus.Recorded(&s.Status, run)
	}, history.Excess(seen.runs, limits))
	gone = append(gone, seen.mayGo(func(run *v1alpha1.DbtRun) bool {
		return schedulestatus.RecordedBackfill(s.Status.Backfill, run)
	}, history.Excess(seen.backfills, limits))...)
	for _, run := range gone {
		err := r.client.Delete(ctx, run, client.PropagationPolicy(metav1.DeletePropagationBackground), client.Preconditions{UID: &run.UID})
		if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
			return fmt.Errorf("deleting DbtRun %s of DbtSchedule %s, which is over its history limit: %w", run.Name, seen.key(), err)
		}
	}
	return nil
}
