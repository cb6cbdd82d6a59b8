package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

func merge(patch string) client.Patch { return client.RawPatch(types.MergePatchType, []byte(patch)) }

// What can run any image under any service account needs the right to create pods: an inline project in a run or a
// schedule, and each change of a DbtProject's spec.
func TestCreatePodsForWhatRunsAnything(t *testing.T) {
	x := newTeam(t)
	ada := x.person("ada")
	x.grant(ada.name, append([]right{usesShop}, append(runs, writes...)...)...)
	inline := testutil.MakeDbtProject("x").Obj()
	run := testutil.MakeDbtRun("a").Namespace(x.ns).Inline(inline)
	s := x.schedule("a").Template(testutil.MakeDbtRun("").Inline(inline))
	shop := fresh(x, x.project("shop").Obj())
	const right = `it can run any image under any service account, so it needs the verb "create" on pods`
	x.forbidden("run", ada.Create(t.Context(), run.Obj()), fmt.Sprintf(`User "ada" cannot run an inline project in namespace %q: `, x.ns)+right)
	x.forbidden("schedule", ada.Create(t.Context(), s.Obj()), fmt.Sprintf(`User "ada" cannot schedule runs of an inline project in namespace %q: `, x.ns)+right)
	x.forbidden("project", ada.Create(t.Context(), x.project("a").Obj()), fmt.Sprintf(`User "ada" cannot write DbtProject "a" in namespace %q: `, x.ns)+right)
	x.forbidden("edit", ada.Patch(t.Context(), shop.DeepCopy(), merge(`{"spec":{"image":"evil:1"}}`)), `User "ada" cannot write DbtProject "shop"`)
	x.forbidden("edit of what is left out", ada.Patch(t.Context(), shop.DeepCopy(), merge(`{"spec":{"threads":4}}`)), `User "ada" cannot write DbtProject "shop"`)
	// Not even the name of its author can be taken over without that.
	mine := shop.DeepCopy()
	x.ok("taking it over", ada.Patch(t.Context(), mine, merge(`{"spec":{"requestedBy":{"username":"ada","uid":null,"groups":null}}}`)))
	if who := fresh(x, shop).Spec.RequestedBy; who.Username != adminName {
		t.Errorf("the author is %s", who.Username)
	}
	// Metadata says nothing of what runs.
	x.ok("label", ada.Patch(t.Context(), shop.DeepCopy(), merge(`{"metadata":{"labels":{"a":"b"},"finalizers":["example.com/x"]}}`)))
	x.ok("finalizer", ada.Patch(t.Context(), shop.DeepCopy(), merge(`{"metadata":{"finalizers":null}}`)))
	x.grant(ada.name, createsPods)
	x.ok("run", ada.Create(t.Context(), run.Obj()))
	x.ok("schedule", ada.Create(t.Context(), s.Obj()))
	x.ok("project", ada.Create(t.Context(), x.project("a").Obj()))
	x.ok("edit", ada.Patch(t.Context(), shop, merge(`{"spec":{"threads":4}}`)))
	x.stamped("edited", shop.Spec.RequestedBy, "ada")
}

// adminName is the user that envtest's own client logs in as.
const adminName = "admin"

// A schedule's author is who last changed its spec, and nobody becomes it by anything else.
func TestAuthorOfASchedule(t *testing.T) {
	x := newTeam(t)
	ada, ben, eve := x.person("ada"), x.person("ben"), x.person("eve")
	for _, p := range []*person{ada, ben} {
		x.grant(p.name, append([]right{usesShop}, runs...)...)
	}
	x.grant(eve.name, runs...)
	s := x.schedule("s").Obj()
	x.ok("create", ada.Create(t.Context(), s))
	// keeps fails unless a request leaves the author and the generation as they are.
	keeps := func(what string, do func(*v1alpha1.DbtSchedule) error) {
		t.Helper()
		before := fresh(x, s)
		x.ok(what, do(before.DeepCopy()))
		after := fresh(x, s)
		x.stamped(what, after.Spec.RequestedBy, before.Spec.RequestedBy.Username)
		if after.Generation != before.Generation {
			t.Errorf("%s: the generation went from %d to %d", what, before.Generation, after.Generation)
		}
	}
	keeps("the same by another", func(s *v1alpha1.DbtSchedule) error { return ben.Update(t.Context(), s) })
	keeps("the same without the field", func(s *v1alpha1.DbtSchedule) error { s.Spec.RequestedBy = nil; return eve.Update(t.Context(), s) })
	keeps("a forged name and nothing else", func(s *v1alpha1.DbtSchedule) error {
		return eve.Patch(t.Context(), s, merge(`{"spec":{"requestedBy":{"username":"root","groups":["x"]}}}`))
	})
	keeps("the name taken away", func(s *v1alpha1.DbtSchedule) error {
		return eve.Patch(t.Context(), s, merge(`{"spec":{"requestedBy":null}}`))
	})
	keeps("labels and finalizers", func(s *v1alpha1.DbtSchedule) error {
		return eve.Patch(t.Context(), s, merge(`{"metadata":{"labels":{"a":"b"},"finalizers":["example.com/x"]}}`))
	})
	keeps("finalizer", func(s *v1alpha1.DbtSchedule) error {
		return eve.Patch(t.Context(), s, merge(`{"metadata":{"finalizers":null}}`))
	})
	keeps("status", func(s *v1alpha1.DbtSchedule) error {
		return x.admin.Status().Patch(t.Context(), s, merge(`{"status":{"missedTotal":1}}`))
	})
	x.forbidden("spec without the right", eve.Patch(t.Context(), fresh(x, s), merge(`{"spec":{"suspend":true}}`)), `User "eve" cannot schedule runs of DbtProject "shop"`)
	x.stamped("after a refusal", fresh(x, s).Spec.RequestedBy, "ada")
	x.ok("spec", ben.Patch(t.Context(), fresh(x, s), merge(`{"spec":{"suspend":true,"requestedBy":{"username":"ada"}}}`)))
	x.stamped("changed by another", fresh(x, s).Spec.RequestedBy, "ben")
	x.ok("a field less", ada.Patch(t.Context(), fresh(x, s), merge(`{"spec":{"suspend":null}}`)))
	x.stamped("a field less", fresh(x, s).Spec.RequestedBy, "ada")
}

// The operator's account may carry another's name and say what a run is for; no other account may, nor this one in
// another namespace.
func TestOnlyTheOperatorCarriesAnothersName(t *testing.T) {
	x := newTeam(t)
	tick := metav1.NewTime(noon)
	run := func(name string) *v1alpha1.DbtRun {
		run := x.run(name).RequestedBy("ada", "finance").Obj()
		run.Spec.Trigger = &v1alpha1.Trigger{Type: v1alpha1.TriggerSchedule, ScheduleRef: &v1alpha1.ScheduleReference{Name: "s"}, ScheduledTime: &tick}
		return run
	}
	own := x.client(account, rest.CopyConfig(operator))
	carried := run("a")
	x.ok("the operator", own.Create(t.Context(), carried))
	if who := fresh(x, carried).Spec.RequestedBy; who.Username != "ada" || strings.Join(who.Groups, " ") != "finance" {
		t.Errorf("carried %+v", who)
	}
	nameless := run("b")
	nameless.Spec.RequestedBy = nil
	x.ok("the operator, for a schedule without an author", own.Create(t.Context(), nameless))
	if who := fresh(x, nameless).Spec.RequestedBy; who != nil {
		t.Errorf("nobody asked, and %+v did", who)
	}
	for _, name := range []string{"system:serviceaccount:" + x.ns + ":manager", "system:serviceaccount:dbt-operator-system:default", account + "x"} {
		other := x.person(name)
		x.grant(name, append([]right{usesShop}, runs...)...)
		x.forbidden(name, other.Create(t.Context(), run("c")), `cannot create a DbtRun with spec.trigger.type "Schedule"`)
		forged := x.run("").RequestedBy("ada").Obj()
		forged.GenerateName = "c-"
		x.ok(name, other.Create(t.Context(), forged))
		x.stamped(name, forged.Spec.RequestedBy, name)
	}
}

const scheduleManifest = `apiVersion: dbtoperator.dev/v1alpha1
kind: DbtSchedule
metadata:
  name: NAME
spec:
  schedule: "0 6 * * *"
  runTemplate:
    spec:
      projectRef:
        name: shop
`

// A manifest that says nothing of requestedBy, applied again by another as GitOps tools do, on the client's side or the
// server's: no difference, no conflict, no new generation, the same author.
func TestApplyOfWhatIsThere(t *testing.T) {
	for name, flags := range map[string][]string{
		"client side": {"apply", "--filename", "-"},
		"server side": {"apply", "--server-side", "--filename", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTeam(t)
			ada, ben := x.person("ada", "system:masters"), x.person("ben", "system:masters")
			object := strings.Replace(scheduleManifest, "NAME", "s", 1)
			out, err := x.kubectl(ada, object, flags...)
			x.ok(out, err)
			// The operator has seen it: before that, the status that the CRD gives it is yet to be stored.
			s := fresh(x, x.schedule("s").Obj())
			s.Status.ObservedGeneration = s.Generation
			x.ok("status", admin.Status().Update(t.Context(), s))
			before := fresh(x, x.schedule("s").Obj())
			x.stamped("applied", before.Spec.RequestedBy, "ada", "system:masters")
			for range 2 {
				out, err = x.kubectl(ben, object, flags...)
				x.ok(out, err)
			}
			after := fresh(x, x.schedule("s").Obj())
			if after.ResourceVersion != before.ResourceVersion {
				t.Errorf("the apply of what is there wrote: version %s, then %s, generation %d, then %d", before.ResourceVersion, after.ResourceVersion, before.Generation, after.Generation)
			}
			x.stamped("applied by another", after.Spec.RequestedBy, "ada", "system:masters")
			diff := append([]string{"diff"}, flags[1:]...)
			if out, err := x.kubectl(ben, object, diff...); err != nil {
				t.Errorf("a difference (%v):\n%s", err, out)
			}
			// The manifest owns nothing of the name, so that it does not fight for it.
			for _, entry := range after.ManagedFields {
				if strings.Contains(entry.FieldsV1.GetRawString(), "f:requestedBy") && entry.Operation == metav1.ManagedFieldsOperationApply {
					t.Errorf("%s owns requestedBy", entry.Manager)
				}
			}
			changed := strings.Replace(object, "0 6", "0 7", 1)
			out, err = x.kubectl(ben, changed, flags...)
			x.ok(out, err)
			x.stamped("changed by another", fresh(x, x.schedule("s").Obj()).Spec.RequestedBy, "ben", "system:masters")
		})
	}
}

// The columns that a person looks for.
func TestColumnsNameTheRequester(t *testing.T) {
	x := newTeam(t)
	ada := x.person("ada@example.com", "system:masters")
	x.ok("run", ada.Create(t.Context(), x.run("a").Obj()))
	x.ok("schedule", ada.Create(t.Context(), x.schedule("a").Obj()))
	x.ok("project", ada.Create(t.Context(), x.project("a").Obj()))
	for kind, column := range map[string]string{"dbtruns": "REQUESTER", "dbtschedules": "AUTHOR", "dbtprojects": "AUTHOR"} {
		out, err := x.kubectl(ada, "", "get", kind, "a", "--output", "wide")
		x.ok(out, err)
		if !strings.Contains(out, column) || !strings.Contains(out, "ada@example.com") {
			t.Errorf("%s:\n%s", kind, out)
		}
	}
}

// A scheduled run carries the schedule's author, and each firing asks anew: a right that is taken away is missed at the
// next tick, one that is given back is found at the one after; each firing asks once.
func TestScheduleAsksForItsAuthor(t *testing.T) {
	o := newOffice(t)
	x := &team{T: t, server: server{env, admin}, ns: o.ns}
	ada := x.person("ada@example.com", "finance")
	x.grant(ada.name, runs...)
	revoke := x.grant(ada.name, usesShop)
	s := x.schedule("s").Policy(v1alpha1.ScheduleAllow).Obj()
	x.ok("schedule", ada.Create(t.Context(), s))
	o.hour = s.CreationTimestamp.UTC().Truncate(time.Hour).Add(time.Hour)
	o.ready("s", v1alpha1.ReasonTicking)
	authorized := func(want string) {
		t.Helper()
		o.status("s", "Authorized "+want, func(s *v1alpha1.DbtScheduleStatus) bool {
			for _, c := range s.Conditions {
				if c.Type == v1alpha1.ConditionAuthorized {
					return string(c.Status)+" "+c.Reason == want
				}
			}
			return false
		})
	}
	authorized("True Allowed")
	reviews := func() int {
		n := 0
		for _, w := range o.wire.count() {
			if strings.Contains(w, "/subjectaccessreviews") {
				n++
			}
		}
		return n
	}
	if n := reviews(); n != 1 {
		t.Errorf("%d questions for a new schedule", n)
	}
	o.after(0)
	o.has("h0")
	x.stamped("scheduled", o.list()[0].Spec.RequestedBy, ada.name, "finance")
	if n := reviews(); n != 2 {
		t.Errorf("%d questions after the first firing", n)
	}
	revoke()
	o.after(time.Hour)
	authorized("False Denied")
	o.ready("s", v1alpha1.ReasonDenied)
	o.has("h0")
	o.status("s", "the tick as missed", func(s *v1alpha1.DbtScheduleStatus) bool { return s.MissedTotal == 1 })
	x.grant(ada.name, usesShop)
	o.after(2 * time.Hour)
	o.has("h0 h2")
	authorized("True Allowed")
	o.ready("s", v1alpha1.ReasonTicking)
	if n := reviews(); n != 4 {
		t.Errorf("%d questions for a new schedule and three firings", n)
	}
}

// A schedule of an inline project needs its author's right to create pods, at each firing.
func TestScheduleOfAnInlineProjectAsksForItsAuthor(t *testing.T) {
	o := newOffice(t)
	x := &team{T: t, server: server{env, admin}, ns: o.ns}
	ada := x.person("ada")
	x.grant(ada.name, runs...)
	revoke := x.grant(ada.name, createsPods)
	s := x.schedule("s").Template(testutil.MakeDbtRun("").Inline(testutil.MakeDbtProject("x").Obj())).Obj()
	s.Spec.Suspend = ptr.To(false)
	x.ok("schedule", ada.Create(t.Context(), s))
	o.hour = s.CreationTimestamp.UTC().Truncate(time.Hour).Add(time.Hour)
	o.ready("s", v1alpha1.ReasonTicking)
	revoke()
	o.after(0)
	o.ready("s", v1alpha1.ReasonDenied)
	o.has("")
}
