package chart

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	releasev1 "helm.sh/helm/v4/pkg/release/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbt-operator/dbt-operator/internal/testutil/manifest"
)

// render returns what the chart makes of values, without a server, for a version of Kubernetes.
func render(c *chartv2.Chart, set map[string]any, version, ns string) (*releasev1.Release, error) {
	kube, err := common.ParseKubeVersion(version)
	if err != nil {
		return nil, err
	}
	i := action.NewInstall(action.NewConfiguration())
	i.DryRunStrategy, i.ReleaseName, i.Namespace, i.KubeVersion = action.DryRunClient, release, ns, kube
	out, err := i.Run(c, set)
	if err != nil {
		return nil, err
	}
	return out.(*releasev1.Release), nil //nolint:forcetypeassert // of a v2 chart comes a v1 release
}

// byName returns objects by kind, namespace and name.
func byName(t *testing.T, content []byte, of string) map[string]*unstructured.Unstructured {
	t.Helper()
	objects, err := manifest.Objects(content, of)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*unstructured.Unstructured{}
	for _, object := range objects {
		name := object.GetKind() + " " + object.GetNamespace() + "/" + object.GetName()
		if out[name] != nil {
			t.Errorf("%s has %s twice", of, name)
		}
		out[name] = object
	}
	return out
}

func rendered(t *testing.T, set map[string]any) map[string]*unstructured.Unstructured {
	t.Helper()
	out, err := render(load(t, dir), set, "v1.37.0", namespace)
	if err != nil {
		t.Fatal(err)
	}
	return byName(t, []byte(out.Manifest), "the chart")
}

func kustomized(t *testing.T, folder string) map[string]*unstructured.Unstructured {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(env.BinaryAssetsDirectory, "kubectl"), "kustomize", filepath.Join(root, "config", folder))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return byName(t, out, "config/"+folder)
}

// unfolded makes one space of any in the expressions of policies: kustomize doubles some of the line ends in a folded text.
func unfolded(of any) {
	switch v := of.(type) {
	case []any:
		for _, each := range v {
			unfolded(each)
		}
	case map[string]any:
		for key, each := range v {
			if text, ok := each.(string); ok && (key == "expression" || key == "messageExpression") {
				v[key] = strings.Join(strings.Fields(text), " ")
			}
			unfolded(each)
		}
	}
}

// What the chart makes is what config/default makes, but for what Helm needs, all of which is here.
func TestValuesMakeWhatConfigMakes(t *testing.T) {
	for folder, set := range map[string]map[string]any{
		"default":     {},
		"before-1.36": combinations(t)["before-1.36-values.yaml"],
	} {
		t.Run(folder, func(t *testing.T) {
			want, got := kustomized(t, folder), rendered(t, set)
			// Helm keeps its own record in the release's namespace, which therefore is there first: `--create-namespace`.
			if want["Namespace /"+namespace] == nil {
				t.Error("there is no namespace to leave out")
			}
			delete(want, "Namespace /"+namespace)
			// What stays at uninstall says so.
			for _, name := range []string{
				"CustomResourceDefinition /dbtprojects.dbtoperator.dev", "CustomResourceDefinition /dbtruns.dbtoperator.dev",
				"CustomResourceDefinition /dbtschedules.dbtoperator.dev", "PersistentVolumeClaim " + namespace + "/store",
			} {
				if want[name] == nil {
					t.Fatalf("config/%s has no %s", folder, name)
				}
				annotations := want[name].GetAnnotations()
				if annotations == nil {
					annotations = map[string]string{}
				}
				annotations["helm.sh/resource-policy"] = "keep"
				want[name].SetAnnotations(annotations)
			}
			for _, objects := range []map[string]*unstructured.Unstructured{want, got} {
				for _, object := range objects {
					if strings.HasSuffix(object.GetKind(), "AdmissionPolicy") {
						unfolded(object.Object)
					}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("config/%s and the chart differ (-config +chart):\n%s", folder, diff)
			}
		})
	}
}

func TestLint(t *testing.T) {
	kube, err := common.ParseKubeVersion("v1.37.0")
	if err != nil {
		t.Fatal(err)
	}
	for name, set := range combinations(t) {
		l := action.NewLint()
		l.Strict, l.Namespace, l.KubeVersion = true, namespace, kube
		for _, message := range l.Run([]string{dir}, set).Messages {
			// It says that there should be an icon.
			if !strings.Contains(message.Error(), "icon is recommended") {
				t.Errorf("%s: %v", name, message)
			}
		}
	}
}

// An API server takes every object that the chart makes, to the last field, and the manager's pod is what the values say.
func TestServerTakesWhatIsMade(t *testing.T) {
	strict := client.WithFieldValidation(admin, metav1.FieldValidationStrict)
	for name, set := range combinations(t) {
		t.Run(name, func(t *testing.T) {
			for what, object := range rendered(t, set) {
				// An apply, as another test may have left what is kept.
				if err := strict.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("test"), client.ForceOwnership, client.DryRunAll); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// Each value has its effect.
func TestEffectsOfValues(t *testing.T) {
	set := combinations(t)
	tests := map[string]struct {
		values map[string]any
		args   []string
		has    []string
		hasNot []string
		// holds are texts of the Deployment as JSON.
		holds []string
	}{
		"Default": {
			args:   []string{"--leader-elect", "--store=file:///var/lib/dbt-operator"},
			has:    []string{"ClusterRoleBinding /dbt-operator-manager", "Role " + namespace + "/collector", "Service " + namespace + "/metrics"},
			hasNot: []string{"RoleBinding team-a/dbt-operator-manager"},
			holds:  []string{`"claimName":"store"`, `"value":"460MiB"`, `"type":"Recreate"`},
		},
		"Bucket": {
			values: set["bucket-values.yaml"],
			args:   []string{"--leader-elect", "--store=s3://dbt-runs?region=eu-west-1", "--retention-age=168h", "--workers=8"},
			hasNot: []string{"PersistentVolumeClaim " + namespace + "/store"},
			holds:  []string{`"replicas":2`, `{"name":"AWS_REGION","value":"eu-west-1"}`},
		},
		"Everything": {
			values: set["everything-values.yaml"],
			args: []string{
				"--leader-elect", "--store=file:///var/lib/dbt-operator", "--runner-delivery=image-volume", "--namespaces=team-a,team-b",
				"--collector-url=https://dbt.example.com:9443", "--collector-cert-dir=/etc/dbt-operator/collector",
				"--openlineage-url=https://lineage.example.com", "--openlineage-cluster=production",
				"--openlineage-dataset-namespace=postgres://warehouse.example.com:5432", "--openlineage-token-file=/etc/dbt-operator/openlineage/api-key",
			},
			has:    []string{"RoleBinding team-a/dbt-operator-manager", "RoleBinding team-b/dbt-operator-manager", "ClusterRoleBinding /dbt-operator-metrics-auth"},
			hasNot: []string{"ClusterRoleBinding /dbt-operator-manager", "Role " + namespace + "/collector"},
			holds: []string{
				`"image":"registry.example.com/dbt-operator@sha256:9f86`, `{"name":"RUNNER_IMAGE","value":"registry.example.com/dbt-operator@sha256:9f86`,
				`"value":"1843MiB"`, `"secretName":"collector-tls"`, `"secretName":"lineage"`, `"imagePullSecrets":[{"name":"registry"}]`,
				`"imagePullPolicy":"IfNotPresent"`, `"priorityClassName":"system-cluster-critical"`, `"nodeSelector":{"kubernetes.io/os":"linux"}`,
				`"tolerations":[{"effect":"NoSchedule"`, `"nodeAffinity":`, `"example.com/owner":"data-platform"`, `"example.com/cost-center":"42"`,
			},
		},
		"ExistingClaim": {
			values: set["existing-claim-values.yaml"],
			args:   []string{"--leader-elect", "--store=file:///var/lib/dbt-operator"},
			hasNot: []string{"PersistentVolumeClaim " + namespace + "/store"},
			holds:  []string{`"claimName":"runs"`},
		},
		"NothingKept": {
			values: set["nothing-kept-values.yaml"],
			args:   []string{"--leader-elect", "--metrics-bind-address=0"},
			hasNot: []string{
				"PersistentVolumeClaim " + namespace + "/store", "Service " + namespace + "/collector", "Service " + namespace + "/metrics",
				"CustomResourceDefinition /dbtruns.dbtoperator.dev", "ValidatingAdmissionPolicy /dbt-operator-runs", "MutatingAdmissionPolicy /dbt-operator-stamp-runs",
				"Role " + namespace + "/collector",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			objects := rendered(t, tc.values)
			deployment := objects["Deployment "+namespace+"/manager"]
			containers, _, err := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers")
			if err != nil || len(containers) != 1 {
				t.Fatalf("%v, %v", containers, err)
			}
			args, _, err := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
			if err != nil || !slices.Equal(args, tc.args) {
				t.Errorf("args are %q, want %q", args, tc.args)
			}
			for _, each := range tc.has {
				if objects[each] == nil {
					t.Errorf("there is no %s", each)
				}
			}
			for _, each := range tc.hasNot {
				if objects[each] != nil {
					t.Errorf("there is a %s", each)
				}
			}
			text, err := deployment.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			for _, each := range tc.holds {
				if !strings.Contains(string(text), each) {
					t.Errorf("the Deployment has no %s: %s", each, text)
				}
			}
		})
	}
}

// What Prometheus and Grafana are given is what config holds, with the labels that theirs select by.
func TestMonitoring(t *testing.T) {
	objects := rendered(t, values(t, "metrics: {serviceMonitor: true, rules: true, dashboard: true, labels: {release: prometheus}}"))
	for file, kind := range map[string]string{"servicemonitor.yaml": "ServiceMonitor", "rules.yaml": "PrometheusRule"} {
		want := byName(t, []byte(read(t, filepath.Join(root, "config", "prometheus", file))), file)[kind+" "+namespace+"/dbt-operator"]
		got := objects[kind+" "+namespace+"/dbt-operator"]
		if want == nil || got == nil {
			t.Fatalf("%s: want %v, got %v", file, want, got)
		}
		set := want.GetLabels()
		set["release"] = "prometheus"
		want.SetLabels(set)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s and the chart differ (-config +chart):\n%s", file, diff)
		}
	}
	dashboard := objects["ConfigMap "+namespace+"/dbt-operator-dashboard"]
	content, _, err := unstructured.NestedString(dashboard.Object, "data", "dbt-operator.json")
	if want := read(t, filepath.Join(root, "config", "grafana", "dashboard.json")); err != nil || strings.TrimSpace(content) != strings.TrimSpace(want) {
		t.Errorf("the dashboard is not that of config/grafana (%v)", err)
	}
	if dashboard.GetLabels()["grafana_dashboard"] != "1" || dashboard.GetLabels()["release"] != "prometheus" {
		t.Errorf("the dashboard has the labels %v", dashboard.GetLabels())
	}
}

// The policies know the operator's account in whatever namespace it is.
func TestAnotherNamespace(t *testing.T) {
	out, err := render(load(t, dir), nil, "v1.37.0", "data-platform")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.Manifest, namespace) {
		t.Errorf("the manifest speaks of %s", namespace)
	}
	if n := strings.Count(out.Manifest, "'system:serviceaccount:data-platform:manager'"); n != 2 {
		t.Errorf("%d policies name the operator's account, want 2", n)
	}
}

func TestRefusals(t *testing.T) {
	tests := map[string]struct {
		values  string
		version string
		want    []string
	}{
		"UnknownKey":        {values: "replicaCount: 2", want: []string{"dbt-operator:", "additional properties 'replicaCount' not allowed"}},
		"UnknownKeyBelow":   {values: "store: {volume: {class: fast}}", want: []string{"at '/store/volume'", "additional properties 'class' not allowed"}},
		"WrongKind":         {values: "store: {kind: S3}", want: []string{"at '/store/kind'", "'Volume', 'Bucket', 'None'"}},
		"WrongType":         {values: "namespaces: team-a", want: []string{"at '/namespaces'", "want array"}},
		"WrongDelivery":     {values: "runner: {delivery: image}", want: []string{"at '/runner/delivery'", "'init-container', 'image-volume'"}},
		"BucketWithoutURL":  {values: "store: {kind: Bucket}", want: []string{"store.url is not set", "s3://"}},
		"URLWithoutBucket":  {values: "store: {url: 's3://runs'}", want: []string{"store.kind is Volume", "set store.kind to Bucket"}},
		"ReplicasOnAVolume": {values: "replicas: 2", want: []string{"replicas is 2", "ReadWriteMany"}},
		"LineageOfNothing":  {values: "{store: {kind: None}, openLineage: {url: 'https://lineage.example.com'}}", want: []string{"openLineage.url needs a store"}},
		"StampingTooEarly":  {values: "{}", version: "v1.35.2", want: []string{"Kubernetes v1.35.2", "set policies.stamping to false"}},
		"RulesOfNothing":    {values: "metrics: {enabled: false, rules: true}", want: []string{"metrics.rules needs metrics.enabled"}},
		"TooOld":            {values: "policies: {stamping: false}", version: "v1.32.9", want: []string{">=1.33.0-0"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.version == "" {
				tc.version = "v1.37.0"
			}
			_, err := render(load(t, dir), values(t, tc.values), tc.version, namespace)
			if err == nil {
				t.Fatal("it is taken")
			}
			for _, each := range tc.want {
				if !strings.Contains(err.Error(), each) {
					t.Errorf("it says %q, want %q in it", err, each)
				}
			}
		})
	}
}

func TestNotes(t *testing.T) {
	for text, want := range map[string]string{
		"{}":                           "dbt-operator v0.1.0 runs in namespace " + namespace + ".",
		"namespaces: [team-a, team-b]": "for namespaces team-a, team-b.",
		"store: {kind: None}":          "Nothing of a run is kept",
		"policies: {stamping: false}":  "Nobody is stamped",
		"policies: {stamping: false, validating: false}": "The policies are off",
	} {
		out, err := render(load(t, dir), values(t, text), "v1.37.0", namespace)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.Info.Notes, want) {
			t.Errorf("%s: no %q in:\n%s", text, want, out.Info.Notes)
		}
	}
}
