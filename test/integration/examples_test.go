package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
	"github.com/dbt-operator/dbt-operator/internal/testutil/manifest"
)

// examples returns the objects of the manifests in a folder below examples, by file.
func examples(t *testing.T, folder string) map[string][]*unstructured.Unstructured {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "..", "examples", folder, "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no manifests in examples/%s (error %v)", folder, err)
	}
	out := map[string][]*unstructured.Unstructured{}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if out[filepath.Base(path)], err = manifest.Objects(content, path); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// accepted has the API server check every object of the examples by a strict dry run: it refuses unknown fields as well.
func accepted(t *testing.T, folder string) map[string][]*unstructured.Unstructured {
	t.Helper()
	files := examples(t, folder)
	for file, objects := range files {
		for _, object := range objects {
			if object.GetNamespace() == "" {
				object.SetNamespace("default")
			} else if err := client.IgnoreAlreadyExists(admin.Create(t.Context(), namespace(object.GetNamespace()))); err != nil {
				t.Fatal(err)
			}
			err := admin.Create(t.Context(), object.DeepCopy(), client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
			if err != nil {
				t.Errorf("%s: %s %s: %v", file, object.GetKind(), object.GetName(), err)
			}
		}
	}
	return files
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func TestWarehouseExamples(t *testing.T) {
	for file, objects := range accepted(t, "warehouses") {
		project := false
		for _, object := range objects {
			project = project || object.GetKind() == "DbtProject"
		}
		if !project {
			t.Errorf("%s holds no DbtProject", file)
		}
	}
}

// What the GitOps example keeps in git is accepted, and has the marker where image automation writes, and no other.
func TestGitOpsExamples(t *testing.T) {
	accepted(t, "gitops/hooks")
	accepted(t, "gitops/apps")
	content, err := os.ReadFile(filepath.Join("..", "..", "examples", "gitops", "apps", "shop.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	markers := regexp.MustCompile(`(?m)^(.*) # (\{"\$imagepolicy": "flux-system:shop"\})$`).FindAllStringSubmatch(string(content), -1)
	if len(markers) != 1 || !strings.HasPrefix(markers[0][1], "  image: registry.example.com/data/shop:") {
		t.Errorf("the markers are %q, want one behind spec.image", markers)
	}
}

// The policies are valid, and those for runs select the pods that the operator makes.
func TestNetworkPolicyExamples(t *testing.T) {
	run := testutil.MakeDbtRun("r").Namespace("default").UID("1").Project("p").Obj()
	job, err := runjob.Build(run, runjob.Resolve(run, testutil.MakeDbtProject("p").Obj(), [][]string{{"build"}}), runjob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for file, objects := range accepted(t, "network-policies") {
		for _, object := range objects {
			selector, _, err := unstructured.NestedStringMap(object.Object, "spec", "podSelector", "matchLabels")
			if err != nil || object.GetKind() != "NetworkPolicy" {
				t.Errorf("%s: %s %s: %v", file, object.GetKind(), object.GetName(), err)
			}
			if file == "runs.yaml" && !labels.SelectorFromSet(selector).Matches(labels.Set(job.Spec.Template.Labels)) {
				t.Errorf("%s: %s selects %v, which the pods of runs (%v) do not have", file, object.GetName(), selector, job.Spec.Template.Labels)
			}
		}
	}
}

// The API server admits the pod of a run that asks for all there is, in a namespace where the restricted Pod Security
// Standard is enforced, with and without a user namespace of its own.
func TestRestrictedNamespaceAdmitsThePod(t *testing.T) {
	ns := namespace("restricted")
	ns.Labels = map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	if err := client.IgnoreAlreadyExists(admin.Create(t.Context(), ns)); err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: ns.Name}}
	if err := client.IgnoreAlreadyExists(admin.Create(t.Context(), account)); err != nil {
		t.Fatal(err)
	}
	for name, hostUsers := range map[string]*bool{"unset": nil, "false": testutil.Ptr(false), "true": testutil.Ptr(true)} {
		project := testutil.MakeDbtProject("p").Git("https://git.example.com/x.git").GitSecret("git").
			Token("warehouse", "warehouse.example.com", 900).Pod(v1alpha1.PodSettings{HostUsers: hostUsers}).Obj()
		run := testutil.MakeDbtRun("r").Namespace(ns.Name).UID("1").Project("p").Obj()
		job, err := runjob.Build(run, runjob.Resolve(run, project, [][]string{{"build"}}),
			runjob.Options{OperatorImage: "registry.example.com/o:1", Delivery: runjob.DeliverByInitContainer})
		if err != nil {
			t.Fatal(err)
		}
		pod := podOf(job)
		if err := admin.Create(t.Context(), pod, client.DryRunAll); err != nil {
			t.Errorf("hostUsers %s: %v", name, err)
		}
		if got := pod.Spec.HostUsers; hostUsers != nil && (got == nil || *got != *hostUsers) {
			t.Errorf("hostUsers %s: the API server has %v", name, got)
		}
	}
	// The standard is really enforced: a pod without the operator's care is refused.
	plain := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "plain", Namespace: ns.Name}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "c", Image: "registry.example.com/i:1"}},
	}}
	if err := admin.Create(t.Context(), plain, client.DryRunAll); err == nil {
		t.Error("a pod that asks for no hardening is admitted: the standard is not enforced, and the test proves nothing")
	}
}

func podOf(job *batchv1.Job) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: job.Namespace, Labels: job.Spec.Template.Labels},
		Spec:       job.Spec.Template.Spec,
	}
}
