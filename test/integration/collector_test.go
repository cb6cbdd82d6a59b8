package integration

import (
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/collector/access"
	"github.com/dbt-operator/dbt-operator/internal/collector/cert"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// token asks the API server for a token of a ServiceAccount, bound to a pod unless that is nil.
func (w *world) token(account string, pod *corev1.Pod, audiences ...string) string {
	w.Helper()
	r := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: ptr.To[int64](600)}}
	if pod != nil {
		r.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}
	}
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: account}}
	w.must(admin.SubResource("token").Create(w.Context(), sa, r))
	return r.Status.Token
}

// asOperator returns a client and a cache with the operator's shipped roles alone.
func (w *world) asOperator() (client.Client, cache.Cache) {
	w.Helper()
	direct, err := client.New(operator, client.Options{Scheme: scheme})
	w.must(err)
	opts := controller.CacheOptions(controller.Scope{Namespaces: []string{w.ns}, Keeps: true}, time.Now)
	opts.Scheme = scheme
	objects, err := cache.New(operator, opts)
	w.must(err)
	for _, o := range []client.Object{&v1alpha1.DbtRun{}, &batchv1.Job{}, &corev1.Pod{}} {
		_, err := objects.GetInformer(w.Context(), o, cache.BlockUntilSynced(false))
		w.must(err)
	}
	done := make(chan error, 1)
	go func() { done <- objects.Start(w.Context()) }()
	w.Cleanup(func() {
		if err := <-done; err != nil {
			w.Errorf("cache: %v", err)
		}
	})
	if !objects.WaitForCacheSync(w.Context()) {
		w.Fatal("the cache did not come up")
	}
	return direct, objects
}

// What a real API server says of real tokens is what the collector decides by, with the shipped roles.
func TestCollectorKnowsItsPods(t *testing.T) {
	w := newWorld(t)
	w.must(admin.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "jaffle"}}))
	project := testutil.MakeDbtProject("shop").Image("dbt:1").Baked("/dbt")
	project.Spec.ServiceAccountName = "jaffle"
	w.project(project)
	run := w.run(testutil.MakeDbtRun("r").Project("shop"))
	_, pod := w.begun(run)
	direct, objects := w.asOperator()
	stray := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "stray", Labels: pod.Labels, Annotations: pod.Annotations},
		Spec:       corev1.PodSpec{ServiceAccountName: "jaffle", Containers: []corev1.Container{{Name: "c", Image: "x"}}},
	}
	w.must(admin.Create(t.Context(), stray))
	pods := access.NewPods(clock.RealClock{}, direct, objects)
	authenticate := func(token string) (got access.Attempt, err error) {
		// The cache may be a moment behind.
		testutil.Eventually(t, "a decision", patience, func() (bool, string) {
			got, err = pods.Authenticate(t.Context(), token, "10.0.0.1")
			return !errors.Is(err, access.ErrLater), ""
		})
		return got, err
	}
	good := w.token("jaffle", pod, journal.Audience)
	got, err := authenticate(good)
	if err != nil || got.Run.UID != run.UID || got.Pod != pod.Name || got.UID != pod.UID {
		t.Errorf("the run's own pod: %+v, %v", got, err)
	}
	for name, token := range map[string]string{
		"for the API server":    w.token("jaffle", pod),
		"of another audience":   w.token("jaffle", pod, "warehouse.example.com"),
		"not bound to a pod":    w.token("jaffle", nil, journal.Audience),
		"of a pod with labels":  w.token("jaffle", stray, journal.Audience),
		"with another payload":  good[:len(good)-8] + "AAAAAAAA",
		"that is none whatever": "xyz",
	} {
		if _, err := authenticate(token); !errors.Is(err, access.ErrForbidden) {
			t.Errorf("a token %s: %v", name, err)
		}
	}
	w.kubelet.Delete(pod)
	// The API server may take its token for good for some seconds more; nobody is what it says, then.
	testutil.Eventually(t, "the token of a pod that is gone is good for nothing", patience, func() (bool, string) {
		_, err := access.NewPods(clock.RealClock{}, direct, objects).Authenticate(t.Context(), good, "")
		return err != nil, ""
	})
}

func TestCollectorKnowsWhoMayRead(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"jane", "joe"} {
		w.must(admin.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}))
	}
	w.must(admin.Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "reads-r"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"dbtoperator.dev"}, Resources: []string{"dbtruns"}, ResourceNames: []string{"r"}, Verbs: []string{"get"}}},
	}))
	w.must(admin.Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "reads-r"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reads-r"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: w.ns, Name: "jane"}},
	}))
	direct, _ := w.asOperator()
	people := access.NewPeople(clock.RealClock{}, direct)
	jane := w.token("jane", nil)
	// The authorizer hears of the binding a moment later; an answer is remembered for some seconds.
	testutil.Eventually(t, "jane may read", patience, func() (bool, string) {
		err := access.NewPeople(clock.RealClock{}, direct).Authorize(t.Context(), jane, "", types.NamespacedName{Namespace: w.ns, Name: "r"})
		return err == nil, ""
	})
	for name, c := range map[string]struct {
		token, run string
		want       error
	}{
		"by name":                 {jane, "r", nil},
		"another run":             {jane, "other", access.ErrForbidden},
		"without rights":          {w.token("joe", nil), "r", access.ErrForbidden},
		"a token for reporting":   {w.token("jane", nil, journal.Audience), "r", access.ErrUnauthenticated},
		"a token for a warehouse": {w.token("jane", nil, "warehouse.example.com"), "r", access.ErrUnauthenticated},
		"no token at all":         {"", "r", access.ErrUnauthenticated},
	} {
		if err := people.Authorize(t.Context(), c.token, "", types.NamespacedName{Namespace: w.ns, Name: c.run}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// The certificate is kept by the shipped role, which has one Secret and no other.
func TestCollectorKeepsItsCertificate(t *testing.T) {
	w := newWorld(t)
	direct, _ := w.asOperator()
	secret := types.NamespacedName{Namespace: "dbt-operator-system", Name: "dbt-operator-collector"}
	keeper := func(names ...string) *cert.Keeper {
		t.Helper()
		k, err := cert.NewKeeper(cert.Config{Clock: clock.RealClock{}, Reader: direct, Writer: direct, Secret: secret, Names: names, Log: logr.Discard()})
		w.must(err)
		return k
	}
	one, two := keeper("collector.svc"), keeper("collector.example.com")
	w.must(one.Ensure(t.Context()))
	w.must(two.Ensure(t.Context())) // other names: it writes
	w.must(one.Ensure(t.Context()))
	if one.Bundle() == "" || one.Bundle() != two.Bundle() {
		t.Error("two replicas have different authorities")
	}
	other := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: secret.Namespace, Name: "other"}}
	w.must(admin.Create(t.Context(), other))
	if err := direct.Get(t.Context(), client.ObjectKeyFromObject(other), other); !apierrors.IsForbidden(err) {
		t.Errorf("another Secret could be read: %v", err)
	}
}
