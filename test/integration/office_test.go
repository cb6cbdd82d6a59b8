package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/controller/dbtschedule"
	"github.com/dbt-operator/dbt-operator/internal/history"
	"github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// office is a namespace in which schedules are reconciled by hand, with a clock that stands still until a test moves it,
// on a real API server, through a real cache and under the shipped roles.
type office struct {
	*testing.T
	ns    string
	clock *clocktesting.FakePassiveClock
	wire  *wire
	r     *dbtschedule.Reconciler
	// hour is the first full hour after the creation of the newest schedule.
	hour time.Time
}

func newOffice(t *testing.T) *office {
	t.Helper()
	t.Parallel()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "office-"}}
	if err := admin.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	now := ns.CreationTimestamp.Time
	o := &office{T: t, ns: ns.Name, clock: clocktesting.NewFakePassiveClock(now)}
	o.r, o.wire = o.operator()
	o.create(testutil.MakeDbtProject("shop").Obj())
	return o
}

// operator returns a new process: a reconciler with a cache of its own and nothing in memory.
func (o *office) operator() (*dbtschedule.Reconciler, *wire) {
	o.Helper()
	over := &wire{}
	cfg := rest.CopyConfig(operator)
	cfg.Wrap(over.wrap)
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{Scheme: scheme, Cache: controller.CacheOptions(controller.Scope{Namespaces: []string{o.ns}}, time.Now), Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		o.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	if err := dbtschedule.AddIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		o.Fatal(err)
	}
	go func() {
		defer close(done)
		if err := mgr.Start(ctx); err != nil {
			o.Errorf("manager: %v", err)
		}
	}()
	o.Cleanup(func() { cancel(); <-done })
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		o.Fatal("the cache does not start")
	}
	// It waits until the cache has the kind.
	for _, kind := range []client.Object{&v1alpha1.DbtRun{}, &v1alpha1.DbtProject{}, &v1alpha1.DbtSchedule{}} {
		if _, err := mgr.GetCache().GetInformer(ctx, kind); err != nil {
			o.Fatal(err)
		}
	}
	return dbtschedule.New(o.clock, mgr.GetClient(), mgr.GetAPIReader(), events.NewFakeRecorder(10000),
		metrics.NewSchedules(prometheus.NewRegistry(), o.clock.Now)), over
}

func (o *office) create(object client.Object) {
	o.Helper()
	object.SetNamespace(o.ns)
	if err := admin.Create(o.Context(), object); err != nil {
		o.Fatal(err)
	}
	if s, ok := object.(*v1alpha1.DbtSchedule); ok {
		o.hour = s.CreationTimestamp.UTC().Truncate(time.Hour).Add(time.Hour)
	}
}

func (o *office) request(name string) ctrl.Request {
	return ctrl.Request{NamespacedName: client.ObjectKey{Namespace: o.ns, Name: name}}
}

// pass reconciles a schedule once.
func (o *office) pass(name string) {
	o.Helper()
	if _, err := o.r.Reconcile(o.Context(), o.request(name)); err != nil {
		o.Logf("reconciling %s: %v", name, err)
	}
}

// list returns the runs there are, oldest first.
func (o *office) list() []*v1alpha1.DbtRun {
	o.Helper()
	var list v1alpha1.DbtRunList
	if err := admin.List(o.Context(), &list, client.InNamespace(o.ns)); err != nil {
		o.Fatal(err)
	}
	var out []*v1alpha1.DbtRun
	for i := range list.Items {
		out = append(out, &list.Items[i])
	}
	slices.SortFunc(out, history.Older)
	return out
}

// runs names the runs there are by the hour of their tick, counted from o.hour as "h0", sorted.
func (o *office) runs() string {
	o.Helper()
	marks := map[v1alpha1.Phase]string{v1alpha1.PhaseSucceeded: "+", v1alpha1.PhaseFailed: "-", v1alpha1.PhaseCancelled: "x"}
	var out []string
	for _, run := range o.list() {
		label := run.Name
		if t := run.Spec.Trigger; t != nil && t.ScheduledTime != nil {
			label = fmt.Sprintf("h%d", int(t.ScheduledTime.Sub(o.hour).Hours()))
		}
		if run.Spec.Cancel != nil {
			label += "!"
		}
		out = append(out, label+marks[run.Status.Phase])
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// has reconciles until the runs are those, and then some passes more, in which nothing may change.
func (o *office) has(want string, names ...string) {
	o.Helper()
	if len(names) == 0 {
		names = []string{"s"}
	}
	all := func() {
		for _, name := range names {
			o.pass(name)
		}
	}
	testutil.Eventually(o, "the runs are "+want, patience, func() (bool, string) {
		all()
		return o.runs() == want, o.runs() + "\n" + o.explain()
	})
	for range 3 {
		all()
	}
	if got := o.runs(); got != want {
		o.Errorf("the runs became %q, want %q", got, want)
	}
}

// status reconciles until the schedule's status is as wanted, and returns it.
func (o *office) status(name, what string, ok func(*v1alpha1.DbtScheduleStatus) bool) *v1alpha1.DbtScheduleStatus {
	o.Helper()
	s := &v1alpha1.DbtSchedule{}
	testutil.Eventually(o, name+" has "+what, patience, func() (bool, string) {
		o.pass(name)
		if err := admin.Get(o.Context(), o.request(name).NamespacedName, s); err != nil {
			return false, err.Error()
		}
		return ok(&s.Status), o.explain()
	})
	return &s.Status
}

// ready reconciles until Ready has the reason.
func (o *office) ready(name, reason string) {
	o.Helper()
	o.status(name, "Ready with reason "+reason, func(s *v1alpha1.DbtScheduleStatus) bool {
		c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady)
		return c != nil && c.Reason == reason
	})
}

func (o *office) explain() string {
	var list v1alpha1.DbtScheduleList
	if err := admin.List(o.Context(), &list, client.InNamespace(o.ns)); err != nil {
		return err.Error()
	}
	out := ""
	for _, s := range list.Items {
		b, _ := yaml.Marshal(s.Status)
		out += s.Name + "\n" + string(b)
	}
	return out
}

// end ends the run of a tick, or of a name, in the place of the DbtRun controller, and waits until the cache knows.
func (o *office) end(label string, phase v1alpha1.Phase) {
	o.Helper()
	for _, run := range o.list() {
		of := ""
		if run.Spec.Trigger.ScheduledTime != nil {
			of = fmt.Sprintf("h%d", int(run.Spec.Trigger.ScheduledTime.Sub(o.hour).Hours()))
		}
		if run.Status.Phase.Finished() || of != label && !strings.HasPrefix(run.Name, label) {
			continue
		}
		base := run.DeepCopy()
		run.Status.Phase = phase
		run.Status.CompletionTime = &metav1.Time{Time: o.clock.Now()}
		if err := admin.Status().Patch(o.Context(), run, client.MergeFrom(base)); err != nil {
			o.Fatal(err)
		}
		return
	}
	o.Fatalf("no run %s is active among %s", label, o.runs())
}

// edit changes a schedule as a user does.
func (o *office) edit(name string, change func(*v1alpha1.DbtScheduleSpec)) {
	o.Helper()
	s := &v1alpha1.DbtSchedule{}
	if err := admin.Get(o.Context(), o.request(name).NamespacedName, s); err != nil {
		o.Fatal(err)
	}
	base := s.DeepCopy()
	change(&s.Spec)
	if err := admin.Patch(o.Context(), s, client.MergeFrom(base)); err != nil {
		o.Fatal(err)
	}
	o.status(name, "the edit in its status", func(status *v1alpha1.DbtScheduleStatus) bool { return status.ObservedGeneration == s.Generation })
}

// deploy changes the project's spec.
func (o *office) deploy(image string) {
	o.Helper()
	p := &v1alpha1.DbtProject{}
	if err := admin.Get(o.Context(), client.ObjectKey{Namespace: o.ns, Name: "shop"}, p); err != nil {
		o.Fatal(err)
	}
	base := p.DeepCopy()
	p.Spec.Image = image
	if err := admin.Patch(o.Context(), p, client.MergeFrom(base)); err != nil {
		o.Fatal(err)
	}
}

// after sets the clock to some time after o.hour.
func (o *office) after(d time.Duration) { o.clock.SetTime(o.hour.Add(d)) }
