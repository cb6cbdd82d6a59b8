package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// api plays the API server: it knows tokens, and who may get which run.
type api struct {
	tokens  map[string]authenticationv1.TokenReviewStatus
	may     map[string]bool // "user namespace/name"
	fail    error
	reviews int
	asked   []authorizationv1.SubjectAccessReviewSpec
}

func (a *api) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	a.reviews++
	if a.fail != nil {
		return a.fail
	}
	switch r := o.(type) {
	case *authenticationv1.TokenReview:
		r.Status = a.tokens[r.Spec.Token]
		// It answers with the audiences that token and question have in common.
		if len(r.Spec.Audiences) > 0 && r.Status.Authenticated && len(r.Status.Audiences) > 0 && !slices.Contains(r.Spec.Audiences, r.Status.Audiences[0]) {
			r.Status = authenticationv1.TokenReviewStatus{Error: "token audiences are invalid for the target audiences"}
		}
	case *authorizationv1.SubjectAccessReview:
		a.asked = append(a.asked, r.Spec)
		at := r.Spec.ResourceAttributes
		r.Status.Allowed = a.may[r.Spec.User+" "+at.Namespace+"/"+at.Name]
	default:
		return fmt.Errorf("a %T was created", o)
	}
	return nil
}

var start = time.Date(2026, 11, 2, 6, 0, 0, 0, time.UTC)

func podToken(pod, uid string) authenticationv1.TokenReviewStatus {
	return authenticationv1.TokenReviewStatus{
		Authenticated: true, Audiences: []string{journal.Audience},
		User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:ns:jaffle",
			Extra:    map[string]authenticationv1.ExtraValue{extraPodName: {pod}, extraPodUID: {uid}},
		},
	}
}

func owned(name, uid string, by *metav1.OwnerReference) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(uid)}
	if by != nil {
		m.OwnerReferences = []metav1.OwnerReference{*by}
	}
	return m
}

func by(apiVersion, kind, name, uid string) *metav1.OwnerReference {
	return &metav1.OwnerReference{APIVersion: apiVersion, Kind: kind, Name: name, UID: types.UID(uid), Controller: ptr.To(true)}
}

// world is a namespace with the pods of two runs, and some that belong to none.
func world(t *testing.T, funcs interceptor.Funcs) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	run := v1alpha1.GroupVersion.String()
	notController := by("batch/v1", "Job", "job-a", "job-a-1")
	notController.Controller = nil
	return fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(funcs).WithObjects(
		testutil.MakeDbtRun("a").Namespace("ns").UID("run-a-1").Obj(),
		testutil.MakeDbtRun("b").Namespace("ns").UID("run-b-1").Obj(),
		&batchv1.Job{ObjectMeta: owned("job-a", "job-a-1", by(run, "DbtRun", "a", "run-a-1"))},
		&batchv1.Job{ObjectMeta: owned("job-b", "job-b-1", by(run, "DbtRun", "b", "run-b-1"))},
		&batchv1.Job{ObjectMeta: owned("job-old", "job-old-1", by(run, "DbtRun", "a", "run-a-0"))},
		&batchv1.Job{ObjectMeta: owned("job-gone", "job-gone-1", by(run, "DbtRun", "gone", "run-gone-1"))},
		&batchv1.Job{ObjectMeta: owned("job-cron", "job-cron-1", by("batch/v1", "CronJob", "a", "run-a-1"))},
		&corev1.Pod{ObjectMeta: owned("a-1", "pod-a-1", by("batch/v1", "Job", "job-a", "job-a-1"))},
		&corev1.Pod{ObjectMeta: owned("b-1", "pod-b-1", by("batch/v1", "Job", "job-b", "job-b-1"))},
		&corev1.Pod{ObjectMeta: owned("old-job", "p", by("batch/v1", "Job", "job-a", "job-a-0"))},
		&corev1.Pod{ObjectMeta: owned("old-run", "p", by("batch/v1", "Job", "job-old", "job-old-1"))},
		&corev1.Pod{ObjectMeta: owned("gone-run", "p", by("batch/v1", "Job", "job-gone", "job-gone-1"))},
		&corev1.Pod{ObjectMeta: owned("gone-job", "p", by("batch/v1", "Job", "none", "none-1"))},
		&corev1.Pod{ObjectMeta: owned("cron", "p", by("batch/v1", "Job", "job-cron", "job-cron-1"))},
		&corev1.Pod{ObjectMeta: owned("replica", "p", by("apps/v1", "ReplicaSet", "job-a", "job-a-1"))},
		&corev1.Pod{ObjectMeta: owned("owned-only", "p", notController)},
		&corev1.Pod{ObjectMeta: owned("free", "p", nil)},
	).Build()
}

func TestPods(t *testing.T) {
	person := podToken("a-1", "pod-a-1")
	person.User.Username = "jane"
	other := podToken("a-1", "pod-a-1")
	other.Audiences = []string{"https://kubernetes.default.svc"}
	none := podToken("a-1", "pod-a-1")
	none.Audiences = nil
	unbound := podToken("", "")
	unbound.User.Extra = nil
	many := podToken("a-1", "pod-a-1")
	many.User.Extra[extraPodName] = []string{"a-1", "b-1"}
	elsewhere := podToken("a-1", "pod-a-1")
	elsewhere.User.Username = "system:serviceaccount:other:jaffle"
	expired := authenticationv1.TokenReviewStatus{Error: "[invalid bearer token, service account token has expired]"}

	for name, c := range map[string]struct {
		reason string
		token  authenticationv1.TokenReviewStatus
		want   string // the run
		kind   error
		says   string
	}{
		"pod of run a":             {"the usual", podToken("a-1", "pod-a-1"), "a", nil, ""},
		"pod of run b":             {"speaks of run b alone", podToken("b-1", "pod-b-1"), "b", nil, ""},
		"expired":                  {"item 41", expired, "", ErrForbidden, "has expired"},
		"another audience":         {"item 41", other, "", ErrForbidden, "not valid for audience collector.dbtoperator.dev"},
		"no audience":              {"an authenticator that knows none", none, "", ErrForbidden, "not made for audience"},
		"a person":                 {"no pod", person, "", ErrForbidden, "jane is not bound to a pod"},
		"not bound":                {"made by kubectl create token", unbound, "", ErrForbidden, "not bound to a pod"},
		"two pods":                 {"nobody is two", many, "", ErrForbidden, "not bound to a pod"},
		"pod with another UID":     {"it was made again", podToken("a-1", "pod-a-0"), "", ErrForbidden, "pod ns/a-1 is another one"},
		"pod not in the cache":     {"not yet", podToken("a-2", "pod-a-2"), "", ErrLater, "pod ns/a-2 is not in the operator's cache yet"},
		"pod of another namespace": {"not yet", elsewhere, "", ErrLater, "pod other/a-1"},
		"Job with another UID":     {"both hops by UID", podToken("old-job", "p"), "", ErrForbidden, "Job ns/job-a is another one"},
		"run with another UID":     {"both hops by UID", podToken("old-run", "p"), "", ErrForbidden, "DbtRun ns/a is another one"},
		"Job not in the cache":     {"not yet", podToken("gone-job", "p"), "", ErrLater, "Job ns/none is not in"},
		"run not in the cache":     {"not yet", podToken("gone-run", "p"), "", ErrLater, "DbtRun ns/gone is not in"},
		"Job of a CronJob":         {"that is no run", podToken("cron", "p"), "", ErrForbidden, "not controlled by a DbtRun"},
		"pod of a ReplicaSet":      {"that is no Job", podToken("replica", "p"), "", ErrForbidden, "not controlled by a Job"},
		"owned, not controlled":    {"anybody may name an owner", podToken("owned-only", "p"), "", ErrForbidden, "not controlled by a Job"},
		"pod of nobody":            {"with whatever labels", podToken("free", "p"), "", ErrForbidden, "not controlled by a Job"},
	} {
		t.Run(name, func(t *testing.T) {
			server := &api{tokens: map[string]authenticationv1.TokenReviewStatus{"t": c.token}}
			p := NewPods(testingclock.NewFakePassiveClock(start), server, world(t, interceptor.Funcs{}))
			got, err := p.Authenticate(t.Context(), "t", "10.0.0.1")
			if !errors.Is(err, c.kind) || c.kind != nil && !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%s: error %v, want one that says %q", c.reason, err, c.says)
			}
			if c.kind == nil && (got.Run.Name != c.want || got.Pod != c.want+"-1" || string(got.UID) != "pod-"+c.want+"-1") {
				t.Errorf("%s: %s of run %s", c.reason, got.Pod, got.Run.Name)
			}
		})
	}
	if _, err := NewPods(testingclock.NewFakePassiveClock(start), &api{}, nil).Authenticate(t.Context(), "", ""); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("no token: %v", err)
	}
}

// What is not in the cache may not be there yet, but not for ever.
func TestCacheLagIsBounded(t *testing.T) {
	clk := testingclock.NewFakePassiveClock(start)
	p := NewPods(clk, &api{tokens: map[string]authenticationv1.TokenReviewStatus{"t": podToken("a-2", "pod-a-2")}}, world(t, interceptor.Funcs{}))
	for after, want := range map[time.Duration]error{0: ErrLater, cacheLag - 1: ErrLater} {
		clk.SetTime(start.Add(after))
		if _, err := p.Authenticate(t.Context(), "t", ""); !errors.Is(err, want) {
			t.Errorf("after %s: %v", after, err)
		}
	}
	clk.SetTime(start.Add(2 * cacheLag))
	if _, err := p.Authenticate(t.Context(), "t", ""); !errors.Is(err, ErrForbidden) {
		t.Errorf("after a long time: %v", err)
	}
}

func TestCacheThatFailsIsNoRefusal(t *testing.T) {
	p := NewPods(testingclock.NewFakePassiveClock(start), &api{tokens: map[string]authenticationv1.TokenReviewStatus{"t": podToken("a-1", "pod-a-1")}},
		world(t, interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return errors.New("unknown namespace for the cache")
		}}))
	if _, err := p.Authenticate(t.Context(), "t", ""); !errors.Is(err, ErrLater) {
		t.Errorf("got %v", err)
	}
}

func TestReviewsAreRemembered(t *testing.T) {
	clk := testingclock.NewFakePassiveClock(start)
	server := &api{tokens: map[string]authenticationv1.TokenReviewStatus{"good": podToken("a-1", "pod-a-1")}}
	p := NewPods(clk, server, world(t, interceptor.Funcs{}))
	ask := func(what, token string, want error, reviews int) {
		t.Helper()
		server.reviews = 0
		if _, err := p.Authenticate(t.Context(), token, "10.0.0.1"); !errors.Is(err, want) || server.reviews != reviews {
			t.Errorf("%s: %v after %d reviews, want %d", what, err, server.reviews, reviews)
		}
	}
	ask("the first time", "good", nil, 1)
	ask("again", "good", nil, 0)
	ask("one that is not valid", "bad", ErrForbidden, 1)
	ask("again", "bad", ErrForbidden, 0)
	clk.SetTime(start.Add(refusedTime + 1))
	ask("later", "bad", ErrForbidden, 1)
	delete(server.tokens, "good")
	ask("revoked, not yet noticed", "good", nil, 0)
	clk.SetTime(start.Add(podTokenTime + 1))
	ask("revoked", "good", ErrForbidden, 1)
	server.fail = errors.New("connection refused")
	ask("the API server is away", "new", ErrLater, 1)
	server.fail = nil
	ask("that is not remembered", "new", ErrForbidden, 1)
	ask("too long to be one", strings.Repeat("x", maxToken+1), ErrForbidden, 0)
}

// Tokens that nobody knows, from one address, must not become a flood at the API server.
func TestNewTokensOfOneAddressAreBounded(t *testing.T) {
	clk := testingclock.NewFakePassiveClock(start)
	server := &api{}
	p := NewPods(clk, server, world(t, interceptor.Funcs{}))
	for i := range 2 * newTokensBurst {
		_, err := p.Authenticate(t.Context(), fmt.Sprint("t", i), "10.0.0.1")
		if want := map[bool]error{true: ErrForbidden, false: ErrTooMany}[i < newTokensBurst]; !errors.Is(err, want) {
			t.Fatalf("token %d: %v", i, err)
		}
	}
	if server.reviews != newTokensBurst {
		t.Errorf("%d reviews", server.reviews)
	}
	if _, err := p.Authenticate(t.Context(), "another", "10.0.0.2"); !errors.Is(err, ErrForbidden) {
		t.Errorf("another address: %v", err)
	}
	clk.SetTime(start.Add(time.Second))
	if _, err := p.Authenticate(t.Context(), "later", "10.0.0.1"); !errors.Is(err, ErrForbidden) {
		t.Errorf("a second later: %v", err)
	}
}

var nightly = types.NamespacedName{Namespace: "ns", Name: "nightly"}

func TestPeople(t *testing.T) {
	jane := authenticationv1.UserInfo{Username: "jane", UID: "7", Groups: []string{"analysts"}, Extra: map[string]authenticationv1.ExtraValue{"scopes": {"x"}}}
	server := &api{
		tokens: map[string]authenticationv1.TokenReviewStatus{
			"jane": {Authenticated: true, User: jane, Audiences: []string{"https://kubernetes.default.svc"}},
			"joe":  {Authenticated: true, User: authenticationv1.UserInfo{Username: "joe"}},
			"pod":  podToken("a-1", "pod-a-1"),
		},
		may: map[string]bool{"jane ns/nightly": true, "system:serviceaccount:ns:jaffle ns/nightly": true},
	}
	for name, c := range map[string]struct {
		reason, token, run string
		kind               error
		says               string
	}{
		"may":             {"the usual", "jane", "nightly", nil, ""},
		"another run":     {"rights are by name", "jane", "hourly", ErrForbidden, `user "jane" may not get dbtruns.dbtoperator.dev "hourly" in namespace "ns"`},
		"may not":         {"named by user, verb and object", "joe", "nightly", ErrForbidden, `user "joe" may not get dbtruns.dbtoperator.dev "nightly" in namespace "ns"`},
		"pod's token":     {"it is for reporting", "pod", "nightly", ErrUnauthenticated, "was made for audience collector.dbtoperator.dev"},
		"unknown":         {"no valid token", "x", "nightly", ErrUnauthenticated, "not valid for the API server"},
		"without a token": {"nobody", "", "nightly", ErrUnauthenticated, journal.HeaderToken},
	} {
		t.Run(name, func(t *testing.T) {
			p := NewPeople(testingclock.NewFakePassiveClock(start), server)
			err := p.Authorize(t.Context(), c.token, "10.0.0.1", types.NamespacedName{Namespace: "ns", Name: c.run})
			if !errors.Is(err, c.kind) || c.kind != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want one that says %q", c.reason, err, c.says)
			}
		})
	}
	server.asked = nil
	if err := NewPeople(testingclock.NewFakePassiveClock(start), server).Authorize(t.Context(), "jane", "", nightly); err != nil {
		t.Fatal(err)
	}
	want := []authorizationv1.SubjectAccessReviewSpec{{
		User: "jane", UID: "7", Groups: []string{"analysts"}, Extra: map[string]authorizationv1.ExtraValue{"scopes": {"x"}},
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: "ns", Name: "nightly", Verb: "get", Group: "dbtoperator.dev", Version: "v1alpha1", Resource: "dbtruns",
		},
	}}
	if diff := cmp.Diff(want, server.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestAnswersAreRememberedBriefly(t *testing.T) {
	clk := testingclock.NewFakePassiveClock(start)
	server := &api{
		tokens: map[string]authenticationv1.TokenReviewStatus{"jane": {Authenticated: true, User: authenticationv1.UserInfo{Username: "jane"}}},
		may:    map[string]bool{"jane ns/nightly": true},
	}
	p := NewPeople(clk, server)
	ask := func(what string, want error, reviews int) {
		t.Helper()
		server.reviews = 0
		if err := p.Authorize(t.Context(), "jane", "", nightly); !errors.Is(err, want) || server.reviews != reviews {
			t.Errorf("%s: %v after %d reviews, want %d", what, err, server.reviews, reviews)
		}
	}
	ask("the first time", nil, 2)
	ask("again", nil, 0)
	delete(server.may, "jane ns/nightly")
	ask("right after it was taken away", nil, 0)
	clk.SetTime(start.Add(10*time.Second + 1))
	ask("ten seconds later", ErrForbidden, 2)
	clk.SetTime(start.Add(time.Minute))
	server.fail = errors.New("connection refused")
	ask("the API server is away", ErrLater, 1)
}
