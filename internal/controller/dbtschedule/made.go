package dbtschedule

import (
	"context"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// recordLater ends a pass that made runs and leaves their recording to the next, which their watch event brings: of many
// schedules that tick together, each has its run before the status of any is written. A process that dies in between
// leaves what one leaves that dies before a status patch: the runs are there, under the names that are their ticks'.
func (r *Reconciler) recordLater(ctx context.Context, seen *observed, done outcome) ctrl.Result {
	r.made.add(seen.key(), done.made)
	r.announceRuns(ctx, seen, done)
	return ctrl.Result{RequeueAfter: recordRetry, Priority: ptr.To(priorityRecord)}
}

// smoothly reports whether runs were made and there is no more to say of it.
func (o outcome) smoothly() bool {
	return len(o.made) > 0 && len(o.taken) == 0 && o.refused == ""
}

// unrecorded remembers, for each schedule, the runs that this process made and no status names yet. A cache that does not
// show one of them has fallen behind, which would otherwise be taken for its not being there.
type unrecorded struct {
	mu    sync.Mutex
	names map[types.NamespacedName][]string
}

func (u *unrecorded) add(key types.NamespacedName, runs []*v1alpha1.DbtRun) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.names == nil {
		u.names = map[types.NamespacedName][]string{}
	}
	for _, run := range runs {
		u.names[key] = append(u.names[key], run.Name)
	}
}

// of returns the names of a schedule's runs.
func (u *unrecorded) of(key types.NamespacedName) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.names[key])
}

// forget drops a schedule that is recorded, or gone.
func (u *unrecorded) forget(key types.NamespacedName) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.names, key)
}

// expected are the names of runs that were active or made when the schedule was last looked at.
func (r *Reconciler) expected(s *v1alpha1.DbtSchedule) []string {
	return append(r.made.of(client.ObjectKeyFromObject(s)), s.Status.Active...)
}
