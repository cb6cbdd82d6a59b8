package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// The roles as they are shipped, each bound to somebody and tried.
func TestRoles(t *testing.T) {
	x := newTeam(t)
	mine := func(verb, resource, name string) right { return right{verb, "dbtoperator.dev", resource, name} }
	bound := map[string]*person{}
	for role, last := range map[string]right{
		"dbt-viewer": mine("watch", "dbtschedules", ""), "dbt-runner": mine("delete", "dbtschedules", ""),
		"dbt-admin": createsPods, "dbt-use-all": usesShop,
	} {
		bound[role] = x.person(role + "-" + x.ns)
		x.bind(bound[role].name, "ClusterRole", role)
		x.may(bound[role].name, true, last)
	}
	viewer, runner, owner := bound["dbt-viewer"], bound["dbt-runner"], bound["dbt-admin"]
	list := &v1alpha1.DbtRunList{}
	x.ok("viewer lists", viewer.List(t.Context(), list, client.InNamespace(x.ns)))
	x.forbidden("viewer runs", viewer.Create(t.Context(), x.run("a").Obj()), `cannot create resource "dbtruns"`)
	x.forbidden("runner runs what it may not use", runner.Create(t.Context(), x.run("a").Obj()), `the verb "use"`)
	x.forbidden("runner runs anything", runner.Create(t.Context(), testutil.MakeDbtRun("a").Namespace(x.ns).Inline(testutil.MakeDbtProject("x").Obj()).Obj()), `the verb "create" on pods`)
	x.forbidden("runner writes projects", runner.Create(t.Context(), x.project("a").Obj()), `cannot create resource "dbtprojects"`)
	x.ok("admin writes projects", owner.Create(t.Context(), x.project("a").Obj()))
	x.ok("admin runs them", owner.Create(t.Context(), testutil.MakeDbtRun("a").Namespace(x.ns).Project("a").Obj()))
	x.bind(runner.name, "ClusterRole", "dbt-use-all")
	x.may(runner.name, true, usesShop)
	x.ok("runner with use on all", runner.Create(t.Context(), x.run("b").Obj()))
	// dbt-runner alone is enough for no project.
	role := &rbacv1.ClusterRole{}
	x.ok("role", x.admin.Get(t.Context(), types.NamespacedName{Name: "dbt-runner"}, role))
	for _, rule := range role.Rules {
		if strings.Contains(strings.Join(rule.Verbs, " "), "use") || strings.Contains(strings.Join(rule.Verbs, " "), "*") {
			t.Errorf("dbt-runner has %v on %v", rule.Verbs, rule.Resources)
		}
	}
}

// The sample grants a group "use" on one project, and an administrator of a namespace may hand it out: whoever has the
// rights of dbt-admin and may write roles needs neither "bind" nor "escalate".
func TestUseIsHandedOutByTheNamespace(t *testing.T) {
	x := newTeam(t)
	owner, ada := x.person("owner-"+x.ns), x.person("ada", "analysts")
	for _, role := range []string{"dbt-admin", "dbt-runner"} {
		x.bind(owner.name, "ClusterRole", role)
	}
	x.grant(owner.name, right{"create", "rbac.authorization.k8s.io", "roles", ""}, right{"create", "rbac.authorization.k8s.io", "rolebindings", ""})
	x.may(owner.name, true, right{"use", "dbtoperator.dev", "dbtprojects", ""}, right{"delete", "dbtoperator.dev", "dbtschedules", ""})
	sample, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", "role-use-shop.yaml"))
	x.ok("sample", err)
	if out, err := x.kubectl(owner, string(sample), "create", "--filename", "-"); err != nil {
		t.Fatalf("the sample: %v\n%s", err, out)
	}
	testutil.Eventually(t, "ada may run shop", patience, func() (bool, string) {
		err := ada.Create(t.Context(), x.run("a").Obj(), client.DryRunAll)
		return err == nil, errText(err)
	})
	x.ok("run", ada.Create(t.Context(), x.run("a").Obj()))
	x.forbidden("another", ada.Create(t.Context(), testutil.MakeDbtRun("b").Namespace(x.ns).Project("payroll").Obj()), `User "ada" cannot run DbtProject "payroll"`)
	// What one does not have one cannot hand out.
	eve := x.person("eve-" + x.ns)
	x.grant(eve.name, right{"create", "rbac.authorization.k8s.io", "roles", ""})
	greedy := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: x.ns, Name: "greedy"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"dbtoperator.dev"}, Resources: []string{"dbtprojects"}, Verbs: []string{"use"}}},
	}
	x.forbidden("use by one who lacks it", eve.Create(t.Context(), greedy), "attempting to grant RBAC permissions not currently held")
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
