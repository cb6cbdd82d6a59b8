package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// server is an API server with the CRDs and a client that may do everything on it.
type server struct {
	env   *envtest.Environment
	admin client.Client
}

// team is a namespace with people in it, who log in with certificates of their own and have the rights they are given.
type team struct {
	*testing.T
	server
	ns string
}

// newTeam makes a namespace with DbtProject shop on the API server of the package.
func newTeam(t *testing.T) *team {
	t.Helper()
	t.Parallel()
	return teamOn(t, server{env, admin})
}

func teamOn(t *testing.T, s server) *team {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "team-"}}
	if err := s.admin.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	x := &team{T: t, server: s, ns: ns.Name}
	x.ok("shop", s.admin.Create(t.Context(), testutil.MakeDbtProject("shop").Namespace(x.ns).Obj()))
	return x
}

// person is somebody who has logged in.
type person struct {
	client.Client
	name string
	// kubeconfig is how kubectl logs in as them; empty for somebody without a certificate.
	kubeconfig []byte
}

// person logs somebody in, with a certificate that names them and their groups.
func (x *team) person(name string, groups ...string) *person {
	x.Helper()
	user, err := x.env.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	if err != nil {
		x.Fatalf("adding user %s: %v", name, err)
	}
	p := x.client(name, user.Config())
	p.kubeconfig, err = user.KubeConfig()
	x.ok("kubeconfig", err)
	return p
}

// client makes a client of a configuration.
func (x *team) client(name string, cfg *rest.Config) *person {
	x.Helper()
	cfg.QPS, cfg.Burst = -1, 0
	// Not everybody may ask what kinds there are.
	c, err := client.New(cfg, client.Options{Scheme: scheme, Mapper: x.admin.RESTMapper()})
	if err != nil {
		x.Fatal(err)
	}
	return &person{Client: c, name: name}
}

// as returns who an administrator acts for by impersonation.
func (x *team) as(who rest.ImpersonationConfig) *person {
	x.Helper()
	cfg := rest.CopyConfig(x.env.Config)
	cfg.Impersonate = who
	return x.client(who.UserName, cfg)
}

// right is a verb on a resource, by name if that is given.
type right struct{ verb, group, resource, name string }

var (
	usesShop    = right{"use", "dbtoperator.dev", "dbtprojects", "shop"}
	createsPods = right{"create", "", "pods", ""}
)

// runs are the rights of dbt-runner; writes those to write projects, but for what that is worth.
var runs, writes = []right{
	{"create", "dbtoperator.dev", "dbtruns", ""}, {"update", "dbtoperator.dev", "dbtruns", ""}, {"patch", "dbtoperator.dev", "dbtruns", ""},
	{"create", "dbtoperator.dev", "dbtschedules", ""}, {"update", "dbtoperator.dev", "dbtschedules", ""}, {"patch", "dbtoperator.dev", "dbtschedules", ""},
	{"get", "dbtoperator.dev", "dbtruns", ""}, {"get", "dbtoperator.dev", "dbtschedules", ""},
}, []right{
	{"create", "dbtoperator.dev", "dbtprojects", ""}, {"update", "dbtoperator.dev", "dbtprojects", ""}, {"patch", "dbtoperator.dev", "dbtprojects", ""},
	{"get", "dbtoperator.dev", "dbtprojects", ""},
}

// grant gives somebody rights in the namespace, waits until the API server knows, and returns what takes them back.
func (x *team) grant(subject string, rights ...right) (revoke func()) {
	x.Helper()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: x.ns, GenerateName: "r-"}}
	for _, r := range rights {
		rule := rbacv1.PolicyRule{APIGroups: []string{r.group}, Resources: []string{r.resource}, Verbs: []string{r.verb}}
		if r.name != "" {
			rule.ResourceNames = []string{r.name}
		}
		role.Rules = append(role.Rules, rule)
	}
	x.ok("role", x.admin.Create(x.Context(), role))
	unbind := x.bind(subject, "Role", role.Name)
	x.may(subject, true, rights...)
	return func() {
		x.Helper()
		unbind()
		x.may(subject, false, rights...)
	}
}

// bind binds a role to somebody in the namespace.
func (x *team) bind(subject, kind, role string) (unbind func()) {
	x.Helper()
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: x.ns, GenerateName: "r-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: subject}},
	}
	x.ok("binding", x.admin.Create(x.Context(), binding))
	return func() { x.Helper(); x.ok("unbinding", x.admin.Delete(context.Background(), binding)) }
}

// may waits until somebody has rights, or none of them.
func (x *team) may(user string, want bool, rights ...right) {
	x.Helper()
	for _, r := range rights {
		testutil.Eventually(x, fmt.Sprintf("user %s has %v: %t", user, r, want), patience, func() (bool, string) {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: x.ns, Verb: r.verb, Group: r.group, Resource: r.resource, Name: r.name},
			}}
			err := x.admin.Create(x.Context(), review)
			return err == nil && review.Status.Allowed == want, fmt.Sprint(err, review.Status)
		})
	}
}

// run is a run of shop, not yet created.
func (x *team) run(name string) *testutil.RunWrapper {
	return testutil.MakeDbtRun(name).Namespace(x.ns).Project("shop")
}

// schedule is a schedule of shop, not yet created.
func (x *team) schedule(name string) *testutil.ScheduleWrapper {
	return testutil.MakeDbtSchedule(name, "0 * * * *").Namespace(x.ns)
}

// project is a project, not yet created.
func (x *team) project(name string) *testutil.ProjectWrapper {
	return testutil.MakeDbtProject(name).Namespace(x.ns)
}

func (x *team) ok(what string, err error) {
	x.Helper()
	if err != nil {
		x.Fatalf("%s: %v", what, err)
	}
}

// forbidden fails unless the API server answered 403 with words.
func (x *team) forbidden(what string, err error, words ...string) {
	x.Helper()
	if !apierrors.IsForbidden(err) {
		x.Errorf("%s: got %v, want 403", what, err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			x.Errorf("%s: refused with\n%v\nwant %q", what, err, w)
		}
	}
}

// refused fails unless the API server found the object invalid, with words.
func (x *team) invalid(what string, err error, words string) {
	x.Helper()
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), words) {
		x.Errorf("%s: got %v, want a refusal with %q", what, err, words)
	}
}

// fresh reads an object anew.
func fresh[T client.Object](x *team, object T) T {
	x.Helper()
	into, ok := object.DeepCopyObject().(T)
	if !ok {
		x.Fatalf("%T", object)
	}
	x.ok("reading "+object.GetName(), x.admin.Get(x.Context(), client.ObjectKeyFromObject(object), into))
	return into
}

// stamped fails unless the requester is a person with their groups, of which the API server adds one.
func (x *team) stamped(what string, got *v1alpha1.Requester, name string, groups ...string) {
	x.Helper()
	want := append(slices.Clone(groups), "system:authenticated")
	if got == nil || got.Username != name || got.UID != "" || got.OmittedGroups != nil {
		x.Errorf("%s: stamped with %+v, want %s", what, got, name)
		return
	}
	slices.Sort(want)
	have := slices.Clone(got.Groups)
	slices.Sort(have)
	if !slices.Equal(have, want) {
		x.Errorf("%s: groups %v, want %v", what, have, want)
	}
}
