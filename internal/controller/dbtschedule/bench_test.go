package dbtschedule

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones are the same on every machine

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/history"
	"github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// checks is how many cases each property test tries, unless -rapid.checks says otherwise.
const checks = "50"

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", checks); err != nil {
		panic(err)
	}
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// start is a Tuesday.
var start = time.Date(2026, 11, 24, 5, 30, 0, 0, time.UTC)

// at returns a time of that day.
func at(hour, minute int) time.Time { return time.Date(2026, 11, 24, hour, minute, 0, 0, time.UTC) }

var errDied = errors.New("the process died")

// failer is what a test and a case of a property test have in common.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

// bench is a Reconciler on a client that keeps objects in memory and validates nothing. It dies at one of its writes if
// told to, before the write or after it and before the reply.
type bench struct {
	failer
	ctx    context.Context
	client client.WithWatch
	clock  *clocktesting.FakePassiveClock
	r      *Reconciler
	events *events.FakeRecorder

	// reviews are the questions about the author's right, as "ada [group …]: use dbtprojects shop"; denied answers no, and
	// unanswered not at all.
	reviews            []string
	denied, unanswered bool

	writes, dies int
	applied      bool
	// made counts the runs that were ever created, by name.
	made map[string]int
}

func newBench(t *testing.T, objects ...client.Object) *bench {
	t.Helper()
	return benchOf(t.Context(), t, objects...)
}

func benchOf(ctx context.Context, t failer, objects ...client.Object) *bench {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	b := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.DbtRun{}, &v1alpha1.DbtSchedule{})
	if err := AddIndexes(ctx, fakeIndexer{b}); err != nil {
		t.Fatal(err)
	}
	w := &bench{failer: t, ctx: ctx, client: b.Build(), clock: clocktesting.NewFakePassiveClock(start), made: map[string]int{}}
	w.restart()
	return w
}

type fakeIndexer struct{ b *fake.ClientBuilder }

func (f fakeIndexer) IndexField(_ context.Context, object client.Object, field string, keys client.IndexerFunc) error {
	f.b.WithIndex(object, field, keys)
	return nil
}

// restart begins a new process, with nothing in memory.
func (b *bench) restart() {
	c := interceptor.NewClient(b.client, b.funcs())
	b.events = events.NewFakeRecorder(1000)
	b.r = New(b.clock, c, b.client, b.events, metrics.NewSchedules(prometheus.NewRegistry(), b.clock.Now))
}

// deny takes the author's right, or gives it back, a moment ago: no answer from before it is good any more.
func (b *bench) deny(yes bool) {
	b.denied = yes
	b.clock.SetTime(b.clock.Now().Add(answerLife + time.Millisecond))
}

// review answers a SubjectAccessReview, which writes nothing.
func (b *bench) review(review *authorizationv1.SubjectAccessReview) error {
	if b.unanswered {
		return errors.New("no authorizer answers")
	}
	asked := review.Spec.ResourceAttributes
	b.reviews = append(b.reviews, strings.TrimSpace(fmt.Sprintf("%s %s: %s %s %s", review.Spec.User, review.Spec.Groups, asked.Verb, asked.Resource, asked.Name)))
	review.Status.Allowed = !b.denied
	return nil
}

func (b *bench) write(do func() error) error {
	b.writes++
	dies := b.writes == b.dies
	if dies && !b.applied {
		return errDied
	}
	if err := do(); err != nil {
		return err
	}
	if dies {
		return errDied
	}
	return nil
}

func (b *bench) funcs() interceptor.Funcs {
	return interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if review, ok := o.(*authorizationv1.SubjectAccessReview); ok {
				return b.review(review)
			}
			// What an API server would set.
			o.SetUID(types.UID(fmt.Sprintf("%s-%d", o.GetName(), b.made[o.GetName()])))
			o.SetCreationTimestamp(metav1.NewTime(b.clock.Now()))
			return b.write(func() error {
				err := c.Create(ctx, o, opts...)
				if err == nil {
					b.made[o.GetName()]++
				}
				return err
			})
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return b.write(func() error { return c.Patch(ctx, o, p, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return b.write(func() error { return c.Delete(ctx, o, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return b.write(func() error { return c.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
	}
}

// pass reconciles a schedule once and returns it. A process that dies is followed by a new one.
func (b *bench) pass(name string) (*v1alpha1.DbtSchedule, ctrl.Result) {
	b.Helper()
	result, err := b.r.Reconcile(b.ctx, ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "ns", Name: name}})
	if errors.Is(err, errDied) {
		b.restart()
	} else if err != nil {
		b.Fatalf("reconciling %s: %v", name, err)
	}
	s := &v1alpha1.DbtSchedule{}
	if err := b.client.Get(b.ctx, client.ObjectKey{Namespace: "ns", Name: name}, s); client.IgnoreNotFound(err) != nil {
		b.Fatal(err)
	}
	return s, result
}

// settle reconciles until nothing changes any more, as the watches would, and returns the schedule.
func (b *bench) settle(name string) *v1alpha1.DbtSchedule {
	b.Helper()
	last := ""
	for range 40 {
		s, _ := b.pass(name)
		state := s.ResourceVersion + " " + b.runs()
		if state == last {
			return s
		}
		last = state
	}
	b.Fatalf("DbtSchedule %s does not come to rest", name)
	return nil
}

// goTo sets the clock and lets the schedule settle.
func (b *bench) goTo(t time.Time, name string) *v1alpha1.DbtSchedule {
	b.Helper()
	b.clock.SetTime(t)
	return b.settle(name)
}

func (b *bench) list() []v1alpha1.DbtRun {
	b.Helper()
	var list v1alpha1.DbtRunList
	if err := b.client.List(b.ctx, &list); err != nil {
		b.Fatal(err)
	}
	slices.SortFunc(list.Items, func(x, y v1alpha1.DbtRun) int { return history.Older(&x, &y) })
	return list.Items
}

// runs names the runs there are by their ticks as "06:00", or by their names, with a mark of what became of them.
func (b *bench) runs() string {
	b.Helper()
	marks := map[v1alpha1.Phase]string{v1alpha1.PhaseSucceeded: "+", v1alpha1.PhaseFailed: "-", v1alpha1.PhaseCancelled: "x"}
	var out []string
	for _, run := range b.list() {
		label := run.Name
		if t := run.Spec.Trigger; t != nil && t.ScheduledTime != nil {
			label = t.ScheduledTime.UTC().Format("15:04")
			if t.Type == v1alpha1.TriggerBackfill {
				label = "b" + label
			}
		}
		if run.Spec.Cancel != nil {
			label += "!"
		}
		out = append(out, label+marks[run.Status.Phase])
	}
	return strings.Join(out, " ")
}

// has fails unless the runs are those.
func (b *bench) has(reason, want string) {
	b.Helper()
	if got := b.runs(); got != want {
		b.Errorf("%s: the runs are %q, want %q", reason, got, want)
	}
}

// end ends a run, by what it is called in runs.
func (b *bench) end(label string, phase v1alpha1.Phase) {
	b.Helper()
	for _, run := range b.list() {
		if run.Status.Phase.Finished() || !strings.HasPrefix(run.Name, label) &&
			(run.Spec.Trigger.ScheduledTime == nil || run.Spec.Trigger.ScheduledTime.UTC().Format("15:04") != label) {
			continue
		}
		run.Status.Phase = phase
		run.Status.CompletionTime = &metav1.Time{Time: b.clock.Now()}
		run.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionSucceeded, Status: metav1.ConditionFalse, Reason: "NodesFailed"}}
		if phase == v1alpha1.PhaseSucceeded {
			run.Status.Conditions[0].Status, run.Status.Conditions[0].Reason = metav1.ConditionTrue, "Succeeded"
		}
		if err := b.client.Status().Update(b.ctx, &run); err != nil {
			b.Fatal(err)
		}
		return
	}
	b.Fatalf("no run %q is active among %q", label, b.runs())
}

// edit changes a schedule as a user does, and says so as an API server would.
func (b *bench) edit(name string, change func(*v1alpha1.DbtScheduleSpec)) {
	b.Helper()
	s := &v1alpha1.DbtSchedule{}
	if err := b.client.Get(b.ctx, client.ObjectKey{Namespace: "ns", Name: name}, s); err != nil {
		b.Fatal(err)
	}
	change(&s.Spec)
	s.Generation++
	now := metav1.NewTime(b.clock.Now())
	s.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl", Time: &now, Operation: metav1.ManagedFieldsOperationUpdate}}
	if err := b.client.Update(b.ctx, s); err != nil {
		b.Fatal(err)
	}
}

// deploy changes the project.
func (b *bench) deploy(name string) {
	b.Helper()
	p := &v1alpha1.DbtProject{}
	if err := b.client.Get(b.ctx, client.ObjectKey{Namespace: "ns", Name: name}, p); err != nil {
		b.Fatal(err)
	}
	p.Generation++
	if err := b.client.Update(b.ctx, p); err != nil {
		b.Fatal(err)
	}
}

// is fails unless Ready is as wanted, as "True Ticking", with a message that holds part.
func (b *bench) is(s *v1alpha1.DbtSchedule, want, part string) {
	b.Helper()
	c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionReady)
	if c == nil {
		b.Fatalf("no condition Ready")
	}
	if got := string(c.Status) + " " + c.Reason; got != want || !strings.Contains(c.Message, part) {
		b.Errorf("Ready is %s: %q; want %s with %q", got, c.Message, want, part)
	}
}

// said returns the reasons of the events since it was last asked.
func (b *bench) said() string {
	var out []string
	for {
		select {
		case e := <-b.events.Events:
			out = append(out, strings.Fields(e)[1])
		default:
			return strings.Join(out, " ")
		}
	}
}

// hourly is a schedule "s" that ticks at every full hour and was made at 05:30; shop is its project.
func hourly() *testutil.ScheduleWrapper {
	return testutil.MakeDbtSchedule("s", "0 * * * *").Namespace("ns").UID("uid-s").Created(start).History(3, 3)
}

func shop() client.Object {
	p := testutil.MakeDbtProject("shop").Namespace("ns").Generation(1).Obj()
	p.UID = "uid-shop"
	return p
}

func request() ctrl.Request {
	return ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "ns", Name: "s"}}
}
