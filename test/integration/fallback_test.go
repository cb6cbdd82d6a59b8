package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// newUnstampingTeam makes a team on an API server of its own that has the validating half of the policies alone, as
// config/before-1.36 installs it.
func newUnstampingTeam(t *testing.T) *team {
	t.Helper()
	e := &envtest.Environment{
		BinaryAssetsDirectory: env.BinaryAssetsDirectory,
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
		Scheme:                scheme,
	}
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Errorf("stopping the API server: %v", err)
		}
	})
	cfg, err := e.Start()
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS, cfg.Burst = -1, 0
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	s := server{e, c}
	if err := install(t.Context(), s, "policy/validating", false); err != nil {
		t.Fatal(err)
	}
	return teamOn(t, s)
}

// Where the API server does not stamp: a requestedBy that is true or absent is taken, a false one refused; and all else
// holds as it does elsewhere.
func TestWithoutStamping(t *testing.T) {
	x := newUnstampingTeam(t)
	ada, ben, eve := x.person("ada", "finance", "ops"), x.person("ben"), x.person("eve")
	for _, p := range []*person{ada, ben} {
		x.grant(p.name, append([]right{usesShop, createsPods}, append(runs, writes...)...)...)
	}
	x.grant(eve.name, append(runs, writes...)...)
	for name, c := range map[string]struct {
		reason string
		who    *v1alpha1.Requester
		taken  bool
	}{
		"absent":          {"nothing is said", nil, true},
		"name":            {"true", &v1alpha1.Requester{Username: "ada"}, true},
		"groups":          {"some of hers", &v1alpha1.Requester{Username: "ada", Groups: []string{"ops"}}, true},
		"all":             {"all of hers", &v1alpha1.Requester{Username: "ada", Groups: []string{"finance", "ops", "system:authenticated"}}, true},
		"count":           {"hers, and how many more", &v1alpha1.Requester{Username: "ada", Groups: []string{"finance"}, OmittedGroups: ptr.To[int32](2)}, true},
		"another":         {"false", &v1alpha1.Requester{Username: "ben"}, false},
		"a foreign group": {"false", &v1alpha1.Requester{Username: "ada", Groups: []string{"finance", "system:masters"}}, false},
		"a uid":           {"she has none", &v1alpha1.Requester{Username: "ada", UID: "1"}, false},
		"a wrong count":   {"false", &v1alpha1.Requester{Username: "ada", Groups: []string{"finance"}, OmittedGroups: ptr.To[int32](3)}, false},
		"the operator":    {"false", &v1alpha1.Requester{Username: account}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(c.reason)
			run, s, p := x.run("a").Obj(), x.schedule("a").Obj(), x.project("a").Obj()
			run.Spec.RequestedBy, s.Spec.RequestedBy, p.Spec.RequestedBy = c.who, c.who.DeepCopy(), c.who.DeepCopy()
			for _, object := range []client.Object{run, s, p} {
				err := ada.Create(t.Context(), object, client.DryRunAll)
				if c.taken {
					if err != nil {
						t.Errorf("%T: %v", object, err)
					}
					continue
				}
				x.forbidden(fmt.Sprintf("%T", object), err, `User "ada" cannot`, "in the name of", "leave spec.requestedBy out")
			}
			if c.taken && (c.who == nil) != (run.Spec.RequestedBy == nil) {
				t.Errorf("%+v became %+v", c.who, run.Spec.RequestedBy)
			}
		})
	}
	t.Run("is told by the script that waits", func(t *testing.T) {
		out, err := x.script(x.person("root", "system:masters"), "policies.sh")
		if want := "the policies for DbtRun are not in force"; err == nil || !strings.Contains(out, want) || !strings.Contains(out, "one of yours: is not stamped") {
			t.Errorf("got %v, %s, want %q", err, out, want)
		}
	})
	t.Run("rights", func(t *testing.T) {
		x.forbidden("use", eve.Create(t.Context(), x.run("a").Obj()), `User "eve" cannot run DbtProject "shop"`)
		x.forbidden("inline", eve.Create(t.Context(), testutil.MakeDbtRun("a").Namespace(x.ns).Inline(testutil.MakeDbtProject("x").Obj()).Obj()), "inline project")
		x.forbidden("project", eve.Create(t.Context(), x.project("a").Obj()), `cannot write DbtProject "a"`)
		run := x.run("a").Obj()
		run.Spec.Trigger = &v1alpha1.Trigger{Type: v1alpha1.TriggerProjectChange, ScheduleRef: &v1alpha1.ScheduleReference{Name: "s"}}
		x.forbidden("trigger", ada.Create(t.Context(), run), "spec.trigger.type")
	})
	t.Run("run", func(t *testing.T) {
		run := x.run("kept").RequestedBy("ada").Obj()
		x.ok("run", ada.Create(t.Context(), run))
		x.invalid("edit", ada.Patch(t.Context(), fresh(x, run), merge(`{"spec":{"requestedBy":{"username":"ben"}}}`)), "requestedBy is immutable")
		x.invalid("removal", ada.Patch(t.Context(), fresh(x, run), merge(`{"spec":{"requestedBy":null}}`)), "requestedBy is immutable")
		x.ok("cancel by another", eve.Patch(t.Context(), fresh(x, run), merge(`{"spec":{"cancel":true}}`)))
	})
	t.Run("author", func(t *testing.T) {
		s := x.schedule("s").Author("ada").Obj()
		x.ok("schedule", ada.Create(t.Context(), s))
		x.ok("label by another", eve.Patch(t.Context(), fresh(x, s), merge(`{"metadata":{"labels":{"a":"b"}}}`)))
		x.forbidden("change that leaves the old name", ben.Patch(t.Context(), fresh(x, s), merge(`{"spec":{"suspend":true}}`)), `cannot write a DbtSchedule in the name of "ada"`)
		x.forbidden("name taken away without the right", eve.Patch(t.Context(), fresh(x, s), merge(`{"spec":{"requestedBy":null}}`)), `User "eve" cannot schedule runs`)
		x.forbidden("name taken over without the right", eve.Patch(t.Context(), fresh(x, s), merge(`{"spec":{"requestedBy":{"username":"eve"}}}`)), `User "eve" cannot schedule runs`)
		x.ok("change with one's own", ben.Patch(t.Context(), fresh(x, s), merge(`{"spec":{"suspend":true,"requestedBy":{"username":"ben"}}}`)))
		x.ok("change without a name", ada.Patch(t.Context(), fresh(x, s), merge(`{"spec":{"suspend":null,"requestedBy":null}}`)))
		if who := fresh(x, s).Spec.RequestedBy; who != nil {
			t.Errorf("the author is %+v", who)
		}
	})
}
