package dbtschedule

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Indexes of the cache.
const (
	// indexOwner finds the runs of a schedule, by its name.
	indexOwner = "dbtoperator.dev/schedule"
	// indexProject finds the schedules of a project, indexAfter those that wait for another schedule.
	indexProject = "dbtoperator.dev/schedule-project"
	indexAfter   = "dbtoperator.dev/schedule-after"
)

// AddIndexes adds the indexes that the controller reads by.
func AddIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	for _, add := range []struct {
		object client.Object
		field  string
		keys   client.IndexerFunc
	}{
		{&v1alpha1.DbtRun{}, indexOwner, ownerKeys},
		{&v1alpha1.DbtSchedule{}, indexProject, projectKeys},
		{&v1alpha1.DbtSchedule{}, indexAfter, afterKeys},
	} {
		if err := indexer.IndexField(ctx, add.object, add.field, add.keys); err != nil {
			return err
		}
	}
	return nil
}

func ownerKeys(object client.Object) []string {
	owner := metav1.GetControllerOf(object)
	if owner == nil || owner.Kind != "DbtSchedule" || owner.APIVersion != v1alpha1.GroupVersion.String() {
		return nil
	}
	return []string{owner.Name}
}

func projectKeys(object client.Object) []string {
	s, ok := object.(*v1alpha1.DbtSchedule)
	if !ok || s.Spec.RunTemplate.Spec.ProjectRef == nil {
		return nil
	}
	return []string{s.Spec.RunTemplate.Spec.ProjectRef.Name}
}

func afterKeys(object client.Object) []string {
	s, ok := object.(*v1alpha1.DbtSchedule)
	if !ok {
		return nil
	}
	var out []string
	for _, a := range s.Spec.After {
		out = append(out, a.Schedule)
	}
	return out
}

// SetupWithManager adds the indexes and starts the controller with mgr, with this many workers.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, workers int) error {
	if err := AddIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return fmt.Errorf("indexing DbtSchedules and their DbtRuns: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("dbtschedule").
		For(&v1alpha1.DbtSchedule{}).
		Owns(&v1alpha1.DbtRun{}, builder.WithPredicates(phaseChanged())).
		Watches(&v1alpha1.DbtProject{}, r.schedulesBy(indexProject), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.DbtSchedule{}, r.schedulesBy(indexAfter), builder.WithPredicates(endedChanged())).
		WithOptions(ctrlcontroller.Options{MaxConcurrentReconciles: workers}).
		WithLogConstructor(r.logger(mgr.GetLogger())).
		Complete(r)
}

// phaseChanged leaves out a run's progress, which no schedule waits for.
func phaseChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.DbtRun)
		after, also := e.ObjectNew.(*v1alpha1.DbtRun)
		return ok && also && (before.Status.Phase != after.Status.Phase || before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero())
	}}
}

// endedChanged lets those schedules pass that others may have waited for.
func endedChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.DbtSchedule)
		after, also := e.ObjectNew.(*v1alpha1.DbtSchedule)
		return ok && also && (!before.Status.LastEndedScheduleTime.Equal(after.Status.LastEndedScheduleTime) ||
			!before.Status.LastSucceededScheduleTime.Equal(after.Status.LastSucceededScheduleTime))
	}}
}

// schedulesBy wakes the schedules that an index has under the name of an object.
func (r *Reconciler) schedulesBy(index string) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) []reconcile.Request {
		var list v1alpha1.DbtScheduleList
		if err := r.client.List(ctx, &list, client.InNamespace(object.GetNamespace()), client.MatchingFields{index: object.GetName()}, client.UnsafeDisableDeepCopy); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "listing the DbtSchedules that name an object", "object", client.ObjectKeyFromObject(object))
			return nil
		}
		var out []reconcile.Request
		for i := range list.Items {
			out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: list.Items[i].Namespace, Name: list.Items[i].Name}})
		}
		return out
	})
}
