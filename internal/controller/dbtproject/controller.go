// Package dbtproject says of each DbtProject whether a run can be made of it, and which were its last good runs. It knows
// the project and the runs of its name in the cache; it makes nothing, and never looks at Secrets, ConfigMaps or what is
// kept of a run. Whether a run is good, and which is the last, internal/lastgood decides.
package dbtproject

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/admission"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/lastgood"
	"github.com/dbt-operator/dbt-operator/internal/text"
)

// +kubebuilder:rbac:groups=dbtoperator.dev,resources=dbtprojects,verbs=list;watch
// +kubebuilder:rbac:groups=dbtoperator.dev,resources=dbtprojects/status,verbs=patch

const (
	// every is how often the last good runs of a project are recorded at most.
	every = 5 * time.Second
	// conflictRetry is when a project whose status somebody else changed is looked at again.
	conflictRetry = time.Second
)

// Reconciler keeps the status of DbtProjects.
type Reconciler struct {
	clock  clock.PassiveClock
	client client.Client
	scope  controller.Scope
	pace   *controller.Pace
}

// New returns a Reconciler for what scope chooses; the cache has the projects of all shards.
func New(clk clock.PassiveClock, c client.Client, scope controller.Scope) *Reconciler {
	return &Reconciler{clock: clk, client: c, scope: scope, pace: controller.NewPace(every)}
}

// SetupWithManager starts the controller with mgr. It reads by controller.IndexGoodRuns, which the DbtRun controller adds.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	b := ctrl.NewControllerManagedBy(mgr).
		Named("dbtproject").
		For(&v1alpha1.DbtProject{}, builder.WithPredicates(predicate.GenerationChangedPredicate{}, predicate.NewPredicateFuncs(r.scope.Shard.Has)))
	if r.scope.Keeps {
		b = b.Watches(&v1alpha1.DbtRun{}, handler.EnqueueRequestsFromMapFunc(projectOf), builder.WithPredicates(becameGood))
	}
	return b.Complete(r)
}

// projectOf returns the project of a good run.
func projectOf(_ context.Context, run client.Object) []reconcile.Request {
	var out []reconcile.Request
	for _, name := range controller.GoodRunKeys(run) {
		out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: run.GetNamespace(), Name: name}})
	}
	return out
}

// becameGood passes runs that are good since the change, or whose files have come since. One that is deleted changes
// nothing: what is remembered of it is never taken back.
var becameGood = predicate.Funcs{
	CreateFunc: func(e event.CreateEvent) bool { return !e.IsInInitialList && len(controller.GoodRunKeys(e.Object)) > 0 },
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.DbtRun)
		after, is := e.ObjectNew.(*v1alpha1.DbtRun)
		return ok && is && lastgood.Good(after) && (!lastgood.Good(before) || decided(before) != decided(after))
	},
	DeleteFunc:  func(event.DeleteEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
}

// decided is what of a good run can still change: its manifest, and whether one may come.
func decided(run *v1alpha1.DbtRun) (out struct{ digest, reason string }) {
	out.digest = lastgood.ManifestDigest(run)
	if c := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionResultsAvailable); c != nil {
		out.reason = c.Reason
	}
	return out
}

// Reconcile checks one project and records what it found.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	project := &v1alpha1.DbtProject{}
	if err := r.client.Get(ctx, req.NamespacedName, project); apierrors.IsNotFound(err) {
		r.pace.Forget(req.NamespacedName)
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, fmt.Errorf("reading DbtProject %s: %w", req.NamespacedName, err)
	}
	if !r.scope.Shard.Has(project) {
		return ctrl.Result{}, nil
	}
	now := r.clock.Now()
	base := project.DeepCopy()
	project.Status.ObservedGeneration = project.Generation
	conditions.SetReady(&project.Status.Conditions, project.Generation, now, check(project))
	checked := !equality.Semantic.DeepEqual(base.Status, project.Status)
	left := r.pace.Left(req.NamespacedName, now)
	if r.scope.Keeps && (checked || left == 0) {
		good, err := controller.GoodRuns(ctx, r.client, req.NamespacedName)
		if err != nil {
			return ctrl.Result{}, err
		}
		project.Status.LastGood = lastgood.Of(project, good, now)
	} else if r.scope.Keeps {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	if equality.Semantic.DeepEqual(base.Status, project.Status) {
		return ctrl.Result{}, nil
	}
	err := r.client.Status().Patch(ctx, project, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
	switch {
	case apierrors.IsNotFound(err):
		return ctrl.Result{}, nil
	case apierrors.IsConflict(err):
		// Somebody else wrote it, or the cache has not heard of the last write. Its status brings no event.
		return ctrl.Result{RequeueAfter: conflictRetry}, nil
	case err != nil:
		return ctrl.Result{}, fmt.Errorf("recording the status of DbtProject %s: %w", req.NamespacedName, err)
	}
	r.pace.Wrote(req.NamespacedName, now)
	return ctrl.Result{}, nil
}

func check(project *v1alpha1.DbtProject) conditions.Truth {
	if err := admission.Project(&project.Spec); err != nil {
		return conditions.Truth{Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonInvalidSpec, Message: text.Sentence(err.Error())}
	}
	return conditions.Truth{Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonValid, Message: "Runs can be made of this project."}
}
