package dbtrun

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// onJob wakes the run that controls a Job, and the next run of its concurrency group.
func (r *Reconciler) onJob() handler.Funcs {
	return each(func(object client.Object, q queue) {
		enqueue(q, object.GetNamespace(), ownerRun(object))
		r.enqueueNext(q, object)
	})
}

// onPod wakes the run whose name the pod carries, and the next run of its concurrency group. A pod that somebody
// labelled by hand wakes a run for nothing; gather then leaves it out.
func (r *Reconciler) onPod() handler.Funcs {
	funcs := each(func(object client.Object, q queue) {
		enqueue(q, object.GetNamespace(), object.GetAnnotations()[v1alpha1.AnnotationRun])
		if pod, ok := object.(*corev1.Pod); ok && activeGroupOfPod(pod) == nil {
			r.enqueueNext(q, object)
		}
	})
	// A pod that is deleted at once is last seen running.
	changed := funcs.DeleteFunc
	funcs.DeleteFunc = func(ctx context.Context, e event.DeleteEvent, q queue) {
		changed(ctx, e, q)
		r.enqueueNext(q, e.Object)
	}
	return funcs
}

// unfinishedFirst has runs that are not over looked at before all others when the manager starts: the rest of the first
// list waits at low priority. What becomes of them later is as its Funcs say.
type unfinishedFirst struct{ handler.Funcs }

// Create enqueues a run that is not over. handler.Funcs would lower the priority.
func (unfinishedFirst) Create(_ context.Context, e event.CreateEvent, q queue) {
	if run, ok := e.Object.(*v1alpha1.DbtRun); ok && !run.Status.Phase.Finished() {
		q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(run)})
	}
}

// onDeleted tells the collector of runs that are gone.
func (r *Reconciler) onDeleted() handler.Funcs {
	return handler.Funcs{DeleteFunc: func(_ context.Context, e event.DeleteEvent, _ queue) {
		if r.results != nil {
			r.results.Deleted(client.ObjectKeyFromObject(e.Object), e.Object.GetUID())
		}
	}}
}

// each calls f for every created, changed and deleted object. These run outside the safety net of Reconcile, so they
// parse nothing.
func each(f func(client.Object, queue)) handler.Funcs {
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { f(e.Object, q) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { f(e.ObjectNew, q) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { f(e.Object, q) },
	}
}

func enqueue(q queue, namespace, name string) {
	if name != "" {
		q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}})
	}
}

func (r *Reconciler) enqueueNext(q queue, object client.Object) {
	label := object.GetLabels()[v1alpha1.LabelGroup]
	if label == "" {
		return
	}
	if next, ok := r.groups.next(groupID{object.GetNamespace(), label}); ok {
		q.Add(reconcile.Request{NamespacedName: next})
	}
}

// wakeRuns enqueues runs from inside Reconcile. A run that finds the channel full is woken by its own timer.
func (r *Reconciler) wakeRuns(names ...types.NamespacedName) {
	for _, n := range names {
		run := &v1alpha1.DbtRun{}
		run.Namespace, run.Name = n.Namespace, n.Name
		select {
		case r.wake <- event.GenericEvent{Object: run}:
		default:
		}
	}
}

// waitingForProject returns the runs of a project that have no Job yet: those that wait for it, or in a queue whose rules may
// have changed.
func (r *Reconciler) waitingForProject(ctx context.Context, project client.Object) []reconcile.Request {
	var runs v1alpha1.DbtRunList
	if err := r.client.List(ctx, &runs, client.InNamespace(project.GetNamespace()), client.MatchingFields{indexWaiting: projectKey(project.GetName())}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "listing the runs of a DbtProject", "project", client.ObjectKeyFromObject(project))
		return nil
	}
	out := make([]reconcile.Request, len(runs.Items))
	for i := range runs.Items {
		out[i].NamespacedName = client.ObjectKeyFromObject(&runs.Items[i])
	}
	return out
}
