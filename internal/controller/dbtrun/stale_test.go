package dbtrun

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	ctrl "sigs.k8s.io/controller-runtime"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// frozen answers reads of DbtRuns with what a run was at one moment, as a cache that has fallen behind.
func (b *bench) frozen(m *mortal, run *v1alpha1.DbtRun) client.WithWatch {
	funcs := m.funcs()
	funcs.Get = func(ctx context.Context, w client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		if old, isRun := o.(*v1alpha1.DbtRun); isRun {
			run.DeepCopyInto(old)
			return nil
		}
		return w.Get(ctx, key, o, opts...)
	}
	return interceptor.NewClient(b.client.(client.WithWatch), funcs)
}

// A process that has written a status does nothing on the version before it; another one, which leads no more and does
// not know, is refused. Fault 30.
func TestStaleCache(t *testing.T) {
	b := newBench(t, testutil.MakeDbtProject("shop").Namespace("ns").Obj(), makeRun("r").Project("shop").Obj())
	before := b.read("r")
	m := &mortal{}
	c := b.frozen(m, before)
	b.r.client = c
	request := ctrl.Request{NamespacedName: client.ObjectKeyFromObject(before)}
	pass := func() ctrl.Result {
		result, err := b.r.Reconcile(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	pass()
	recorded, writes := b.read("r"), m.writes
	if recorded.Status.Job == nil || writes != 2 {
		t.Fatalf("the first pass recorded %+v in %d writes", recorded.Status, writes)
	}
	if result := pass(); m.writes != writes || result.RequeueAfter != conflictRetry {
		t.Errorf("%d writes on a version that was replaced, again in %s", m.writes-writes, result.RequeueAfter)
	}
	b.restart(m)
	b.r.client = c
	b.clock.SetTime(start.Add(1e9))
	if result := pass(); result.RequeueAfter != conflictRetry {
		t.Errorf("a conflict is looked at again in %s", result.RequeueAfter)
	}
	if diff := cmp.Diff(recorded, b.read("r")); diff != "" {
		t.Errorf("a stale write went through (-want +got):\n%s", diff)
	}
}
