package follow

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/outbox"
)

// Poker is told of runs of which something may be due; it does not block.
type Poker interface{ Poke(run outbox.Key) }

// Reconciler tells an outbox of runs that started or ended.
type Reconciler struct {
	name   string
	clock  clock.PassiveClock
	client client.Reader
	outbox Poker
}

// New returns a Reconciler with this name that reads from c's cache.
func New(name string, clk clock.PassiveClock, c client.Reader, to Poker) *Reconciler {
	return &Reconciler{name: name, clock: clk, client: c, outbox: to}
}

// recent is how long after its end a run is told of when the operator starts: senders give up after a day.
const recent = 24 * time.Hour

// SetupWithManager starts the controller with mgr.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named(r.name).
		For(&v1alpha1.DbtRun{}, builder.WithPredicates(predicate.Funcs{
			CreateFunc: func(e event.CreateEvent) bool { return r.due(nil, e.Object) },
			UpdateFunc: func(e event.UpdateEvent) bool { return r.due(e.ObjectOld, e.ObjectNew) },
			DeleteFunc: func(event.DeleteEvent) bool { return false },
		})).
		Complete(r)
}

// due reports whether a change of a run makes something due: it started, or its results are as complete as they will be.
func (r *Reconciler) due(before, after client.Object) bool {
	now, ok := after.(*v1alpha1.DbtRun)
	if !ok {
		return false
	}
	started, over := now.Status.StartTime != nil, Settled(now)
	if was, known := before.(*v1alpha1.DbtRun); known {
		return started && was.Status.StartTime == nil || over && !Settled(was)
	}
	if !started && !over {
		return false
	}
	end := now.Status.CompletionTime
	return end == nil || r.clock.Now().Sub(end.Time) < recent
}

// Settled reports whether a run is over and nothing more of it will arrive.
func Settled(run *v1alpha1.DbtRun) bool {
	if !run.Status.Phase.Finished() {
		return false
	}
	c := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionResultsAvailable)
	return c == nil || c.Reason != v1alpha1.ReasonUploading
}

// Reconcile tells the outbox of one run.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	run := &v1alpha1.DbtRun{}
	if err := r.client.Get(ctx, req.NamespacedName, run); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	r.outbox.Poke(outbox.Key{Namespace: run.Namespace, Name: run.Name, UID: string(run.UID)})
	return ctrl.Result{}, nil
}
