package dbtrun

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/lifecycle"
	"github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
)

// +kubebuilder:rbac:groups=dbtoperator.dev,resources=dbtruns,verbs=list;watch;delete
// +kubebuilder:rbac:groups=dbtoperator.dev,resources=dbtruns/status,verbs=patch
// +kubebuilder:rbac:groups=dbtoperator.dev,resources=dbtruns/finalizers,verbs=update
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=events,verbs=list
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconciler carries DbtRuns out.
type Reconciler struct {
	clock clock.PassiveClock
	// client reads from the cache and writes to the API server; direct reads from the API server, and is used only where
	// a stale cache would be taken for a fact.
	client   client.Client
	direct   client.Reader
	recorder events.EventRecorder
	metrics  *metrics.Runs
	job      runjob.Options
	// results is nil when nothing is kept of runs beside their status.
	results Results
	shard   controller.Shard
	groups  *groups
	pace    *controller.Pace
	// notesPace bounds how often Kubernetes' events are read.
	notesPace *rate.Limiter
	behind    controller.Behind
	obstacles obstacles
	wake      chan event.GenericEvent
}

// New returns a Reconciler that reads through c's cache, and past it through direct. results is nil when there is no
// collector; shard is what the manager works on.
func New(clk clock.PassiveClock, c client.Client, direct client.Reader, recorder events.EventRecorder, m *metrics.Runs, job runjob.Options, results Results, shard controller.Shard) *Reconciler {
	return &Reconciler{
		clock: clk, client: c, direct: direct, recorder: recorder, metrics: m, job: job, results: results, shard: shard,
		groups: newGroups(), pace: controller.NewPace(progressEvery), notesPace: rate.NewLimiter(notesASecond, notesAtOnce), wake: make(chan event.GenericEvent, 1024),
	}
}

// SetupWithManager adds the indexes and starts the controller with mgr, with this many workers.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, workers int) error {
	if err := AddIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return fmt.Errorf("indexing DbtRuns, Jobs and pods: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("dbtrun").
		For(&v1alpha1.DbtRun{}).
		Watches(&v1alpha1.DbtRun{}, unfinishedFirst{r.onDeleted()}).
		Watches(&batchv1.Job{}, r.onJob()).
		Watches(&corev1.Pod{}, r.onPod()).
		Watches(&v1alpha1.DbtProject{}, handler.EnqueueRequestsFromMapFunc(r.waitingForProject), builder.WithPredicates(specOrLabels)).
		WatchesRawSource(source.Channel(r.wake, &handler.EnqueueRequestForObject{})).
		WithOptions(ctrlcontroller.Options{MaxConcurrentReconciles: workers}).
		WithLogConstructor(func(req *ctrl.Request) logr.Logger {
			log := mgr.GetLogger().WithName("dbtrun")
			if req != nil {
				log = log.WithValues("run", req.String())
			}
			return log
		}).
		Complete(r)
}

// specOrLabels passes what runs that wait are decided by. The project's status is not: it is written as runs end, and each
// time all that wait would be looked at.
var specOrLabels = predicate.Or(predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{})

// Wake has a run looked at: its pod reported something. It does not block, and may be called from anywhere.
func (r *Reconciler) Wake(run types.NamespacedName) { r.wakeRuns(run) }

// Reconcile carries one run one step further.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	run := &v1alpha1.DbtRun{}
	if err := r.client.Get(ctx, req.NamespacedName, run); apierrors.IsNotFound(err) {
		r.forget(req.NamespacedName)
		r.behind.Forget(req.NamespacedName)
		r.pace.Forget(req.NamespacedName)
		r.obstacles.passed(req.NamespacedName)
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, fmt.Errorf("reading DbtRun %s: %w", req, err)
	}
	if r.behind.Is(req.NamespacedName, run) {
		return ctrl.Result{RequeueAfter: conflictRetry}, nil
	}
	if !run.DeletionTimestamp.IsZero() {
		r.forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	seen, err := r.gather(ctx, run)
	if err != nil {
		return ctrl.Result{}, err
	}
	decision, err := r.decide(ctx, seen)
	if err != nil {
		return ctrl.Result{}, err
	}
	decision, err = r.act(ctx, seen, decision)
	if err != nil {
		return ctrl.Result{}, err
	}
	if decision.Truth.Reason != v1alpha1.ReasonPending {
		r.obstacles.passed(req.NamespacedName)
	}
	return r.record(ctx, seen, decision)
}

// Events are not indexed: to find those of one pod the API server reads all there are. So where many pods wait, as in a full
// cluster, few are asked about at a time, and the others keep what was recorded of them.
const (
	notesASecond = 1
	notesAtOnce  = 5
)

// asRecorded returns a decision with the message that the run has already, if it is in the same state.
func asRecorded(run *v1alpha1.DbtRun, d lifecycle.Decision) lifecycle.Decision {
	if c := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionSucceeded); c != nil && c.Reason == d.Truth.Reason {
		d.Truth.Message = c.Message
	}
	return d
}

// decide asks Kubernetes' events only for a run that does not start and whose pod does not say why.
func (r *Reconciler) decide(ctx context.Context, seen *observed) (lifecycle.Decision, error) {
	d := lifecycle.Decide(seen.Input)
	if !d.NeedNotes {
		return d, nil
	}
	if d.Truth.Status == metav1.ConditionUnknown && !r.notesPace.AllowN(seen.Now, 1) {
		return asRecorded(seen.Run, d), nil
	}
	notes, err := r.notes(ctx, seen)
	if err != nil {
		return d, err
	}
	seen.Notes = notes
	return lifecycle.Decide(seen.Input), nil
}
