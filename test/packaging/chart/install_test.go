package chart

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/storage/driver"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// patience is how long the API server may take to get to know a CRD, or to forget it.
const patience = 30 * time.Second

// eventually tries something until it comes off.
func eventually(t *testing.T, what string, try func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// clean removes at the end of a test all there is of the chart.
func clean(t *testing.T) {
	t.Cleanup(func() {
		if err := uninstall(t); err != nil && !errors.Is(err, driver.ErrReleaseNotFound) {
			t.Error(err)
		}
		out, err := render(load(t, dir), nil, "v1.37.0", namespace)
		if err != nil {
			t.Fatal(err)
		}
		for what, object := range byName(t, []byte(out.Manifest), "the chart") {
			eventually(t, "deleting "+what, func(ctx context.Context) error {
				// Nobody is here who would take the finalizer off a claim that no pod uses.
				if object.GetKind() == "PersistentVolumeClaim" {
					free := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
					if err := admin.Patch(ctx, object.DeepCopy(), free); client.IgnoreNotFound(err) != nil {
						return err
					}
				}
				err := admin.Delete(ctx, object.DeepCopy())
				if err == nil {
					return errors.New("it is still there")
				}
				return client.IgnoreNotFound(err)
			})
		}
	})
}

// No pod runs here, so nothing is waited for.
const noWait = kube.HookOnlyStrategy

func install(t *testing.T, c *chartv2.Chart, set map[string]any, change ...func(*action.Install)) error {
	t.Helper()
	i := action.NewInstall(helm(t))
	i.ReleaseName, i.Namespace, i.WaitStrategy = release, namespace, noWait
	for _, f := range change {
		f(i)
	}
	_, err := i.Run(c, set)
	return err
}

func upgrade(t *testing.T, c *chartv2.Chart, set map[string]any) error {
	t.Helper()
	u := action.NewUpgrade(helm(t))
	u.Namespace, u.WaitStrategy = namespace, noWait
	_, err := u.Run(release, c, set)
	return err
}

func uninstall(t *testing.T) error {
	t.Helper()
	u := action.NewUninstall(helm(t))
	u.WaitStrategy = noWait
	_, err := u.Run(release)
	return err
}

// earlier returns the chart as a version before it might have been: without a field of DbtRun, and with a role and a
// command line that are no more.
func earlier(t *testing.T) *chartv2.Chart {
	t.Helper()
	c := load(t, dir)
	c.Metadata.Version, c.Metadata.AppVersion = "0.0.9", "v0.0.9"
	edits := map[string][2]string{
		"files/crds/dbtoperator.dev_dbtruns.yaml": {"              ttlSecondsAfterFinished:\n", "              formerly:\n"},
		"templates/deployment.yaml":               {"--leader-elect\n", "--leader-elect\n            - --formerly\n"},
	}
	edited := 0
	for _, files := range [][]*common.File{c.Files, c.Templates} {
		for _, f := range files {
			edit, ok := edits[f.Name]
			if !ok {
				continue
			}
			after := strings.Replace(string(f.Data), edit[0], edit[1], 1)
			if after == string(f.Data) {
				t.Fatalf("%s has no %q", f.Name, edit[0])
			}
			f.Data = []byte(after)
			edited++
		}
	}
	if edited != len(edits) {
		t.Fatalf("%d files were edited, want %d", edited, len(edits))
	}
	c.Templates = append(c.Templates, &common.File{Name: "templates/former.yaml", Data: []byte(
		"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: former\n  namespace: {{ .Release.Namespace }}\n")})
	return c
}

// object gets an object of the server, and reports whether it is there.
func object(t *testing.T, apiVersion, kind, ns, name string) (*unstructured.Unstructured, bool) {
	t.Helper()
	out := &unstructured.Unstructured{}
	out.SetGroupVersionKind(schema.FromAPIVersionAndKind(apiVersion, kind))
	err := admin.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, out)
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return out, err == nil
}

func crdText(t *testing.T) string {
	t.Helper()
	crd, found := object(t, "apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "dbtruns.dbtoperator.dev")
	if !found {
		t.Fatal("the CRD of DbtRun is not there")
	}
	text, err := json.Marshal(crd.Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func args(t *testing.T) string {
	t.Helper()
	deployment, found := object(t, "apps/v1", "Deployment", namespace, "manager")
	if !found {
		t.Fatal("the Deployment is not there")
	}
	containers, _, err := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers")
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

// The life of a release: an older chart is installed, upgraded and uninstalled, which leaves the CRDs and what people made,
// and a later install takes up.
func TestInstallUpgradeUninstall(t *testing.T) {
	clean(t)
	if err := install(t, earlier(t), nil); err != nil {
		t.Fatalf("installing: %v", err)
	}
	if text := crdText(t); !strings.Contains(text, `"formerly":{`) {
		t.Error("the CRD is not that of the earlier chart")
	}
	run := testutil.MakeDbtRun("nightly").Namespace("team-a").Project("shop").Obj()
	made := asObject(t, run)
	eventually(t, "creating a run", func(ctx context.Context) error { return admin.Create(ctx, made) })

	if err := upgrade(t, load(t, dir), nil); err != nil {
		t.Fatalf("upgrading: %v", err)
	}
	if text := crdText(t); strings.Contains(text, `"formerly":{`) || !strings.Contains(text, `"ttlSecondsAfterFinished":{`) {
		t.Error("the upgrade left the CRD as it was")
	}
	if got := args(t); got != "--leader-elect --store=file:///var/lib/dbt-operator" {
		t.Errorf("after the upgrade the manager has the flags %s", got)
	}
	if _, found := object(t, "v1", "ConfigMap", namespace, "former"); found {
		t.Error("the upgrade left an object that is no longer part of the chart")
	}
	same(t, "the upgrade", made)

	if err := uninstall(t); err != nil {
		t.Fatalf("uninstalling: %v", err)
	}
	same(t, "the uninstall", made)
	for _, name := range []string{"dbtruns", "dbtprojects", "dbtschedules"} {
		if _, found := object(t, "apiextensions.k8s.io/v1", "CustomResourceDefinition", "", name+".dbtoperator.dev"); !found {
			t.Errorf("the uninstall took the CRD %s", name)
		}
	}
	if _, found := object(t, "v1", "PersistentVolumeClaim", namespace, "store"); !found {
		t.Error("the uninstall took the claim of the store")
	}
	for kind, of := range map[string][3]string{
		"Deployment": {"apps/v1", namespace, "manager"}, "ClusterRole": {"rbac.authorization.k8s.io/v1", "", "dbt-operator-manager"},
		"ValidatingAdmissionPolicy": {"admissionregistration.k8s.io/v1", "", "dbt-operator-runs"},
		"MutatingAdmissionPolicy":   {"admissionregistration.k8s.io/v1", "", "dbt-operator-stamp-runs"},
		"ServiceAccount":            {"v1", namespace, "manager"},
	} {
		if _, found := object(t, of[0], kind, of[1], of[2]); found {
			t.Errorf("the uninstall left the %s %s", kind, of[2])
		}
	}

	// What stayed is taken up by a release of the same name.
	two := values(t, "{namespaces: [team-a, team-b], collector: {certificateSecret: collector-tls}}")
	if err := install(t, load(t, dir), two); err != nil {
		t.Fatalf("installing again: %v", err)
	}
	same(t, "the second install", made)
	rights(t)
	// Turning the CRDs off leaves them as well.
	if err := upgrade(t, load(t, dir), values(t, "crds: {install: false}")); err != nil {
		t.Fatalf("turning the CRDs off: %v", err)
	}
	same(t, "turning the CRDs off", made)
	if err := uninstall(t); err != nil {
		t.Fatalf("uninstalling again: %v", err)
	}
}

func asObject(t *testing.T, of any) *unstructured.Unstructured {
	t.Helper()
	text, err := json.Marshal(of)
	if err != nil {
		t.Fatal(err)
	}
	out := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, &out.Object); err != nil {
		t.Fatal(err)
	}
	delete(out.Object, "status")
	out.SetAPIVersion("dbtoperator.dev/v1alpha1")
	out.SetKind("DbtRun")
	return out
}

// same checks that a run is there as it was made.
func same(t *testing.T, after string, made *unstructured.Unstructured) {
	t.Helper()
	got, found := object(t, "dbtoperator.dev/v1alpha1", "DbtRun", made.GetNamespace(), made.GetName())
	if !found {
		t.Fatalf("%s took the run", after)
	}
	if diff := cmp.Diff([]any{made.GetUID(), made.Object["spec"]}, []any{got.GetUID(), got.Object["spec"]}); diff != "" {
		t.Errorf("%s changed the run (-before +after):\n%s", after, diff)
	}
}

// rights checks what the operator may do when it works in team-a and team-b.
func rights(t *testing.T) {
	t.Helper()
	for _, tc := range []struct {
		group, resource, verb, ns string
		want                      bool
	}{
		{"batch", "jobs", "create", "team-a", true},
		{"dbtoperator.dev", "dbtruns", "watch", "team-b", true},
		{"batch", "jobs", "create", "default", false},
		{"", "pods", "list", "", false},
		{"authentication.k8s.io", "tokenreviews", "create", "", true},
		{"authorization.k8s.io", "subjectaccessreviews", "create", "", true},
		// Its certificate is given.
		{"", "secrets", "get", namespace, false},
	} {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "system:serviceaccount:" + namespace + ":manager",
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Group: tc.group, Resource: tc.resource, Verb: tc.verb, Namespace: tc.ns, Name: "dbt-operator-collector",
			},
		}}
		if err := admin.Create(t.Context(), review); err != nil {
			t.Fatal(err)
		}
		if review.Status.Allowed != tc.want {
			t.Errorf("whether the operator may %s %s in %q: %v, want %v", tc.verb, tc.resource, tc.ns, review.Status.Allowed, tc.want)
		}
	}
}

// An installation by kubectl is not taken over by accident, and is on demand.
func TestTakesOverAnInstallationByKubectl(t *testing.T) {
	clean(t)
	sa := &unstructured.Unstructured{}
	sa.SetAPIVersion("v1")
	sa.SetKind("ServiceAccount")
	sa.SetNamespace(namespace)
	sa.SetName("manager")
	if err := admin.Create(t.Context(), sa); err != nil {
		t.Fatal(err)
	}
	if err := install(t, load(t, dir), nil); err == nil || !strings.Contains(err.Error(), "invalid ownership metadata") {
		t.Fatalf("it says %v, want a refusal", err)
	}
	if err := install(t, load(t, dir), nil, func(i *action.Install) { i.TakeOwnership = true }); err != nil {
		t.Fatalf("taking over: %v", err)
	}
	if err := uninstall(t); err != nil {
		t.Fatal(err)
	}
}

// Who applies the base again, or has a GitOps tool compare it, finds nothing that differs: what the API server adds by itself is
// written there as well.
func TestBaseAppliedAgainChangesNothing(t *testing.T) {
	clean(t)
	apply := func() string {
		cmd := exec.CommandContext(t.Context(), filepath.Join(env.BinaryAssetsDirectory, "kubectl"), "--kubeconfig", kubeconfig, "apply", "-k", filepath.Join(root, "config", "default"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	apply()
	again := apply()
	for line := range strings.Lines(again) {
		if !strings.HasSuffix(line, " unchanged\n") {
			t.Errorf("applied again: %s", line)
		}
	}
	if n := strings.Count(again, "\n"); n < 20 {
		t.Errorf("%d objects were applied, want at least 20:\n%s", n, again)
	}
}

// The package of a release is the chart, under the release's version, and the same bytes each time.
func TestPackage(t *testing.T) {
	pack := func() string {
		folder := t.TempDir()
		cmd := exec.CommandContext(t.Context(), filepath.Join(root, "hack", "chart.sh"), "package", "v1.2.3", folder)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		return filepath.Join(folder, "dbt-operator-1.2.3.tgz")
	}
	first, second := pack(), pack()
	if a, b := read(t, first), read(t, second); a != b {
		t.Error("packing twice gives different bytes")
	}
	c := load(t, first)
	if c.Metadata.Version != "1.2.3" || c.Metadata.AppVersion != "v1.2.3" {
		t.Errorf("its version is %s, of the operator %s", c.Metadata.Version, c.Metadata.AppVersion)
	}
	want, err := render(load(t, dir), nil, "v1.37.0", namespace)
	if err != nil {
		t.Fatal(err)
	}
	got, err := render(c, nil, "v1.37.0", namespace)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.ReplaceAll(want.Manifest, "dbt-operator:v0.1.0", "dbt-operator:v1.2.3"), got.Manifest); diff != "" {
		t.Errorf("the package makes something else (-folder +package):\n%s", diff)
	}
	for _, f := range c.Raw {
		if strings.HasPrefix(f.Name, "ci/") {
			t.Errorf("%s is in the package", f.Name)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
