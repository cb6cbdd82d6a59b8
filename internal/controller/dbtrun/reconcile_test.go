package dbtrun

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

var start = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

// bench is a Reconciler on a client that keeps objects in memory and validates nothing, so that it can hold objects
// that no API server would take today.
type bench struct {
	*testing.T
	client client.Client
	clock  *clocktesting.FakePassiveClock
	r      *Reconciler
}

func newBench(t *testing.T, objects ...client.Object) *bench {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	b := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.DbtRun{})
	indexer := fakeIndexer{b}
	if err := AddIndexes(t.Context(), indexer); err != nil {
		t.Fatal(err)
	}
	c := b.Build()
	clk := clocktesting.NewFakePassiveClock(start)
	return &bench{t, c, clk, New(clk, c, c, events.NewFakeRecorder(100), metrics.NewRuns(prometheus.NewRegistry(), clk.Now), runjob.Options{OperatorImage: "operator"}, nil, controller.Shard{})}
}

type fakeIndexer struct{ b *fake.ClientBuilder }

func (f fakeIndexer) IndexField(_ context.Context, object client.Object, field string, keys client.IndexerFunc) error {
	f.b.WithIndex(object, field, keys)
	return nil
}

// pass reconciles a run once and returns it.
func (b *bench) pass(name string) (*v1alpha1.DbtRun, ctrl.Result) {
	b.Helper()
	key := client.ObjectKey{Namespace: "ns", Name: name}
	result, err := b.r.Reconcile(b.Context(), ctrl.Request{NamespacedName: key})
	if err != nil {
		b.Fatalf("reconciling %s: %v", name, err)
	}
	run := &v1alpha1.DbtRun{}
	if err := client.IgnoreNotFound(b.client.Get(b.Context(), key, run)); err != nil {
		b.Fatal(err)
	}
	return run, result
}

func (b *bench) jobs() int {
	b.Helper()
	var list batchv1.JobList
	if err := b.client.List(b.Context(), &list); err != nil {
		b.Fatal(err)
	}
	return len(list.Items)
}

func makeRun(name string) *testutil.RunWrapper {
	return testutil.MakeDbtRun(name).Namespace("ns").UID("uid-" + name).Created(start)
}

// Objects that were stored before the rule that forbids them: each fails with a message, none panics, and none keeps
// another from running.
func TestPoisonedRuns(t *testing.T) {
	noSource, noProfiles, noVolume := testutil.MakeDbtProject("a"), testutil.MakeDbtProject("b"), testutil.MakeDbtProject("c")
	noSource.Spec.Source = v1alpha1.Source{}
	noProfiles.Spec.Profiles = &v1alpha1.Profiles{}
	noVolume.Volume(v1alpha1.Volume{Name: "v", MountPath: "/v"})
	for name, c := range map[string]struct {
		reason string
		run    *testutil.RunWrapper
		want   string
	}{
		"neither":    {"no project at all", makeRun("neither"), "neither spec.projectRef nor spec.project is set"},
		"noSource":   {"an empty union", makeRun("noSource").Inline(noSource.Concurrency("", "g").Obj()), "spec.source: exactly one"},
		"noProfiles": {"an empty union", makeRun("noProfiles").Inline(noProfiles.Concurrency("", "g").Obj()), "spec.profiles: exactly one"},
		"noVolume":   {"an empty union", makeRun("noVolume").Inline(noVolume.Concurrency("", "g").Obj()), "spec.volumes[v]: exactly one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(c.reason)
			good := makeRun("good").Inline(testutil.MakeDbtProject("x").Concurrency("", "g").Obj()).Created(start.Add(time.Second))
			b := newBench(t, c.run.Obj(), good.Obj())
			got, _ := b.pass(c.run.Name)
			if got.Status.Phase != v1alpha1.PhaseFailed || !strings.Contains(got.Status.Message, c.want) {
				t.Errorf("status is %s %q", got.Status.Phase, got.Status.Message)
			}
			if got, _ := b.pass("good"); got.Status.Job == nil {
				t.Errorf("the good run does not begin: %q", got.Status.Message)
			}
		})
	}
}

func TestTimesOfAMissingProject(t *testing.T) {
	b := newBench(t, makeRun("r").Project("shop").Obj())
	got, result := b.pass("r")
	if got.Status.Phase != v1alpha1.PhasePending || result.RequeueAfter != 30*time.Second {
		t.Errorf("phase %s, again in %s", got.Status.Phase, result.RequeueAfter)
	}
	b.clock.SetTime(start.Add(30 * time.Second))
	if got, _ = b.pass("r"); got.Status.Phase != v1alpha1.PhaseFailed {
		t.Errorf("phase %s after 30 s", got.Status.Phase)
	}
	b.clock.SetTime(start.Add(time.Hour))
	if err := b.client.Create(t.Context(), testutil.MakeDbtProject("shop").Namespace("ns").Obj()); err != nil {
		t.Fatal(err)
	}
	if got, _ = b.pass("r"); got.Status.Phase != v1alpha1.PhaseFailed || b.jobs() != 0 {
		t.Errorf("a run that was over began: %s", got.Status.Phase)
	}
}

// Some tools replace a project by deleting it and creating it again: a run that has waited its turn for an hour has not waited
// for its project for an hour.
func TestProjectThatIsReplaced(t *testing.T) {
	project := func() client.Object { return testutil.MakeDbtProject("shop").Namespace("ns").Obj() }
	b := newBench(t, project(), makeRun("first").Project("shop").Obj(), makeRun("r").Project("shop").Created(start.Add(time.Second)).Obj())
	b.pass("first")
	for range 2 {
		b.clock.SetTime(b.clock.Now().Add(time.Hour))
		if got, _ := b.pass("r"); got.Status.Phase != v1alpha1.PhaseQueued {
			t.Fatalf("phase %s behind another", got.Status.Phase)
		}
		b.must(b.client.Delete(t.Context(), project()))
		if got, result := b.pass("r"); got.Status.Phase != v1alpha1.PhasePending || result.RequeueAfter != 30*time.Second {
			t.Fatalf("phase %s without its project: %q, again in %s", got.Status.Phase, got.Status.Message, result.RequeueAfter)
		}
		b.must(b.client.Create(t.Context(), project()))
	}
}

// The time in which a Job may be refused begins with the first refusal, not with the wait for others before it.
func TestTimeOfARefusedJob(t *testing.T) {
	b := newBench(t, makeRun("r").Inline(testutil.MakeDbtProject("x").Obj()).Created(start.Add(-time.Hour)).Obj())
	inner, ok := b.client.(client.WithWatch)
	if !ok {
		t.Fatalf("got %T", b.client)
	}
	b.r.client = interceptor.NewClient(inner, interceptor.Funcs{Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
		return apierrors.NewForbidden(batchv1.Resource("jobs"), "r", errors.New("exceeded quota"))
	}})
	if got, result := b.pass("r"); got.Status.Phase != v1alpha1.PhasePending || result.RequeueAfter != 10*time.Second {
		t.Errorf("phase %s when it is refused first: %q, again in %s", got.Status.Phase, got.Status.Message, result.RequeueAfter)
	}
	b.clock.SetTime(start.Add(15*time.Minute - time.Second))
	if got, result := b.pass("r"); got.Status.Phase != v1alpha1.PhasePending || result.RequeueAfter != time.Second {
		t.Errorf("phase %s near the end: %q, again in %s", got.Status.Phase, got.Status.Message, result.RequeueAfter)
	}
	b.clock.SetTime(start.Add(15 * time.Minute))
	if got, _ := b.pass("r"); got.Status.Phase != v1alpha1.PhaseFailed {
		t.Errorf("phase %s after startTimeoutSeconds: %q", got.Status.Phase, got.Status.Message)
	}
}

// A run that is to replace another and turns out not to be one that can be carried out stops nobody.
func TestReplacerThatFails(t *testing.T) {
	project := shop().Concurrency(v1alpha1.ConcurrencyReplace, "").Obj()
	for name, c := range map[string]struct {
		replacer *testutil.RunWrapper
		reason   string
	}{
		"not valid": {makeRun("b").Project("shop").Command("dbt nothing"), v1alpha1.ReasonInvalidSpec},
		"no state":  {makeRun("b").Project("shop").State("").Command("dbt build -s state:modified+"), v1alpha1.ReasonStateNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			b := with(t, project.DeepCopy(), makeRun("a").Project("shop").Obj())
			b.pass("a")
			b.must(b.client.Create(t.Context(), c.replacer.Created(start.Add(time.Second)).Obj()))
			// Whichever is looked at first.
			for _, name := range []string{"a", "b", "a"} {
				got, _ := b.pass(name)
				if _, is := conditions.Succeeded(got.Status.Conditions); name == "b" && is != c.reason || name == "a" && is != v1alpha1.ReasonStarting {
					t.Errorf("%s is %s: %q", name, is, got.Status.Message)
				}
			}
		})
	}
}

// The one that is replaced learns of it when its replacer is recorded as waiting.
func TestReplacer(t *testing.T) {
	b := newBench(t, shop().Concurrency(v1alpha1.ConcurrencyReplace, "").Obj(), makeRun("a").Project("shop").Obj())
	b.pass("a")
	b.must(b.client.Create(t.Context(), makeRun("b").Project("shop").Created(start.Add(time.Second)).Obj()))
	b.pass("b")
	for len(b.r.wake) > 0 {
		<-b.r.wake
	}
	b.pass("b")
	select {
	case woken := <-b.r.wake:
		if woken.Object.GetName() != "a" {
			t.Errorf("%s is woken", woken.Object.GetName())
		}
	default:
		t.Error("nobody is woken by a replacer that is recorded as waiting")
	}
	if got, _ := b.pass("a"); !strings.Contains(got.Status.Message, "Replaced by run b") {
		t.Errorf("a is %s: %q", got.Status.Phase, got.Status.Message)
	}
}

// A run that held the group for a moment and is gone does not keep it: nothing else would ever give it back.
func TestHolderThatIsGone(t *testing.T) {
	project := testutil.MakeDbtProject("shop").Namespace("ns").Obj()
	b := newBench(t, project, makeRun("r").Project("shop").Obj())
	id := groupID{"ns", runjob.GroupLabel("shop/")}
	b.r.groups.take(id, hold("gone"))
	if got, _ := b.pass("r"); got.Status.Job == nil {
		t.Errorf("the run does not begin: %q", got.Status.Message)
	}
}

// Of two runs looked at before either one's Job is in the cache, one begins.
func TestHolderThatJustBegan(t *testing.T) {
	project := testutil.MakeDbtProject("shop").Namespace("ns").Obj()
	b := newBench(t, project, makeRun("r").Project("shop").Obj(), makeRun("other").Project("shop").Created(start.Add(time.Second)).Obj())
	id := groupID{"ns", runjob.GroupLabel("shop/")}
	b.r.groups.take(id, holder{run: client.ObjectKey{Namespace: "ns", Name: "other"}, uid: "uid-other"})
	if got, _ := b.pass("r"); got.Status.Job != nil || got.Status.Phase != v1alpha1.PhaseQueued {
		t.Errorf("the run began beside another: %s %q", got.Status.Phase, got.Status.Message)
	}
}

// A run that was deleted while it waited wakes the next.
func TestDeletedWhileItWaited(t *testing.T) {
	b := newBench(t, testutil.MakeDbtProject("shop").Namespace("ns").Obj(),
		makeRun("a").Project("shop").Obj(), makeRun("b").Project("shop").Created(start.Add(time.Second)).Obj(), makeRun("c").Project("shop").Created(start.Add(2*time.Second)).Obj())
	b.pass("a")
	b.pass("b")
	b.pass("c")
	if err := b.client.Delete(t.Context(), makeRun("b").Obj()); err != nil {
		t.Fatal(err)
	}
	b.pass("b")
	select {
	case e := <-b.r.wake:
		if e.Object.GetName() != "c" {
			t.Errorf("%s was woken", e.Object.GetName())
		}
	default:
		t.Error("nobody was woken")
	}
}

// A pod that outlives its Job and its run is still a writer: the group waits for its end.
func TestPodThatOutlivesItsRun(t *testing.T) {
	pod := testutil.MakePod("left-1").Runs(start).Obj()
	pod.Namespace = "ns"
	pod.Labels = map[string]string{v1alpha1.LabelGroup: runjob.GroupLabel("shop/"), v1alpha1.LabelRunUID: "uid-left"}
	pod.Annotations = map[string]string{v1alpha1.AnnotationRun: "left"}
	b := newBench(t, testutil.MakeDbtProject("shop").Namespace("ns").Obj(), makeRun("r").Project("shop").Obj(), pod)
	if got, _ := b.pass("r"); got.Status.Job != nil || !strings.Contains(got.Status.Message, "Waits for run left") {
		t.Errorf("status is %s %q", got.Status.Phase, got.Status.Message)
	}
	pod.Status = testutil.MakePod("left-1").Exits(21, "Error", start).Status
	if err := b.client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if got, _ := b.pass("r"); got.Status.Job == nil {
		t.Errorf("the run does not begin: %q", got.Status.Message)
	}
}
