package dbtrun

import (
	"context"
	"fmt"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// In a full cluster many pods wait, and each look at Kubernetes' events reads all there are: few are taken at a time, and the
// others keep what is recorded of them.
func TestEventsAreReadForFewAtATime(t *testing.T) {
	const runs = 40
	objects := []client.Object{testutil.MakeDbtProject("shop").Namespace("ns").ConfigMap("files").Concurrency(v1alpha1.ConcurrencyAllow, "").Obj()}
	for i := range runs {
		objects = append(objects, makeRun(fmt.Sprintf("r%d", i)).Project("shop").StartTimeout(900).Obj())
	}
	b := newBench(t, objects...)
	lists := 0
	b.r.direct = interceptor.NewClient(b.client.(client.WithWatch), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, ok := list.(*corev1.EventList); ok {
				lists++
				return nil
			}
			return c.List(ctx, list, opts...)
		},
	})
	each := func(f func(name string)) {
		for i := range runs {
			f(fmt.Sprintf("r%d", i))
		}
	}
	each(func(name string) { b.pass(name) })
	var jobs batchv1.JobList
	if err := b.client.List(t.Context(), &jobs); err != nil || len(jobs.Items) != runs {
		t.Fatalf("%d Jobs, want %d (error %v)", len(jobs.Items), runs, err)
	}
	for i := range jobs.Items {
		jobs.Items[i].Status.StartTime = &metav1.Time{Time: start}
		if err := b.client.Status().Update(t.Context(), &jobs.Items[i]); err != nil {
			t.Fatal(err)
		}
	}
	b.clock.SetTime(start.Add(time.Minute))
	each(func(name string) {
		before, _ := b.pass(name)
		if after, result := b.pass(name); after.ResourceVersion != before.ResourceVersion || result.RequeueAfter == 0 {
			t.Errorf("run %s is written again, or not looked at again (after %s): %s", name, result.RequeueAfter, after.Status.Message)
		}
	})
	if lists == 0 || lists > notesAtOnce {
		t.Errorf("events were read %d times for %d runs at one moment, want 1 to %d", lists, runs, notesAtOnce)
	}
}
