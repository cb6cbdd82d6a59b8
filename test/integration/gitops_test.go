package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbt-operator/dbt-operator/internal/testutil"
	"github.com/dbt-operator/dbt-operator/internal/testutil/manifest"
)

// The samples can be kept by GitOps: what the operator and the policies write is nothing that another apply takes back or
// stumbles over, be it by the tool that applied first or by another.
func TestSamplesUnderGitOps(t *testing.T) {
	w := newWorld(t)
	files, err := filepath.Glob(filepath.Join(configDir("samples"), "*.yaml"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%v, %v", files, err)
	}
	var args []string
	var own []*unstructured.Unstructured
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		args = append(args, "--filename", file)
		content, err := os.ReadFile(file)
		w.must(err)
		objects, err := manifest.Objects(content, file)
		w.must(err)
		for _, object := range objects {
			if object.GroupVersionKind().Group == "dbtoperator.dev" {
				own = append(own, object)
			}
		}
	}
	if len(own) < 10 {
		t.Fatalf("the samples hold %d objects of the operator's kinds", len(own))
	}
	apply := func(manager string) {
		t.Helper()
		if out, err := w.kubectl(append([]string{"apply", "--server-side", "--field-manager", manager}, args...)...); err != nil {
			t.Errorf("applying as %s: %v\n%s", manager, err, out)
		}
	}
	same := func(how ...string) {
		t.Helper()
		if out, err := w.kubectl(append(append([]string{"diff"}, how...), args...)...); err != nil || out != "" {
			t.Errorf("kubectl diff %v: %v\n%s", how, err, out)
		}
	}

	apply("argocd-controller")
	for _, object := range own {
		w.seen(object)
	}
	same("--server-side", "--field-manager", "argocd-controller")
	apply("kustomize-controller")
	apply("argocd-controller")
	same("--server-side", "--field-manager", "kustomize-controller")
	same()
}

// The command that docs/gitops.md shows gives Argo CD the scripts, and leaves what else it has.
func TestArgoCDTakesThePatch(t *testing.T) {
	w := newWorld(t)
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "argocd-cm"}, Data: map[string]string{"url": "https://argocd.example.com"}}
	w.must(admin.Create(t.Context(), cm))
	if out, err := w.kubectl("patch", "configmap", "argocd-cm", "--patch-file", filepath.Join(configDir("argocd"), "argocd-cm.yaml")); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w.must(admin.Get(t.Context(), client.ObjectKeyFromObject(cm), cm))
	if cm.Data["url"] == "" || len(cm.Data) != 4 {
		t.Errorf("it holds %v", cm.Data)
	}
}

// kubectl runs kubectl as an administrator in the world's namespace, and returns what it printed and how it ended.
func (w *world) kubectl(args ...string) (string, error) {
	w.Helper()
	kubeconfig := filepath.Join(w.TempDir(), "kubeconfig")
	w.must(os.WriteFile(kubeconfig, env.KubeConfig, 0o600))
	cmd := exec.CommandContext(w.Context(), filepath.Join(env.BinaryAssetsDirectory, "kubectl"), append([]string{"--kubeconfig", kubeconfig, "--namespace", w.ns}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// seen waits until the operator has seen an object.
func (w *world) seen(object *unstructured.Unstructured) {
	w.Helper()
	object = object.DeepCopy()
	object.SetNamespace(w.ns)
	testutil.Eventually(w, "the operator has seen "+object.GetKind()+" "+object.GetName(), patience, func() (bool, string) {
		if err := admin.Get(w.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			return false, err.Error()
		}
		observed, _, err := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
		return observed == object.GetGeneration(), fmt.Sprint(object.Object["status"], err)
	})
}
