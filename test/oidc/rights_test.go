package oidc

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
	"github.com/dbt-operator/dbt-operator/test/oidc/oidctest"
)

// What somebody could do who has taken the gate over: its own token, and any headers they like.
func TestTheGateHasNoOtherRight(t *testing.T) {
	needs(t)
	token, err := oidctest.GateToken(t.Context(), admin, gateNamespace)
	if err != nil {
		t.Fatal(err)
	}
	janes := rest.ImpersonationConfig{UserName: "oidc:jane@example.com", UID: "x", Groups: []string{"oidc:shop-team"}}
	run := testutil.MakeDbtRun("").Namespace(team).Project("shop").Obj()
	run.GenerateName = "taken-over-"
	there := run.DeepCopy()
	if err := admin.Create(t.Context(), there); err != nil {
		t.Fatal(err)
	}
	create := func(ns string) func(context.Context, client.Client) error {
		return func(ctx context.Context, c client.Client) error {
			r := run.DeepCopy()
			r.Namespace = ns
			return c.Create(ctx, r)
		}
	}
	list := func(l client.ObjectList, ns string) func(context.Context, client.Client) error {
		return func(ctx context.Context, c client.Client) error { return c.List(ctx, l, client.InNamespace(ns)) }
	}
	get := func(ctx context.Context, c client.Client) error {
		return c.Get(ctx, client.ObjectKeyFromObject(there), &v1alpha1.DbtRun{})
	}
	with := func(change func(*rest.ImpersonationConfig)) *rest.ImpersonationConfig {
		c := janes
		change(&c)
		return &c
	}
	for name, c := range map[string]struct {
		reason string
		as     *rest.ImpersonationConfig
		do     func(context.Context, client.Client) error
		may    bool
	}{
		"get a run":    {"the collector asks whether the gate may, before it gives artifacts", nil, get, true},
		"list runs":    {"the gate lists in people's names", nil, list(&v1alpha1.DbtRunList{}, team), false},
		"create a run": {"a run of the gate's own would have no person in it", nil, create(team), false},
		"read Secrets": {"it holds no credential and may read none", nil, list(&corev1.SecretList{}, team), false},
		"read Secrets of the operator": {
			"neither there", nil, list(&corev1.SecretList{}, system), false,
		},
		"create a run as jane":            {"what it is for", &janes, create(team), true},
		"list runs as jane":               {"what it is for", &janes, list(&v1alpha1.DbtRunList{}, team), true},
		"create a run as jane, elsewhere": {"she may, but the gate is for one namespace", &janes, create(elsewhere), false},
		"read Secrets as jane":            {"she may, but the gate deals in runs", &janes, list(&corev1.SecretList{}, team), false},
		"read pods as jane":               {"she may, but the gate deals in runs", &janes, list(&corev1.PodList{}, team), false},
		"list projects as jane":           {"she may, but the gate deals in runs", &janes, list(&v1alpha1.DbtProjectList{}, team), false},
		"write a project as jane": {"she may, but the gate deals in runs", &janes, func(ctx context.Context, c client.Client) error {
			return c.Create(ctx, testutil.MakeDbtProject("p").Namespace(team).Obj())
		}, false},
		"delete a run as jane":                 {"she may, but the gate only cancels", &janes, func(ctx context.Context, c client.Client) error { return c.Delete(ctx, there.DeepCopy()) }, false},
		"as jane of system:masters":            {"groups are named one by one", with(func(c *rest.ImpersonationConfig) { c.Groups = []string{"system:masters"} }), get, false},
		"as jane of another group beside hers": {"groups are named one by one", with(func(c *rest.ImpersonationConfig) { c.Groups = append(c.Groups, "oidc:staff") }), get, false},
		"as jane with an extra":                {"no extras are granted", with(func(c *rest.ImpersonationConfig) { c.Extra = map[string][]string{"scopes": {"all"}} }), get, false},
		"as the operator": {
			"service accounts are no users to the verb", &rest.ImpersonationConfig{UserName: "system:serviceaccount:dbt-operator-system:manager"}, get, false,
		},
		"as a node": {"nodes are no users to the verb", &rest.ImpersonationConfig{UserName: "system:node:n1", Groups: []string{"system:nodes"}}, get, false},
		// RBAC knows no prefixes. What that is worth is bounded by runs.yaml: this user may read Secrets everywhere.
		"read Secrets as kube-controller-manager": {"any user may be named, for what runs.yaml lists", &rest.ImpersonationConfig{UserName: "system:kube-controller-manager"}, list(&corev1.SecretList{}, team), false},
	} {
		t.Run(name, func(t *testing.T) {
			as := bearer(t, token)
			if c.as != nil {
				as = bearer(t, token, *c.as)
			}
			switch err := c.do(t.Context(), as); {
			case c.may && err != nil:
				t.Errorf("%s: %v", c.reason, err)
			case !c.may && !apierrors.IsForbidden(err):
				t.Errorf("%s: got %v, want 403", c.reason, err)
			}
		})
	}
	// She may do herself what the gate may not do in her name: the refusals above are not hers.
	herself := bearer(t, dex.Login(t, jane, audience))
	for name, do := range map[string]func(context.Context, client.Client) error{
		"create a run elsewhere": create(elsewhere), "read Secrets": list(&corev1.SecretList{}, team), "list projects": list(&v1alpha1.DbtProjectList{}, team),
	} {
		if name == "create a run elsewhere" {
			if err := admin.Create(t.Context(), &v1alpha1.DbtProject{ObjectMeta: metav1.ObjectMeta{Namespace: elsewhere, Name: "shop"}, Spec: testutil.MakeDbtProject("shop").Obj().Spec}); err != nil {
				t.Fatal(err)
			}
		}
		if err := do(t.Context(), herself); err != nil {
			t.Errorf("jane herself: %s: %v", name, err)
		}
	}
}
