package e2e

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

// engine is one dbt with one database.
type engine struct {
	name, image, target, version, adapter string
}

var (
	duckdb111   = engine{"dbt 1.11 on DuckDB", "localhost/dbt:1.11", "duckdb", "1.11.16", "duckdb=1.11.1"}
	postgres111 = engine{"dbt 1.11 on PostgreSQL", "localhost/dbt:1.11", "postgres", "1.11.16", "postgres=1.11.0"}
	postgres112 = engine{"dbt 1.12 on PostgreSQL", "localhost/dbt:1.12", "postgres", "1.12.6", "postgres=1.11.0"}
	postgres20  = engine{"dbt 2.0 on PostgreSQL", "localhost/dbt:2.0", "postgres", "2.0.0-alpha.4", "postgres"}
)

// patience is how long a run may take on a busy machine; no test depends on a run being quicker.
const patience = 4 * time.Minute

// project makes a DbtProject "shop" of the files, which each test gets in a database schema of its own.
func (w *world) project(e engine, files fixtures.Files, change ...func(*v1alpha1.DbtProject)) {
	w.Helper()
	manifest, err := files.ConfigMaps("shop")
	if err != nil {
		w.Fatal(err)
	}
	w.apply(manifest)
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "warehouse", Namespace: w.namespace}, StringData: map[string]string{"password": "dbt"}})
	p := &v1alpha1.DbtProject{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: w.namespace},
		Spec: v1alpha1.DbtProjectSpec{
			Source:          v1alpha1.Source{ConfigMap: &v1alpha1.ConfigMapSource{Name: "shop-source"}},
			Image:           e.image,
			ImagePullPolicy: corev1.PullIfNotPresent,
			Profiles:        &v1alpha1.Profiles{ConfigMapRef: &v1alpha1.KeySelector{Name: "shop-profiles"}},
			Target:          e.target,
			Env: []corev1.EnvVar{
				{Name: "SHOP_SCHEMA", Value: w.schema()},
				{Name: "SHOP_POSTGRES_PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
					LocalObjectReference: corev1.LocalObjectReference{Name: "warehouse"}, Key: "password",
				}}},
			},
		},
	}
	for _, c := range change {
		c(p)
	}
	w.create(p)
}

// shop returns the project as it is now.
func (w *world) shop() *v1alpha1.DbtProject {
	w.Helper()
	p := &v1alpha1.DbtProject{}
	if err := cluster.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: "shop"}, p); err != nil {
		w.Fatalf("getting DbtProject shop: %v", err)
	}
	return p
}

// edit changes the project, whose status the operator may write at the same time.
func (w *world) edit(change func(*v1alpha1.DbtProject)) {
	w.Helper()
	p := w.shop()
	before := p.DeepCopy()
	change(p)
	w.ok("editing DbtProject shop", cluster.Patch(w.Context(), p, client.MergeFrom(before)))
}

// schema is where the world's models go, which are made anew in each.
func (w *world) schema() string { return strings.ReplaceAll(w.namespace, "-", "_") }

// run starts a run of the project.
func (w *world) run(name string, change ...func(*v1alpha1.DbtRun)) {
	w.Helper()
	r := &v1alpha1.DbtRun{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.namespace},
		Spec:       v1alpha1.DbtRunSpec{ProjectRef: &v1alpha1.ProjectReference{Name: "shop"}},
	}
	for _, c := range change {
		c(r)
	}
	w.create(r)
}

func commands(lines ...string) func(*v1alpha1.DbtRun) {
	return func(r *v1alpha1.DbtRun) { r.Spec.Commands = lines }
}

func (w *world) get(name string) *v1alpha1.DbtRun {
	w.Helper()
	r := &v1alpha1.DbtRun{}
	if err := cluster.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, r); err != nil {
		w.Fatalf("getting DbtRun %s: %v", name, err)
	}
	return r
}

// over waits for the run's end.
func (w *world) over(name string) *v1alpha1.DbtRun {
	w.Helper()
	var r *v1alpha1.DbtRun
	w.eventually("the end of DbtRun "+name, patience, func() (bool, string) {
		r = w.get(name)
		return r.Status.CompletionTime != nil, string(r.Status.Phase) + ": " + r.Status.Message
	})
	return r
}

// ended fails unless the run ended with the reason and a message that holds each part.
func (w *world) ended(r *v1alpha1.DbtRun, phase v1alpha1.Phase, reason string, parts ...string) {
	w.Helper()
	got := ""
	for _, c := range r.Status.Conditions {
		if c.Type == v1alpha1.ConditionSucceeded {
			got = c.Reason
		}
	}
	if r.Status.Phase != phase || got != reason {
		w.Errorf("DbtRun %s: got %s with reason %s, want %s with %s; message: %s", r.Name, r.Status.Phase, got, phase, reason, r.Status.Message)
	}
	for _, part := range parts {
		if !strings.Contains(r.Status.Message, part) {
			w.Errorf("DbtRun %s: the message %q does not hold %q", r.Name, r.Status.Message, part)
		}
	}
}

func (w *world) pods() []corev1.Pod {
	w.Helper()
	pods := &corev1.PodList{}
	if err := cluster.List(w.Context(), pods, client.InNamespace(w.namespace)); err != nil {
		w.Fatal(err)
	}
	return pods.Items
}

func variant(t *testing.T, name string) fixtures.Files {
	t.Helper()
	files, err := fixtures.Variant(name)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// postgres returns the address of the cluster's PostgreSQL as seen from here, or skips the test.
func postgres(t *testing.T) string {
	t.Helper()
	address := os.Getenv("CLUSTER_POSTGRES")
	if address == "" {
		t.Skip("CLUSTER_POSTGRES is not set: this cluster has no PostgreSQL that can be reached from here")
	}
	return address
}

// here returns this host's address as the cluster sees it, or skips the test.
func here(t *testing.T) string {
	t.Helper()
	host, _, err := net.SplitHostPort(postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	return host
}
