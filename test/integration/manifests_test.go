package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dbt-operator/dbt-operator/internal/testutil/manifest"
)

// built returns the objects of a kustomization by kind and name.
func built(t *testing.T, dir string) map[string]*unstructured.Unstructured {
	t.Helper()
	content, err := kustomize(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := manifest.Objects(content, dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*unstructured.Unstructured{}
	for _, object := range objects {
		out[object.GetKind()+"/"+object.GetName()] = object
	}
	return out
}

func configDir(folder string) string { return filepath.Join("..", "..", "config", folder) }

// An installation has the policies, both halves or, on clusters that cannot stamp, one; they fail closed and are bound.
func TestInstallationsHaveThePolicies(t *testing.T) {
	validating := []string{"ValidatingAdmissionPolicy/dbt-operator-projects", "ValidatingAdmissionPolicy/dbt-operator-runs", "ValidatingAdmissionPolicy/dbt-operator-schedules"}
	stamping := []string{"MutatingAdmissionPolicy/dbt-operator-stamp-authors", "MutatingAdmissionPolicy/dbt-operator-stamp-runs"}
	for folder, want := range map[string][]string{
		"default": append(slices.Clone(stamping), validating...), "local": append(slices.Clone(stamping), validating...), "before-1.36": validating,
	} {
		objects := built(t, configDir(folder))
		var got []string
		for name, object := range objects {
			kind, _, _ := strings.Cut(name, "/")
			if !strings.HasSuffix(kind, "AdmissionPolicy") {
				continue
			}
			got = append(got, name)
			if policy, _, _ := unstructured.NestedString(object.Object, "spec", "failurePolicy"); policy != "Fail" {
				t.Errorf("config/%s: %s has failurePolicy %q", folder, name, policy)
			}
			binding := objects[kind+"Binding/"+object.GetName()]
			if binding == nil {
				t.Errorf("config/%s: %s is not bound", folder, name)
				continue
			}
			if actions, _, _ := unstructured.NestedStringSlice(binding.Object, "spec", "validationActions"); kind == "ValidatingAdmissionPolicy" && !slices.Equal(actions, []string{"Deny"}) {
				t.Errorf("config/%s: %s has the actions %v", folder, name, actions)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("config/%s has %v, want %v", folder, got, want)
		}
	}
}

// The operator's account is named where the policies say so, and by the replacement of docs/install.md in another
// namespace.
func TestPoliciesNameTheOperator(t *testing.T) {
	named := func(objects map[string]*unstructured.Unstructured) map[string]string {
		out := map[string]string{}
		for name, object := range objects {
			variables, _, _ := unstructured.NestedSlice(object.Object, "spec", "variables")
			for _, v := range variables {
				if m, ok := v.(map[string]any); ok && m["name"] == "operators" {
					out[name], _ = m["expression"].(string)
				}
			}
		}
		return out
	}
	want := []string{"MutatingAdmissionPolicy/dbt-operator-stamp-runs", "ValidatingAdmissionPolicy/dbt-operator-runs"}
	check := func(what string, objects map[string]*unstructured.Unstructured, account string) {
		got := named(objects)
		if len(got) != len(want) {
			t.Errorf("%s: %v", what, got)
		}
		for _, name := range want {
			if got[name] != "['"+account+"']" {
				t.Errorf("%s: %s names %s, want %s", what, name, got[name], account)
			}
		}
	}
	check("default", built(t, configDir("default")), account)
	// The kustomization that the page shows, on top of this folder's config/default.
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "install.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "# kustomization.yaml, in another namespace\n")
	shown, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("docs/install.md shows no kustomization in another namespace")
	}
	dir, err := os.MkdirTemp(".", "tmp-overlay-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	shown = strings.Replace(shown, "https://github.com/dbt-operator/dbt-operator//config/default?ref=main", "../../../config/default", 1)
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(shown), 0o600); err != nil {
		t.Fatal(err)
	}
	check("another namespace", built(t, dir), "system:serviceaccount:data-platform:manager")
}

// The installations of examples/several-managers have nothing in common but what the first brings for all, and the policies
// know the account of each.
func TestSeveralManagers(t *testing.T) {
	folder := filepath.Join("..", "..", "examples", "several-managers")
	first, blue := built(t, filepath.Join(folder, "first")), built(t, filepath.Join(folder, "blue"))
	for name, object := range blue {
		if there := first[name]; there != nil && there.GetNamespace() == object.GetNamespace() {
			t.Errorf("%s %s/%s is in both", object.GetKind(), object.GetNamespace(), object.GetName())
		}
	}
	for _, name := range []string{"MutatingAdmissionPolicy/dbt-operator-stamp-runs", "ValidatingAdmissionPolicy/dbt-operator-runs"} {
		variables, _, _ := unstructured.NestedSlice(first[name].Object, "spec", "variables")
		for _, objects := range []map[string]*unstructured.Unstructured{first, blue} {
			want := "'system:serviceaccount:" + objects["ServiceAccount/manager"].GetNamespace() + ":manager'"
			if got := fmt.Sprint(variables[0]); !strings.Contains(got, want) {
				t.Errorf("%s does not know %s: %s", name, want, got)
			}
		}
	}
	for role, objects := range map[string]map[string]*unstructured.Unstructured{"dbt-operator-manager": first, "dbt-operator-manager-blue": blue} {
		subjects, _, _ := unstructured.NestedSlice(objects["ClusterRoleBinding/"+role].Object, "subjects")
		if got, want := fmt.Sprint(subjects), objects["ServiceAccount/manager"].GetNamespace(); !strings.Contains(got, want) {
			t.Errorf("%s is for %s, want the account of %s", role, got, want)
		}
	}
}

// Plain kubectl apply keeps the whole object in an annotation, which holds no more.
func TestCRDsAreSmallEnoughToApply(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(configDir("crd"), "bases", "*.yaml"))
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() >= 256<<10 {
			t.Errorf("%s has %d bytes, at most %d may be applied", file, info.Size(), 256<<10)
		}
	}
}
