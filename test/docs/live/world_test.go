package live

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil/manifest"
	"github.com/dbt-operator/dbt-operator/test/docs/pages"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

var root = func() string {
	dir, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		panic(err)
	}
	return dir
}()

// world is a namespace in which what pages speak of is, and a kubeconfig whose namespace it is.
type world struct {
	*testing.T
	client.Client
	namespace, kubeconfig string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if os.Getenv("KUBECONFIG") == "" {
		t.Fatal("KUBECONFIG is not set: run `make test-e2e`, or name a cluster that has the operator and its images")
	}
	if !exists(filepath.Join(root, "bin", "kubectl-dbt")) {
		t.Fatal("there is no bin/kubectl-dbt: run `make build`")
	}
	loaded := clientcmd.NewDefaultClientConfigLoadingRules()
	raw, err := loaded.Load()
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.NewDefaultClientConfig(*raw, nil).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{T: t, kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	if w.Client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "pages-", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
	if err := w.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context is done by now.
		_ = w.Delete(context.Background(), ns, client.PropagationPolicy(metav1.DeletePropagationBackground))
	})
	w.namespace = ns.Name
	raw.Contexts[raw.CurrentContext].Namespace = ns.Name
	raw.AuthInfos[raw.Contexts[raw.CurrentContext].AuthInfo] = &clientcmdapi.AuthInfo{Token: w.login()}
	if err := clientcmd.WriteToFile(*raw, w.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return w
}

// login returns a token of an account that may do everything, as people log in: the collector takes no certificates.
func (w *world) login() string {
	w.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "ada"}}
	w.create(account)
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: w.namespace, Name: account.Name}},
	}
	w.create(binding)
	w.Cleanup(func() { _ = w.Delete(context.Background(), binding) })
	request := &authenticationv1.TokenRequest{}
	if err := w.SubResource("token").Create(w.Context(), account, request); err != nil {
		w.Fatalf("a token of ServiceAccount ada: %v", err)
	}
	return request.Status.Token
}

// furnish makes what pages speak of: projects shop, which is good, and shop-ci; a schedule and an account; and runs that have
// ended, of which shop-x7k2p failed.
func (w *world) furnish() {
	w.Helper()
	w.project("shop", fixtures.Shop())
	broken, err := fixtures.Variant("model-error")
	if err != nil {
		w.Fatal(err)
	}
	w.project("broken", broken)
	files := fixtures.Shop()
	files["macros/drop_ci_schemas.sql"] = []byte(block(w.T, "docs/howto/pull-requests.md", "sql", "{% macro drop_ci_schemas() %}"))
	w.project("shop-ci", files, corev1.EnvVar{Name: "SHOP_SCHEMA", Value: "pr_12"})
	w.create(
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "reader"}},
		&v1alpha1.DbtSchedule{
			ObjectMeta: metav1.ObjectMeta{Name: "shop-nightly"},
			Spec:       v1alpha1.DbtScheduleSpec{Schedule: "0 6 1 1 *", RunTemplate: v1alpha1.RunTemplate{Spec: run("shop", "dbt debug").Spec}},
		},
	)
	for name, project := range map[string]string{"nightly": "shop", "shop-9wk4z": "shop", "shop-x7k2p": "broken"} {
		r := run(project, "dbt build")
		r.Name = name
		w.create(r)
	}
	for name, phase := range map[string]v1alpha1.Phase{"nightly": v1alpha1.PhaseSucceeded, "shop-9wk4z": v1alpha1.PhaseSucceeded, "shop-x7k2p": v1alpha1.PhaseFailed} {
		w.until(name, func(r *v1alpha1.DbtRun) bool {
			return r.Status.Phase == phase && r.Status.Log != nil && r.Status.Log.URI != ""
		})
	}
}

// busy makes a run shop-x7k2p that goes on for as long as anybody may look at it.
func (w *world) busy() {
	w.Helper()
	files := fixtures.Shop()
	files["macros/wait.sql"] = []byte("{% macro wait() %}{% do run_query('select pg_sleep(600)') %}{% endmacro %}\n")
	w.project("shop", files, corev1.EnvVar{Name: "SHOP_POSTGRES_PASSWORD", Value: "dbt"})
	r := run("shop", "dbt run-operation wait")
	r.Name, r.Spec.Target = "shop-x7k2p", "postgres"
	w.create(r)
	w.until(r.Name, func(r *v1alpha1.DbtRun) bool { return r.Status.Phase == v1alpha1.PhaseRunning })
}

// project makes a DbtProject of the files on DuckDB.
func (w *world) project(name string, files fixtures.Files, env ...corev1.EnvVar) {
	w.Helper()
	content, err := files.ConfigMaps(name)
	if err != nil {
		w.Fatal(err)
	}
	objects, err := manifest.Objects(content, name)
	if err != nil {
		w.Fatal(err)
	}
	for _, o := range objects {
		w.create(o)
	}
	w.create(&v1alpha1.DbtProject{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.DbtProjectSpec{
			Source: v1alpha1.Source{ConfigMap: &v1alpha1.ConfigMapSource{Name: name + "-source"}},
			Image:  "localhost/dbt:1.11", ImagePullPolicy: corev1.PullIfNotPresent, Target: "duckdb", Env: env,
			Profiles: &v1alpha1.Profiles{ConfigMapRef: &v1alpha1.KeySelector{Name: name + "-profiles"}},
		},
	})
}

func run(project, command string) *v1alpha1.DbtRun {
	return &v1alpha1.DbtRun{Spec: v1alpha1.DbtRunSpec{ProjectRef: &v1alpha1.ProjectReference{Name: project}, Commands: []string{command}}}
}

func (w *world) create(objects ...client.Object) {
	w.Helper()
	for _, o := range objects {
		if _, everywhere := o.(*rbacv1.ClusterRoleBinding); !everywhere {
			o.SetNamespace(w.namespace)
		}
		if err := w.Create(w.Context(), o); err != nil {
			w.Fatalf("creating %T %s: %v", o, o.GetName(), err)
		}
	}
}

// until waits for a run.
func (w *world) until(name string, is func(*v1alpha1.DbtRun) bool) {
	w.Helper()
	r := &v1alpha1.DbtRun{}
	err := wait.PollUntilContextTimeout(w.Context(), 200*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		err := w.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: name}, r)
		return err == nil && is(r), err
	})
	if err != nil {
		w.Fatalf("DbtRun %s: %v; it is %s: %s", name, err, r.Status.Phase, r.Status.Message)
	}
}

// block returns a block of a page that begins so.
func block(t *testing.T, page, language, begin string) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range pages.Parse(page, source).Blocks {
		if b.Language == language && strings.HasPrefix(b.Text, begin) {
			return b.Text
		}
	}
	t.Fatalf("%s has no block of %s that begins with %q", page, language, begin)
	return ""
}
