package dbtschedule

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/admission"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/history"
	"github.com/dbt-operator/dbt-operator/internal/schedule"
	"github.com/dbt-operator/dbt-operator/internal/schedulestatus"
)

// observed is what there is to decide on.
type observed struct {
	schedule *v1alpha1.DbtSchedule
	// runs are the schedule's own, backfills those of type Backfill, both oldest first.
	runs, backfills []*v1alpha1.DbtRun
	// project is the DbtProject's state; nil when it is not there or the project is inline. projectMissing names one that
	// is not there.
	project        *v1alpha1.ObservedProject
	projectMissing string
	// invalid is what keeps a run from being made of the template with the project.
	invalid error
	// upstream are the schedules of spec.after; upstreamMissing those of them that are not there; loop says that they
	// wait for this one.
	upstream        []schedule.Upstream
	upstreamMissing []string
	loop            bool
	// taken is a run of somebody else that has the name of the newest tick's.
	taken string
	// authority is what the API server said of the author's right; nil when it was not asked in this pass.
	authority *conditions.Truth
	now       time.Time
}

func (o *observed) key() types.NamespacedName { return client.ObjectKeyFromObject(o.schedule) }

// active are the schedule's own runs that are not over.
func (o *observed) active() []*v1alpha1.DbtRun {
	var out []*v1alpha1.DbtRun
	for _, run := range o.runs {
		if !run.Status.Phase.Finished() {
			out = append(out, run)
		}
	}
	return out
}

// gather reads everything a decision is made of, from the cache wherever a stale answer does no harm.
func (r *Reconciler) gather(ctx context.Context, s *v1alpha1.DbtSchedule) (*observed, error) {
	seen := &observed{schedule: s, now: r.clock.Now()}
	for _, step := range []func(context.Context, *observed) error{r.gatherRuns, r.gatherProject, r.gatherUpstream, r.gatherTaken, r.gatherAuthority} {
		if err := step(ctx, seen); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// gatherRuns lists the runs that the schedule controls. A run that is expected and is not in the cache may have been
// deleted, or be too new for it: only the API server knows. What is listed lies in the cache and is not to be changed.
func (r *Reconciler) gatherRuns(ctx context.Context, seen *observed) error {
	s := seen.schedule
	var list v1alpha1.DbtRunList
	if err := r.client.List(ctx, &list, client.InNamespace(s.Namespace), client.MatchingFields{indexOwner: s.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing the runs of DbtSchedule %s: %w", seen.key(), err)
	}
	known := map[string]bool{}
	for i := range list.Items {
		run := &list.Items[i]
		if schedule.Owns(s, run) {
			known[run.Name] = true
			seen.add(run)
		}
	}
	for _, name := range r.expected(s) {
		if known[name] {
			continue
		}
		known[name] = true
		run := &v1alpha1.DbtRun{}
		err := r.direct.Get(ctx, types.NamespacedName{Namespace: s.Namespace, Name: name}, run)
		switch {
		case err == nil && schedule.Owns(s, run):
			seen.add(run)
		case err != nil && !apierrors.IsNotFound(err):
			return fmt.Errorf("reading DbtRun %s of DbtSchedule %s: %w", name, seen.key(), err)
		}
	}
	return nil
}

// add puts a run where it belongs.
func (o *observed) add(run *v1alpha1.DbtRun) {
	into := &o.runs
	if run.Spec.Trigger != nil && run.Spec.Trigger.Type == v1alpha1.TriggerBackfill {
		into = &o.backfills
	}
	i, _ := slices.BinarySearchFunc(*into, run, history.Older)
	*into = slices.Insert(*into, i, run)
}

func (r *Reconciler) gatherProject(ctx context.Context, seen *observed) error {
	template := &seen.schedule.Spec.RunTemplate.Spec
	spec := template.Project
	if ref := template.ProjectRef; ref != nil {
		project := &v1alpha1.DbtProject{}
		err := r.client.Get(ctx, types.NamespacedName{Namespace: seen.schedule.Namespace, Name: ref.Name}, project)
		if apierrors.IsNotFound(err) {
			seen.projectMissing = ref.Name
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading DbtProject %s of DbtSchedule %s: %w", ref.Name, seen.key(), err)
		}
		spec = &project.Spec
		seen.project = &v1alpha1.ObservedProject{Name: project.Name, UID: string(project.UID), Generation: project.Generation}
	}
	if spec == nil {
		// An object that was stored before the rule that forbids it.
		seen.invalid = fmt.Errorf("spec.runTemplate.spec: neither projectRef nor project is set: set one of them")
		return nil
	}
	if _, err := admission.Run(template, spec); err != nil {
		seen.invalid = fmt.Errorf("spec.runTemplate: %w", err)
	}
	return nil
}

// mostUpstream bounds the search for schedules that wait for each other.
const mostUpstream = 100

// gatherUpstream reads the schedules that come first, and those that they wait for in turn.
func (r *Reconciler) gatherUpstream(ctx context.Context, seen *observed) error {
	queue := []string{}
	for _, a := range seen.schedule.Spec.After {
		up := schedule.Upstream{Name: a.Schedule}
		s, err := r.upstream(ctx, seen, a.Schedule)
		if err != nil {
			return err
		}
		if s == nil {
			seen.upstreamMissing = append(seen.upstreamMissing, a.Schedule)
		} else {
			through := s.Status.LastSucceededScheduleTime
			if a.When == v1alpha1.UpstreamAlways {
				through = s.Status.LastEndedScheduleTime
			}
			if through != nil {
				up.Through = through.Time
			}
			queue = append(queue, afterKeys(s)...)
		}
		seen.upstream = append(seen.upstream, up)
	}
	visited := map[string]bool{}
	for i := 0; i < len(queue) && len(visited) < mostUpstream; i++ {
		name := queue[i]
		if name == seen.schedule.Name {
			seen.loop = true
			return nil
		}
		if visited[name] {
			continue
		}
		visited[name] = true
		s, err := r.upstream(ctx, seen, name)
		if err != nil {
			return err
		}
		if s != nil {
			queue = append(queue, afterKeys(s)...)
		}
	}
	return nil
}

// upstream returns a schedule of the same namespace, nil when there is none.
func (r *Reconciler) upstream(ctx context.Context, seen *observed, name string) (*v1alpha1.DbtSchedule, error) {
	s := &v1alpha1.DbtSchedule{}
	err := r.client.Get(ctx, types.NamespacedName{Namespace: seen.schedule.Namespace, Name: name}, s)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading DbtSchedule %s, which %s waits for: %w", name, seen.key(), err)
	}
	return s, nil
}

// gatherTaken looks whether the newest tick was missed because somebody else's run has its name.
func (r *Reconciler) gatherTaken(ctx context.Context, seen *observed) error {
	missed, made := seen.schedule.Status.LastMissedTime, seen.schedule.Status.LastScheduleTime
	if missed == nil || made != nil && !made.Before(missed) {
		return nil
	}
	name := schedule.RunName(seen.schedule.Name, missed.Time)
	run := &v1alpha1.DbtRun{}
	err := r.client.Get(ctx, types.NamespacedName{Namespace: seen.schedule.Namespace, Name: name}, run)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("reading DbtRun %s: %w", name, err)
	}
	if !schedule.Owns(seen.schedule, run) {
		seen.taken = name
	}
	return nil
}

// settled returns the newest tick that has a run or was counted as missed.
func settled(s *v1alpha1.DbtScheduleStatus) time.Time {
	var out time.Time
	for _, at := range []*metav1.Time{s.LastScheduleTime, s.LastMissedTime} {
		if at != nil && at.After(out) {
			out = at.Time
		}
	}
	return out
}

// ticks returns the scheduled times of the schedule's own runs.
func (o *observed) ticks() []time.Time {
	var out []time.Time
	for _, run := range o.runs {
		if tick := schedulestatus.Tick(run); !tick.IsZero() {
			out = append(out, tick)
		}
	}
	return out
}

// edited returns when anybody but the operator last changed the object; the zero time when it does not say.
func edited(s *v1alpha1.DbtSchedule) time.Time {
	var out time.Time
	for _, entry := range s.ManagedFields {
		if entry.Subresource == "" && entry.Time != nil && entry.Time.After(out) {
			out = entry.Time.Time
		}
	}
	return out
}
