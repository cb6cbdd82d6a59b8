// Package dbtproject says of each DbtProject whether a run can be made of it. It knows the project alone; it makes
// nothing and never looks at runs, Secrets or ConfigMaps.
package dbtproject

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/admission"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/text"
)

// +kubebuilder:rbac:groups=dbtoperator.dev,resources=dbtprojects,verbs=list;watch
// +kubebuilder:rbac:groups=dbtoperator.dev,resources=dbtprojects/status,verbs=patch

// Reconciler keeps the status of DbtProjects.
type Reconciler struct {
	clock  clock.PassiveClock
	client client.Client
}

// New returns a Reconciler.
func New(clk clock.PassiveClock, c client.Client) *Reconciler {
	return &Reconciler{clock: clk, client: c}
}

// SetupWithManager starts the controller with mgr, for the projects of a shard: the cache has all.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, shard controller.Shard) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("dbtproject").
		For(&v1alpha1.DbtProject{}, builder.WithPredicates(predicate.GenerationChangedPredicate{}, predicate.NewPredicateFuncs(shard.Has))).
		Complete(r)
}

// Reconcile checks one project and records what it found.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	project := &v1alpha1.DbtProject{}
	if err := r.client.Get(ctx, req.NamespacedName, project); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	base := project.DeepCopy()
	project.Status.ObservedGeneration = project.Generation
	conditions.SetReady(&project.Status.Conditions, project.Generation, r.clock.Now(), check(project))
	if equality.Semantic.DeepEqual(base.Status, project.Status) {
		return ctrl.Result{}, nil
	}
	err := r.client.Status().Patch(ctx, project, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		// Somebody else wrote or deleted it: the watch brings it again.
		return ctrl.Result{}, nil
	case err != nil:
		return ctrl.Result{}, fmt.Errorf("recording the status of DbtProject %s: %w", req.NamespacedName, err)
	}
	return ctrl.Result{}, nil
}

func check(project *v1alpha1.DbtProject) conditions.Truth {
	if err := admission.Project(&project.Spec); err != nil {
		return conditions.Truth{Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonInvalidSpec, Message: text.Sentence(err.Error())}
	}
	return conditions.Truth{Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonValid, Message: "Runs can be made of this project."}
}
