package dbtschedule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/metrics"
)

// +kubebuilder:rbac:groups=dbtoperator.dev,resources=dbtschedules,verbs=list;watch
// +kubebuilder:rbac:groups=dbtoperator.dev,resources=dbtschedules/status,verbs=patch
// +kubebuilder:rbac:groups=dbtoperator.dev,resources=dbtschedules/finalizers,verbs=update
// +kubebuilder:rbac:groups=dbtoperator.dev,resources=dbtruns,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=dbtoperator.dev,resources=dbtprojects,verbs=list;watch
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

const (
	// recheck bounds how long a schedule is not looked at: timers do not hear of a clock that is set.
	recheck = 10 * time.Minute
	// conflictRetry is when a schedule that somebody else changed is looked at again, should no watch event bring it.
	conflictRetry = time.Second
	// refusedRetry is when a run that the API server refuses to take is tried again.
	refusedRetry = 30 * time.Second
	// recordRetry is when a run that was made is recorded, should no watch event tell of it.
	recordRetry = time.Second
)

// Priorities in the queue: where more is to be done than can be, ticks that are due come before what watch events bring,
// whose priority is 0, and that before what can wait.
const (
	priorityDue    = 100
	priorityRecord = handler.LowPriority
)

// Reconciler makes the runs of DbtSchedules.
type Reconciler struct {
	clock clock.PassiveClock
	// client reads from the cache and writes to the API server; direct reads from the API server, and is used only where
	// a stale cache would be taken for a fact.
	client   client.Client
	direct   client.Reader
	recorder events.EventRecorder
	metrics  *metrics.Schedules
	behind   controller.Behind
	// made are runs that no status names yet; answers are those of the last moment about authors.
	made    unrecorded
	answers *cache.LRUExpireCache
}

// New returns a Reconciler that reads through c's cache, and past it through direct.
func New(clk clock.PassiveClock, c client.Client, direct client.Reader, recorder events.EventRecorder, m *metrics.Schedules) *Reconciler {
	return &Reconciler{
		clock: clk, client: c, direct: direct, recorder: recorder, metrics: m,
		answers: cache.NewLRUExpireCacheWithClock(mostAnswers, clk),
	}
}

// Reconcile carries one schedule one step further.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	s := &v1alpha1.DbtSchedule{}
	if err := r.client.Get(ctx, req.NamespacedName, s); apierrors.IsNotFound(err) {
		r.forget(req)
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, fmt.Errorf("reading DbtSchedule %s: %w", req, err)
	}
	if r.behind.Is(req.NamespacedName, s) {
		return ctrl.Result{RequeueAfter: conflictRetry}, nil
	}
	if !s.DeletionTimestamp.IsZero() {
		r.forget(req)
		return ctrl.Result{}, nil
	}
	seen, err := r.gather(ctx, s)
	if err != nil {
		return ctrl.Result{}, err
	}
	decided := decide(seen)
	done, actErr := r.act(ctx, seen, decided)
	if actErr == nil && decided.ticksAlone() && done.smoothly() && !seen.news() {
		return r.recordLater(ctx, seen, done), nil
	}
	result, err := r.record(ctx, seen, decided, done)
	if err := errors.Join(actErr, err); err != nil {
		return ctrl.Result{}, err
	}
	return result, nil
}

func (r *Reconciler) forget(req ctrl.Request) {
	r.behind.Forget(req.NamespacedName)
	r.made.forget(req.NamespacedName)
	r.metrics.Next(req.String(), time.Time{})
}

// again returns when to look at the schedule again.
func (r *Reconciler) again(key client.ObjectKey, decided decision, done outcome) ctrl.Result {
	next := decided.ticks.Next
	if decided.invalid != nil {
		next = time.Time{}
	}
	r.metrics.Next(key.String(), next)
	switch {
	case done.refused != "":
		return ctrl.Result{RequeueAfter: refusedRetry}
	case next.IsZero() && decided.backfill.Held:
		// Nothing tells of a right that is given back.
		return ctrl.Result{RequeueAfter: recheck}
	case next.IsZero():
		return ctrl.Result{}
	}
	// The clock is read anew: a pass takes its time, and the next tick shall not be later for it.
	return ctrl.Result{RequeueAfter: min(recheck, max(time.Millisecond, next.Sub(r.clock.Now()))), Priority: ptr.To(priorityDue)}
}

func (r *Reconciler) logger(base logr.Logger) func(*ctrl.Request) logr.Logger {
	return func(req *ctrl.Request) logr.Logger {
		log := base.WithName("dbtschedule")
		if req != nil {
			log = log.WithValues("schedule", req.String())
		}
		return log
	}
}
