package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// cluster is what all tests share.
var cluster struct {
	client.Client
	logs   *kubernetes.Clientset
	config *rest.Config
}

func TestMain(m *testing.M) {
	if err := connect(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func connect() error {
	if os.Getenv("KUBECONFIG") == "" {
		return fmt.Errorf("KUBECONFIG is not set: run `make test-e2e`, or name a cluster that has the operator and its images")
	}
	to, err := config.GetConfig()
	if err != nil {
		return err
	}
	to.QPS = -1
	cluster.config = to
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	if cluster.Client, err = client.New(to, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	cluster.logs, err = kubernetes.NewForConfig(to)
	return err
}

// world is a namespace of its own, in which the restricted Pod Security Standard is enforced.
type world struct {
	*testing.T
	namespace string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return newSerialWorld(t)
}

// newSerialWorld returns a world of a test that nothing else may run beside.
func newSerialWorld(t *testing.T) *world {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "e2e-",
		Labels:       map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	w := &world{T: t}
	w.create(ns)
	w.namespace = ns.Name
	t.Cleanup(func() {
		if t.Failed() {
			w.explain()
		}
		// The test's own context is done by now.
		_ = cluster.Delete(context.Background(), ns, client.PropagationPolicy(metav1.DeletePropagationBackground))
	})
	return w
}

func (w *world) ok(what string, err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("%s: %v", what, err)
	}
}

func (w *world) create(o client.Object) {
	w.Helper()
	if err := cluster.Create(w.Context(), o); err != nil {
		w.Fatalf("creating %T %s: %v", o, o.GetName(), err)
	}
}

// apply creates the objects of a manifest in the world's namespace.
func (w *world) apply(manifest []byte) {
	w.Helper()
	for doc := range strings.SplitSeq(string(manifest), "\n---\n") {
		cm := &corev1.ConfigMap{}
		if err := yaml.UnmarshalStrict([]byte(doc), cm); err != nil {
			w.Fatalf("reading a manifest: %v", err)
		}
		cm.Namespace = w.namespace
		w.create(cm)
	}
}

// eventually waits until check returns true; otherwise it fails with what check found last.
func (w *world) eventually(what string, within time.Duration, check func() (bool, string)) {
	w.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, found := check()
		if ok {
			return
		}
		select {
		case <-deadline.C:
			w.Fatalf("%s: not within %s; last found: %s", what, within, found)
		case <-tick.C:
		}
	}
}

// explain logs what a person would look at next.
func (w *world) explain() {
	ctx := context.Background()
	runs := &v1alpha1.DbtRunList{}
	_ = cluster.List(ctx, runs, client.InNamespace(w.namespace))
	for _, r := range runs.Items {
		b, _ := yaml.Marshal(r.Status)
		w.Logf("DbtRun %s\n%s", r.Name, b)
	}
	events := &corev1.EventList{}
	_ = cluster.List(ctx, events, client.InNamespace(w.namespace))
	for _, e := range events.Items {
		w.Logf("event %s/%s %s: %s", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
	}
	pods := &corev1.PodList{}
	_ = cluster.List(ctx, pods, client.InNamespace(w.namespace))
	for _, p := range pods.Items {
		w.Logf("pod %s %s\n%s", p.Name, p.Status.Phase, w.log(p.Name, 40))
	}
}

// log returns the last lines that dbt's container printed.
func (w *world) log(pod string, lines int64) string {
	b, err := cluster.logs.CoreV1().Pods(w.namespace).GetLogs(pod, &corev1.PodLogOptions{Container: "dbt", TailLines: &lines}).DoRaw(context.Background())
	if err != nil {
		return err.Error()
	}
	return string(b)
}
