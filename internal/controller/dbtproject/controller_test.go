package dbtproject

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

var start = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

// bench is a Reconciler on a client that keeps objects in memory.
type bench struct {
	*testing.T
	client client.Client
	clock  *clocktesting.FakePassiveClock
	r      *Reconciler
	writes int
}

func newBench(t *testing.T, scope controller.Scope) *bench {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, clock: clocktesting.NewFakePassiveClock(start)}
	b.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(shop().Obj()).WithStatusSubresource(&v1alpha1.DbtProject{}).
		WithIndex(&v1alpha1.DbtRun{}, controller.IndexGoodRuns, controller.GoodRunKeys).
		WithInterceptorFuncs(interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			b.writes++
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		}}).Build()
	b.r = New(b.clock, b.client, scope)
	return b
}

func shop() *testutil.ProjectWrapper {
	return testutil.MakeDbtProject("shop").Namespace("ns").UID("shop-1")
}

func good(name string, at time.Time) *testutil.RunWrapper {
	return testutil.MakeDbtRun(name).Namespace("ns").UID("uid-"+name).Good(shop().Obj(), "prod", "sha256:"+name, "s", at)
}

func (b *bench) add(run *testutil.RunWrapper) {
	b.Helper()
	if err := b.client.Create(b.Context(), run.Obj()); err != nil {
		b.Fatal(err)
	}
}

// pass reconciles the project once; it returns what it remembers and when it is looked at again.
func (b *bench) pass() (string, time.Duration) {
	b.Helper()
	key := client.ObjectKey{Namespace: "ns", Name: "shop"}
	result, err := b.r.Reconcile(b.Context(), ctrl.Request{NamespacedName: key})
	if err != nil {
		b.Fatal(err)
	}
	project := &v1alpha1.DbtProject{}
	if err := b.client.Get(b.Context(), key, project); err != nil {
		b.Fatal(err)
	}
	var names []string
	for _, g := range project.Status.LastGood {
		names = append(names, g.Target+"="+g.Run)
	}
	return strings.Join(names, " "), result.RequeueAfter
}

// However many runs end, the project is written every five seconds at most, and never when nothing changed.
func TestLastGoodIsWrittenAtAPace(t *testing.T) {
	b := newBench(t, controller.Scope{Keeps: true})
	if got, again := b.pass(); got != "" || again != 0 || b.writes != 1 {
		t.Fatalf("%q, again in %s, %d writes", got, again, b.writes)
	}
	for i := range 100 {
		at := start.Add(time.Duration(i) * 100 * time.Millisecond)
		b.clock.SetTime(at)
		b.add(good(fmt.Sprintf("r%02d", i), at.Truncate(time.Second)))
		got, again := b.pass()
		switch {
		case i < 50 && (got != "" || again != start.Add(every).Sub(at)):
			t.Fatalf("after %s: %q, again in %s", at.Sub(start), got, again)
		case i >= 50 && got != "prod=r50":
			t.Fatalf("after %s: %q", at.Sub(start), got)
		}
	}
	b.clock.SetTime(start.Add(2 * every))
	if got, _ := b.pass(); got != "prod=r99" || b.writes != 3 {
		t.Errorf("%q, %d writes", got, b.writes)
	}
	b.clock.SetTime(start.Add(3 * every))
	if got, again := b.pass(); got != "prod=r99" || b.writes != 3 || again != 0 {
		t.Errorf("nothing changed: %q, %d writes, again in %s", got, b.writes, again)
	}
}

func TestLastGoodOutlivesItsRun(t *testing.T) {
	b := newBench(t, controller.Scope{Keeps: true})
	b.add(good("old", start.Add(-time.Hour)))
	b.add(good("new", start.Add(-time.Minute)))
	if got, _ := b.pass(); got != "prod=new" {
		t.Fatal(got)
	}
	if err := b.client.Delete(b.Context(), good("new", start).Obj()); err != nil {
		t.Fatal(err)
	}
	b.clock.SetTime(start.Add(time.Minute))
	if got, _ := b.pass(); got != "prod=new" || b.writes != 1 {
		t.Errorf("%q, %d writes", got, b.writes)
	}
}

func TestLastGoodIsForWhoKeepsManifests(t *testing.T) {
	b := newBench(t, controller.Scope{})
	b.add(good("r", start.Add(-time.Minute)))
	if got, _ := b.pass(); got != "" {
		t.Errorf("without a collector it remembers %q", got)
	}
	shard, err := controller.ParseShard(v1alpha1.LabelShard + "=two")
	if err != nil {
		t.Fatal(err)
	}
	b = newBench(t, controller.Scope{Keeps: true, Shard: shard})
	b.add(good("r", start.Add(-time.Minute)))
	if got, _ := b.pass(); got != "" || b.writes != 0 {
		t.Errorf("of another manager's project it writes %q", got)
	}
}

// A conflict is looked at again by itself: the status that was written brings no event.
func TestConflictIsLookedAtAgain(t *testing.T) {
	b := newBench(t, controller.Scope{Keeps: true})
	stale := &staleReader{b.client}
	b.r.client = stale
	if _, again := b.pass(); again != conflictRetry {
		t.Errorf("again in %s", again)
	}
}

// staleReader shows projects as they were before the last write.
type staleReader struct{ client.Client }

func (s *staleReader) Get(ctx context.Context, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
	err := s.Client.Get(ctx, key, into, opts...)
	if p, ok := into.(*v1alpha1.DbtProject); ok {
		p.ResourceVersion = "1"
	}
	return err
}

// Only what makes a run good, or brings its manifest, has its project looked at.
func TestWhichRunsWake(t *testing.T) {
	sending, there := good("r", start).Sending(), good("r", start)
	running := testutil.MakeDbtRun("r").Project("shop").Truth(v1alpha1.PhaseRunning, "Unknown", v1alpha1.ReasonRunning, "Runs.")
	failed := running.Clone().Truth(v1alpha1.PhaseFailed, "False", v1alpha1.ReasonNodesFailed, "")
	relabelled := there.Clone().Label("a", "b")
	for name, c := range map[string]struct {
		before, after *testutil.RunWrapper
		want          bool
	}{
		"it became good":       {running, sending, true},
		"its manifest came":    {sending, there, true},
		"it goes on":           {running, running.Clone().Label("a", "b"), false},
		"it failed":            {running, failed, false},
		"good as it was":       {there, relabelled, false},
		"of another revision":  {running, there.Clone().Revision("refs/pull/1/head"), false},
		"it has only compiled": {running, there.Clone().Command("dbt compile"), false},
	} {
		if got := becameGood.Update(event.UpdateEvent{ObjectOld: c.before.Obj(), ObjectNew: c.after.Obj()}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if becameGood.Create(event.CreateEvent{Object: there.Obj(), IsInInitialList: true}) || !becameGood.Create(event.CreateEvent{Object: there.Obj()}) || becameGood.Delete(event.DeleteEvent{Object: there.Obj()}) {
		t.Error("creations and deletions")
	}
	want := []ctrl.Request{{NamespacedName: client.ObjectKey{Namespace: "ns", Name: "shop"}}}
	if diff := cmp.Diff(want, projectOf(t.Context(), there.Obj())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
