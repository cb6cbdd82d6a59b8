package integration

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// Item 1: a run or a schedule of a project that the user may not use is refused with 403, which names who lacks which verb
// on what; with the verb on that one project it is taken, and another project is still refused.
func TestItem1ProjectTheUserMayNotUse(t *testing.T) {
	x := newTeam(t)
	ada := x.person("ada@example.com")
	x.grant(ada.name, runs...)
	const want = `that needs the verb "use" on dbtprojects.dbtoperator.dev "shop"; ask an administrator of the namespace for a Role with it.`
	x.forbidden("run", ada.Create(t.Context(), x.run("a").Obj()),
		fmt.Sprintf(`User "ada@example.com" cannot run DbtProject "shop" in namespace %q: `, x.ns)+want)
	x.forbidden("schedule", ada.Create(t.Context(), x.schedule("a").Obj()),
		fmt.Sprintf(`User "ada@example.com" cannot schedule runs of DbtProject "shop" in namespace %q: `, x.ns)+want)
	x.grant(ada.name, usesShop)
	x.ok("run", ada.Create(t.Context(), x.run("a").Obj()))
	x.ok("schedule", ada.Create(t.Context(), x.schedule("a").Obj()))
	x.forbidden("another project's run", ada.Create(t.Context(), testutil.MakeDbtRun("b").Namespace(x.ns).Project("payroll").Obj()), `dbtprojects.dbtoperator.dev "payroll"`)
	other := x.schedule("b").Template(testutil.MakeDbtRun("").Project("payroll")).Obj()
	x.forbidden("another project's schedule", ada.Create(t.Context(), other), `dbtprojects.dbtoperator.dev "payroll"`)
	elsewhere := teamOn(t, x.server)
	elsewhere.grant(ada.name, runs...)
	elsewhere.forbidden("the same name elsewhere", ada.Create(t.Context(), elsewhere.run("a").Obj()), `in namespace "`+elsewhere.ns+`"`)
}

// Item 2: a requestedBy that is forged is replaced whole: name, uid, groups and count.
func TestItem2ForgedRequester(t *testing.T) {
	x := newTeam(t)
	ada := x.person("ada@example.com", "finance")
	x.grant(ada.name, append([]right{usesShop, createsPods}, append(runs, writes...)...)...)
	forged := &v1alpha1.Requester{Username: "root", UID: "0", Groups: []string{"system:masters", "finance", "x"}, OmittedGroups: ptr.To[int32](7)}
	run, s, p := x.run("a").Obj(), x.schedule("a").Obj(), x.project("a").Obj()
	run.Spec.RequestedBy, s.Spec.RequestedBy, p.Spec.RequestedBy = forged, forged, forged
	for _, object := range []client.Object{run, s, p} {
		x.ok(object.GetName(), ada.Create(t.Context(), object))
	}
	x.stamped("run", fresh(x, run).Spec.RequestedBy, ada.name, "finance")
	x.stamped("schedule", fresh(x, s).Spec.RequestedBy, ada.name, "finance")
	x.stamped("project", fresh(x, p).Spec.RequestedBy, ada.name, "finance")
	absent := x.run("b").Obj()
	x.ok("absent", ada.Create(t.Context(), absent))
	x.stamped("absent", absent.Spec.RequestedBy, ada.name, "finance")
	// Somebody who is impersonated is who asks, with the uid that was given.
	ben := x.as(rest.ImpersonationConfig{UserName: "ben", UID: "42", Groups: []string{"ops"}})
	x.grant(ben.name, append([]right{usesShop}, runs...)...)
	acted := x.run("c").Obj()
	x.ok("impersonated", ben.Create(t.Context(), acted))
	if got := acted.Spec.RequestedBy; got == nil || got.Username != "ben" || got.UID != "42" || strings.Join(got.Groups, " ") != "ops system:authenticated" {
		t.Errorf("stamped with %+v", got)
	}
}

// Item 2, of what holds a run's spec within: there a requestedBy has no place.
func TestItem2ForgedRequesterWithin(t *testing.T) {
	x := newTeam(t)
	forged := &v1alpha1.Requester{Username: "root"}
	inline := x.project("x").Obj()
	inline.Spec.RequestedBy = forged
	run := testutil.MakeDbtRun("a").Namespace(x.ns).Inline(inline).Obj()
	x.invalid("inline project", x.admin.Create(t.Context(), run), "project.requestedBy is the author of a DbtProject")
	s := x.schedule("a").Obj()
	s.Spec.RunTemplate.Spec.RequestedBy = forged
	x.invalid("template", x.admin.Create(t.Context(), s), "spec.requestedBy of the runs is the schedule's author")
}

// Item 3: an edit of requestedBy or of the spec is refused, whoever asks. Cancel and the time to live may be changed by
// whoever may update the run, which stays its creator's.
func TestItem3EditOfARun(t *testing.T) {
	x := newTeam(t)
	ada, ben := x.person("ada"), x.person("ben")
	x.grant(ada.name, append([]right{usesShop}, runs...)...)
	x.grant(ben.name, runs...)
	run := x.run("a").Obj()
	x.ok("run", ada.Create(t.Context(), run))
	for name, c := range map[string]struct {
		change func(*v1alpha1.DbtRunSpec)
		want   string
	}{
		"name":    {func(s *v1alpha1.DbtRunSpec) { s.RequestedBy.Username = "ben" }, "requestedBy is immutable"},
		"groups":  {func(s *v1alpha1.DbtRunSpec) { s.RequestedBy.Groups = nil }, "requestedBy is immutable"},
		"uid":     {func(s *v1alpha1.DbtRunSpec) { s.RequestedBy.UID = "1" }, "requestedBy is immutable"},
		"command": {func(s *v1alpha1.DbtRunSpec) { s.Commands = []string{"dbt test"} }, "commands is immutable"},
		"project": {func(s *v1alpha1.DbtRunSpec) { s.ProjectRef.Name = "payroll" }, "projectRef is immutable"},
		"trigger": {func(s *v1alpha1.DbtRunSpec) { s.Trigger = &v1alpha1.Trigger{Type: v1alpha1.TriggerManual} }, "trigger is immutable"},
	} {
		for who, c2 := range map[string]client.Client{"ada": ada, "ben": ben, "admin": x.admin} {
			edited := fresh(x, run)
			c.change(&edited.Spec)
			x.invalid(name+" by "+who, c2.Update(t.Context(), edited), c.want)
		}
	}
	edited := fresh(x, run)
	edited.Spec.Cancel, edited.Spec.TTLSecondsAfterFinished = ptr.To(true), ptr.To[int64](60)
	edited.Labels = map[string]string{"example.com/seen": "yes"}
	x.ok("cancel by another", ben.Update(t.Context(), edited))
	x.stamped("cancelled by another", fresh(x, run).Spec.RequestedBy, "ada")
	// A client that does not know the field leaves it out; that takes nothing away.
	edited = fresh(x, run)
	edited.Spec.RequestedBy, edited.Spec.TTLSecondsAfterFinished = nil, ptr.To[int64](90)
	x.ok("replaced without the field", ben.Update(t.Context(), edited))
	x.stamped("replaced without the field", fresh(x, run).Spec.RequestedBy, "ada")
}

// Item 4: what a run was made for is the operator's to say.
func TestItem4UserMadeTrigger(t *testing.T) {
	x := newTeam(t)
	ada := x.person("ada")
	x.grant(ada.name, append([]right{usesShop}, runs...)...)
	for _, kind := range []v1alpha1.TriggerType{v1alpha1.TriggerSchedule, v1alpha1.TriggerUpstream, v1alpha1.TriggerProjectChange, v1alpha1.TriggerBackfill} {
		run := x.run("a").Obj()
		run.Spec.Trigger = &v1alpha1.Trigger{Type: kind, ScheduleRef: &v1alpha1.ScheduleReference{Name: "s"}}
		if kind != v1alpha1.TriggerProjectChange {
			run.Spec.Trigger.ScheduledTime = ptr.To(run.CreationTimestamp)
			run.Spec.Trigger.ScheduledTime.Time = noon
		}
		want := fmt.Sprintf(`cannot create a DbtRun with spec.trigger.type %q, which is for the runs that the operator makes: leave spec.trigger out, or write a DbtSchedule.`, kind)
		x.forbidden(string(kind), ada.Create(t.Context(), run), `User "ada" `+want)
		x.forbidden(string(kind)+" by an administrator", x.admin.Create(t.Context(), run), want)
	}
	run := x.run("a").Obj()
	run.Spec.Trigger = &v1alpha1.Trigger{Type: v1alpha1.TriggerManual}
	x.ok("manual", ada.Create(t.Context(), run))
}

// Item 5: somebody who has not logged in writes nothing, even where everybody may.
func TestItem5Anonymous(t *testing.T) {
	x := newTeam(t)
	nobody := x.client("system:anonymous", rest.AnonymousClientConfig(x.env.Config))
	const bare = `cannot create resource "dbtruns"`
	x.forbidden("without a right", nobody.Create(t.Context(), x.run("a").Obj()), bare)
	p := x.project("b").Obj()
	x.ok("project", x.admin.Create(t.Context(), p))
	x.grant("system:anonymous", append([]right{usesShop, createsPods}, append(runs, writes...)...)...)
	for _, object := range []client.Object{x.run("a").Obj(), x.schedule("a").Obj(), x.project("a").Obj()} {
		x.forbidden(fmt.Sprintf("%T", object), nobody.Create(t.Context(), object), "anonymous request cannot create or change a Dbt")
	}
	x.forbidden("edit", nobody.Update(t.Context(), fresh(x, p)), "anonymous request cannot create or change a DbtProject")
	run := x.run("c").Obj()
	x.ok("run", x.admin.Create(t.Context(), run))
	x.forbidden("cancel", nobody.Patch(t.Context(), run, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"cancel":true}}`))), "anonymous")
}

// Item 6: a user of 5,000 groups is not refused: 64 are kept and the rest is counted.
func TestItem6FiveThousandGroups(t *testing.T) {
	x := newTeam(t)
	groups := make([]string, 5000)
	for i := range groups {
		groups[i] = fmt.Sprintf("group-%04d", i)
	}
	// One of a name that is too long is left out and counted, too.
	groups[1] = strings.Repeat("g", 257)
	ada := x.person("ada", groups...)
	x.grant(ada.name, append([]right{usesShop, createsPods}, append(runs, writes...)...)...)
	run, s, p := x.run("a").Obj(), x.schedule("a").Obj(), x.project("a").Obj()
	for _, object := range []client.Object{run, s, p} {
		x.ok(fmt.Sprintf("%T", object), ada.Create(t.Context(), object))
	}
	for what, got := range map[string]*v1alpha1.Requester{"run": run.Spec.RequestedBy, "schedule": s.Spec.RequestedBy, "project": p.Spec.RequestedBy} {
		if got == nil || len(got.Groups) != 64 || ptr.Deref(got.OmittedGroups, 0) != 5001-64 || got.Groups[1] != "group-0002" {
			t.Errorf("%s: stamped with %+v", what, got)
		}
	}
	// An edit by the same user, and one by another, of what carries so much.
	s.Spec.Suspend = ptr.To(true)
	x.ok("edit", ada.Update(t.Context(), s))
	x.ok("label", x.admin.Patch(t.Context(), s, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"a":"b"}}}`))))
	if got := fresh(x, s).Spec.RequestedBy; got.Username != "ada" || ptr.Deref(got.OmittedGroups, 0) != 5001-64 {
		t.Errorf("after an edit of metadata: %+v", got)
	}
}

// Item 7: a reference is a name of the same namespace, and nothing that looks like another's.
func TestItem7ReferenceElsewhere(t *testing.T) {
	x := newTeam(t)
	ada := x.person("ada")
	x.grant(ada.name, append([]right{{"use", "dbtoperator.dev", "dbtprojects", ""}}, runs...)...)
	for _, name := range []string{"other/shop", "../shop", "other:shop", "Shop"} {
		x.invalid("run of "+name, ada.Create(t.Context(), testutil.MakeDbtRun("a").Namespace(x.ns).Project(name).Obj()), "with no slash")
		x.invalid("schedule of "+name, ada.Create(t.Context(), x.schedule("a").Template(testutil.MakeDbtRun("").Project(name)).Obj()), "with no slash")
	}
	u := raw("DbtRun", map[string]any{"projectRef": map[string]any{"name": "shop", "namespace": "other"}})
	u.SetNamespace(x.ns)
	strict := client.WithFieldValidation(ada, "Strict")
	if got := strict.Create(t.Context(), u); got == nil || !strings.Contains(got.Error(), `unknown field "spec.projectRef.namespace"`) {
		t.Errorf("a namespace in a reference: %v", got)
	}
}

// Item 19: a user of a name of 10,000 characters is refused, and the refusal does not repeat it.
func TestItem19LongUserName(t *testing.T) {
	x := newTeam(t)
	long := strings.Repeat("a", 10000)
	who := x.as(rest.ImpersonationConfig{UserName: long})
	x.grant(long, append([]right{usesShop}, runs...)...)
	for _, object := range []client.Object{x.run("a").Obj(), x.schedule("a").Obj()} {
		err := who.Create(t.Context(), object)
		x.invalid(fmt.Sprintf("%T", object), err, "spec.requestedBy.username: Too long")
		if err != nil && len(err.Error()) > 2000 {
			t.Errorf("the refusal has %d characters", len(err.Error()))
		}
	}
	longest := strings.Repeat("b", 1024)
	x.grant(longest, append([]right{usesShop}, runs...)...)
	run := x.run("b").Obj()
	x.ok("the longest", x.as(rest.ImpersonationConfig{UserName: longest}).Create(t.Context(), run))
	// Without the right the refusal names as much as fits.
	x.forbidden("without a right", x.as(rest.ImpersonationConfig{UserName: longest}).Create(t.Context(), testutil.MakeDbtRun("c").Namespace(x.ns).Project("payroll").Obj()),
		`User "`+strings.Repeat("b", 256)+`..." cannot run DbtProject "payroll"`)
}
