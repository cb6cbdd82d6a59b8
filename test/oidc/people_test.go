package oidc

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
	"github.com/dbt-operator/dbt-operator/test/oidc/oidctest"
)

// The people of the provider, and the clients that they log in for.
var jane, joe, eve = oidctest.Jane, oidctest.Joe, oidctest.Eve

const (
	audience = oidctest.Audience
	another  = oidctest.Another
)

// elsewhere is a namespace that the gate has nothing to do with.
const elsewhere = "team-b"

func needs(t *testing.T) {
	t.Helper()
	if unmet != "" {
		t.Skip(unmet)
	}
}

// bearer returns a client that shows a token and nothing else.
func bearer(t *testing.T, token string, as ...rest.ImpersonationConfig) client.Client {
	t.Helper()
	config := rest.AnonymousClientConfig(env.Config)
	config.BearerToken = token
	for _, each := range as {
		config.Impersonate = each
	}
	c, err := client.New(config, client.Options{Scheme: scheme, Mapper: admin.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func whoami(t *testing.T, c client.Client) (authenticationv1.UserInfo, error) {
	t.Helper()
	review := &authenticationv1.SelfSubjectReview{}
	err := c.Create(t.Context(), review)
	return review.Status.UserInfo, err
}

func TestPeopleAreWhoTheyLoggedInAs(t *testing.T) {
	needs(t)
	for _, who := range []*oidctest.Person{jane, joe, eve} {
		got, err := whoami(t, bearer(t, dex.Login(t, who, audience)))
		if err != nil {
			t.Fatalf("%s: %v", who.Name, err)
		}
		groups := []string{"system:authenticated"}
		for _, g := range who.Groups {
			groups = append(groups, "oidc:"+g)
		}
		slices.Sort(groups)
		slices.Sort(got.Groups)
		if got.Username != "oidc:"+who.Email || got.UID == "" || cmp.Diff(groups, got.Groups) != "" {
			t.Errorf("%s is %+v, want oidc:%s of %v", who.Name, got, who.Email, groups)
		}
	}
}

func TestTokensThatAreNotTaken(t *testing.T) {
	needs(t)
	good := dex.Login(t, jane, audience)
	parts := strings.Split(good, ".")
	joes := strings.Split(dex.Login(t, joe, audience), ".")
	for name, token := range map[string]string{
		"for another audience":           dex.Login(t, jane, another),
		"with somebody else's payload":   parts[0] + "." + joes[1] + "." + parts[2],
		"without a signature":            parts[0] + "." + parts[1] + ".",
		"with alg none":                  "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"that is none":                   "x",
		"that is none but looks like it": "a.b.c",
	} {
		if who, err := whoami(t, bearer(t, token)); !apierrors.IsUnauthorized(err) {
			t.Errorf("a token %s: %+v, %v; want 401", name, who, err)
		}
	}
}

// denied fails unless err is a refusal with all of these words.
func denied(t *testing.T, err error, words ...string) {
	t.Helper()
	if !apierrors.IsForbidden(err) {
		t.Errorf("got %v, want 403 with %q", err, words)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("got %v, want it to say %q", err, w)
		}
	}
}

func TestAProjectIsRunByOneGroup(t *testing.T) {
	needs(t)
	run := testutil.MakeDbtRun("").Namespace(team).Project("shop").Obj()
	run.GenerateName = "direct-"

	hers := run.DeepCopy()
	hers.Spec.RequestedBy = nil
	janes := bearer(t, dex.Login(t, jane, audience))
	if err := janes.Create(t.Context(), hers); err != nil {
		t.Fatalf("jane may run shop: %v", err)
	}
	me, err := whoami(t, janes)
	if err != nil {
		t.Fatal(err)
	}
	want := &v1alpha1.Requester{Username: "oidc:jane@example.com", UID: me.UID, Groups: me.Groups}
	if diff := cmp.Diff(want, hers.Spec.RequestedBy); diff != "" {
		t.Errorf("spec.requestedBy (-want +got):\n%s", diff)
	}

	joes := bearer(t, dex.Login(t, joe, audience))
	err = joes.Create(t.Context(), run.DeepCopy())
	denied(t, err, `User "oidc:joe@example.com" cannot run DbtProject "shop" in namespace "team-a"`, `needs the verb "use" on dbtprojects.dbtoperator.dev "shop"`)
	t.Log(err)

	forged := run.DeepCopy()
	forged.Spec.RequestedBy = &v1alpha1.Requester{Username: "oidc:jane@example.com"}
	denied(t, joes.Create(t.Context(), forged), `needs the verb "use"`)

	err = bearer(t, dex.Login(t, eve, audience)).Create(t.Context(), run.DeepCopy())
	denied(t, err, `User "oidc:eve@example.com" cannot create resource "dbtruns" in API group "dbtoperator.dev" in the namespace "team-a"`)
	t.Log(err)
}
