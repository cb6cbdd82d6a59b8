package runjob_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// Set UPDATE_GOLDEN=1 to write testdata anew, and read the diff.
func golden(t *testing.T, name string, object any) {
	t.Helper()
	got, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name+".yaml")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestBuild(t *testing.T) {
	byImage := runjob.Options{OperatorImage: "registry.example.com/dbt-operator:1", Delivery: runjob.DeliverByImageVolume}
	byInit := byImage
	byInit.Delivery = runjob.DeliverByInitContainer
	reporting := byInit
	reporting.Collector = &plan.Collector{URL: "https://collector.dbt-operator-system.svc:9443", CA: "-----BEGIN CERTIFICATE-----\n"}
	run := func() *testutil.RunWrapper {
		return testutil.MakeDbtRun("nightly").Namespace("analytics").UID("11111111-2222-3333-4444-555555555555").Project("shop")
	}
	project := func() *testutil.ProjectWrapper { return testutil.MakeDbtProject("shop").Generation(3) }
	everything := project().Git("https://git.example.com/shop.git").Ref(v1alpha1.GitRef{Tag: "v2"}).Path("dbt").GitSecret("git").
		Target("prod").ProfilesSecret("profiles", "prod.yml").Env("A", "b").EnvSecret("DBT_ENV_SECRET_PASSWORD", "warehouse", "password").
		Token("snowflake", "snowflakecomputing.com", 900).Token("aws", plan.AWSAudience, 3600).
		Volume(v1alpha1.Volume{Name: "keys", MountPath: "/keys", Secret: &v1alpha1.LocalObjectReference{Name: "keys"}}).
		Volume(v1alpha1.Volume{Name: "ca", MountPath: "/ca", ConfigMap: &v1alpha1.LocalObjectReference{Name: "ca"}}).
		Volume(v1alpha1.Volume{Name: "duckdb", MountPath: "/duckdb", PersistentVolumeClaim: &v1alpha1.LocalObjectReference{Name: "duckdb"}}).
		Volume(v1alpha1.Volume{Name: "scratch", MountPath: "/scratch", EmptyDir: &v1alpha1.EmptyDirVolume{SizeLimit: resource.MustParse("2Gi")}}).
		Volume(v1alpha1.Volume{Name: "macros", MountPath: "/macros", Image: &v1alpha1.ImageVolume{Reference: "registry.example.com/macros:1"}}).
		Queue("team-a").
		Pod(v1alpha1.PodSettings{
			Labels: map[string]string{"example.com/team": "a"}, Annotations: map[string]string{"example.com/cost": "7"},
			NodeSelector: map[string]string{"pool": "dbt"}, PriorityClassName: "batch",
			ImagePullSecrets:              []v1alpha1.LocalObjectReference{{Name: "pull"}},
			Resources:                     corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}},
			Tolerations:                   []corev1.Toleration{{Key: "dbt", Operator: corev1.TolerationOpExists}},
			TerminationGracePeriodSeconds: testutil.Ptr[int64](120),
			HostUsers:                     testutil.Ptr(false),
		})
	neverParsed := project().Git("https://git.example.com/shop.git")
	neverParsed.Spec.PartialParse = v1alpha1.PartialParseNever
	everything.Spec.EnvFrom = []corev1.EnvFromSource{
		{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "warehouse"}}},
		{Prefix: "DBT_ENV_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}, Optional: testutil.Ptr(true)}},
	}
	everything.Spec.Threads = testutil.Ptr[int32](8)
	everything.Spec.LogFormat = v1alpha1.LogJSON
	everything.Spec.Deps = v1alpha1.DepsNever
	everything.Spec.ServiceAccountName = "jaffle"
	for name, c := range map[string]struct {
		reason  string
		run     *testutil.RunWrapper
		project *testutil.ProjectWrapper
		opts    runjob.Options
	}{
		"baked-image-volume":   {"the least there is: no init container", run(), project(), byImage},
		"baked-init-container": {"the runner is copied", run(), project(), byInit},
		"configmap":            {"no init container, files in folders", run(), project().ConfigMap("shop", v1alpha1.KeyToPath{Key: "a", Path: "models/a.sql"}), byImage},
		"git-anonymous":        {"dbt's container fetches itself", run().Revision("refs/pull/1/head"), project().Git("https://git.example.com/shop.git"), byImage},
		"everything-init":      {"every field", run().Command("dbt seed", `run --vars '{"a": 1}'`).Var("b", `[1]`).Target("ci").Timeout(600).StartTimeout(60).TTL(3600).RetryPods(1), everything, byInit},
		"reporting":            {"a token of its own for the collector, in prepare too", run().RetryNodes(2, 60).ResumeFrom("before").RequestedBy("ada@example.com", "finance"), project().Git("https://git.example.com/shop.git").GitSecret("git"), reporting},
		"state":                {"what it is made of, and whose manifest it gets, is written on it", run().Target("ci").State("prod"), project().UID("shop-1").Git("https://git.example.com/shop.git"), reporting},
		"warm-fork":            {"it uses caches and puts none", run().Revision("refs/pull/1/head"), neverParsed, reporting},
		"tokens": {"one file each, readable by dbt's group; the plan says how they are handed on, and no value is anywhere", run().Timeout(900), project().
			TokenBy(v1alpha1.Token{Name: "file", Audience: "sts.amazonaws.com", Delivery: v1alpha1.TokenFile}).
			TokenBy(v1alpha1.Token{Name: "env", Audience: "snowflakecomputing.com", ExpirationSeconds: testutil.Ptr[int64](900), Delivery: v1alpha1.TokenEnv, Env: "DBT_ENV_SECRET_TOKEN"}).
			TokenBy(v1alpha1.Token{Name: "postgres", Audience: "postgres.warehouse", Delivery: v1alpha1.TokenPGPassFile, Host: "postgres.warehouse.svc"}), byImage},
		"everything-image": {"credentials ask for an init container even so", run(), everything, byImage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(c.reason)
			r, p := c.run.Obj(), c.project.Obj()
			words := [][]string{{"build"}}
			resolved := runjob.Resolve(r, p, words)
			if r.Spec.State == v1alpha1.StateAuto {
				resolved.State = &v1alpha1.StateStatus{Target: r.Spec.StateTarget, Run: "nightly", UID: "n", ManifestDigest: "sha256:1"}
			}
			job, err := runjob.Build(r, resolved, c.opts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.run.Obj(), r) + cmp.Diff(c.project.Obj(), p); diff != "" {
				t.Errorf("the input was changed (-before +after):\n%s", diff)
			}
			golden(t, name, job)
			hardened(t, &job.Spec.Template.Spec)
			// Nothing of the Job may share memory with the project, which lies in the cache.
			for _, k := range []map[string]string{job.Spec.Template.Spec.NodeSelector, job.Spec.Template.Labels, job.Spec.Template.Annotations} {
				if k != nil {
					k["changed"] = "by a test"
				}
			}
			if diff := cmp.Diff(c.project.Obj(), p); diff != "" {
				t.Errorf("the Job shares memory with the project:\n%s", diff)
			}
		})
	}
}

// hardened checks guarantee 9 on every container, and that git's credentials are in none that runs dbt.
func hardened(t *testing.T, pod *corev1.PodSpec) {
	t.Helper()
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Error("the API token is mounted")
	}
	for _, c := range append(append([]corev1.Container{}, pod.InitContainers...), pod.Containers...) {
		s := c.SecurityContext
		if s == nil || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || len(s.Capabilities.Drop) != 1 {
			t.Errorf("container %s is not hardened: %+v", c.Name, s)
		}
		for _, m := range c.VolumeMounts {
			if m.MountPath == plan.GitCredentialsDir && c.Name != runjob.PrepareContainerName {
				t.Errorf("container %s sees git's credentials", c.Name)
			}
		}
	}
	for _, v := range pod.Volumes {
		if v.HostPath != nil || v.EmptyDir != nil && v.EmptyDir.SizeLimit == nil {
			t.Errorf("volume %s is of the host or without a bound", v.Name)
		}
	}
}

// Kubernetes expands $(NAME) and $$ in the values of variables. What a user wrote must reach the runner as it is, and a
// variable of the container, which may be a Secret's, must not get into it.
func TestPlanIsNotExpanded(t *testing.T) {
	run := testutil.MakeDbtRun("r").Project("shop").Var("a", `"$(PASSWORD) $$5"`).Obj()
	words := [][]string{{"build", "--select", "$(PASSWORD)"}}
	job, err := runjob.Build(run, runjob.Resolve(run, testutil.MakeDbtProject("shop").EnvSecret("PASSWORD", "s", "k").Obj(), words), runjob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range job.Spec.Template.Spec.Containers[0].Env {
		if e.Name != plan.EnvVar {
			continue
		}
		if strings.Contains(e.Value, "$") {
			t.Errorf("Kubernetes may expand %s", e.Value)
		}
		p, err := plan.Decode(e.Value)
		if err != nil {
			t.Fatal(err)
		}
		var vars map[string]string
		if err := json.Unmarshal(p.Vars, &vars); err != nil {
			t.Fatal(err)
		}
		if vars["a"] != "$(PASSWORD) $$5" || p.Commands[0][2] != "$(PASSWORD)" {
			t.Errorf("the plan holds %q and %q", vars["a"], p.Commands[0])
		}
	}
}

// The tick of a scheduled run reaches the runner; a run of somebody's own has none.
func TestPlanHasTheScheduledTime(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 11, 24, 7, 0, 0, 0, time.FixedZone("", 3600)))
	for want, trigger := range map[string]*v1alpha1.Trigger{
		"2026-11-24T06:00:00Z": {Type: v1alpha1.TriggerSchedule, ScheduledTime: &at},
		"":                     {Type: v1alpha1.TriggerManual},
	} {
		run := testutil.MakeDbtRun("r").Project("shop").Obj()
		run.Spec.Trigger = trigger
		job, err := runjob.Build(run, runjob.Resolve(run, testutil.MakeDbtProject("shop").Obj(), [][]string{{"build"}}), runjob.Options{})
		if err != nil {
			t.Fatal(err)
		}
		env := job.Spec.Template.Spec.Containers[0].Env
		p, err := plan.Decode(env[len(env)-1].Value)
		if err != nil || p.Run.ScheduledTime != want {
			t.Errorf("got %q, %v; want %q", p.Run.ScheduledTime, err, want)
		}
	}
}

func TestBuildRefusesBrokenVars(t *testing.T) {
	run := testutil.MakeDbtRun("r").Project("shop").Var("a", `{`).Obj()
	_, err := runjob.Build(run, runjob.Resolve(run, testutil.MakeDbtProject("shop").Obj(), nil), runjob.Options{})
	if err == nil || !strings.Contains(err.Error(), "spec.vars[a]") {
		t.Errorf("got %v, want an error that names spec.vars[a]", err)
	}
}

// A variable that no process can be started with is refused before there is a Job: kubelet would try it again and again.
func TestBuildRefusesWhatNoProcessTakes(t *testing.T) {
	build := func(bytes int) error {
		run := testutil.MakeDbtRun("r").Project("shop").Var("a", `"`+strings.Repeat("x", bytes)+`"`).Obj()
		_, err := runjob.Build(run, runjob.Resolve(run, testutil.MakeDbtProject("shop").Obj(), nil), runjob.Options{})
		return err
	}
	if err := build(120 << 10); err != nil {
		t.Error(err)
	}
	if err := build(128 << 10); err == nil || !strings.Contains(err.Error(), "vars has 131080 bytes") || !strings.Contains(err.Error(), "a process takes 131072 at most") {
		t.Errorf("got %v", err)
	}
}

func TestResolve(t *testing.T) {
	run := func() *testutil.RunWrapper { return testutil.MakeDbtRun("r").Project("shop") }
	project := func() *testutil.ProjectWrapper { return testutil.MakeDbtProject("shop") }
	inline := testutil.MakeDbtProject("x")
	for name, c := range map[string]struct {
		reason  string
		run     *testutil.RunWrapper
		project *testutil.ProjectWrapper
		policy  v1alpha1.ConcurrencyPolicy
		group   string
		retry   int32
	}{
		"default":          {"one writer to a target", run(), project().Target("prod"), v1alpha1.ConcurrencyQueue, "shop/prod", 3},
		"run's target":     {"another schema", run().Target("ci"), project().Target("prod"), v1alpha1.ConcurrencyQueue, "shop/ci", 3},
		"no target":        {"the profile's own", run(), project(), v1alpha1.ConcurrencyQueue, "shop/", 3},
		"named":            {"across projects", run().Target("ci"), project().Concurrency("", "wh"), v1alpha1.ConcurrencyQueue, "wh", 3},
		"policy":           {"as told", run(), project().Concurrency(v1alpha1.ConcurrencyReplace, ""), v1alpha1.ConcurrencyReplace, "shop/", 3},
		"inline":           {"nothing to keep apart", testutil.MakeDbtRun("r").Inline(inline.Obj()), nil, v1alpha1.ConcurrencyAllow, "", 3},
		"inline, policy":   {"a policy needs a group", testutil.MakeDbtRun("r").Inline(inline.Clone().Concurrency(v1alpha1.ConcurrencyReject, "").Obj()), nil, v1alpha1.ConcurrencyAllow, "", 3},
		"inline, group":    {"kept apart by name", testutil.MakeDbtRun("r").Inline(inline.Clone().Concurrency("", "wh").Obj()), nil, v1alpha1.ConcurrencyQueue, "wh", 3},
		"retry of run":     {"the run wins", run().RetryPods(0), project().Defaults(v1alpha1.RunDefaults{Retry: v1alpha1.Retry{Pods: testutil.Ptr[int32](5)}}), v1alpha1.ConcurrencyQueue, "shop/", 0},
		"retry of project": {"the run says nothing", run(), project().Defaults(v1alpha1.RunDefaults{Retry: v1alpha1.Retry{Pods: testutil.Ptr[int32](5)}}), v1alpha1.ConcurrencyQueue, "shop/", 5},
	} {
		t.Run(name, func(t *testing.T) {
			var p *v1alpha1.DbtProject
			if c.project != nil {
				p = c.project.Obj()
			}
			r := runjob.Resolve(c.run.Obj(), p, nil)
			if r.Policy != c.policy || r.Group != c.group || r.RetryPods != c.retry {
				t.Errorf("%s: got %s %q, retry %d; want %s %q, retry %d", c.reason, r.Policy, r.Group, r.RetryPods, c.policy, c.group, c.retry)
			}
		})
	}
}

func TestNameAndLabels(t *testing.T) {
	names := map[string]string{}
	i := 0
	for name, why := range map[string]string{
		"a": "short", "nightly-2026.11": "a dot", "1": "a digit", strings.Repeat("a", 253): "longest",
		strings.Repeat("a", 252) + "b": "longest, another", strings.Repeat("a", 53) + "." + strings.Repeat("b", 20): "cut at a dot",
		strings.Repeat("a.", 126) + "a": "dots all the way",
	} {
		i++
		run := testutil.MakeDbtRun(name).Project("shop").UID(fmt.Sprintf("uid-%d", i)).Obj()
		got := runjob.Name(run)
		if errs := validation.IsDNS1123Label(got); len(errs) > 0 {
			t.Errorf("%s: Job name %q: %v", why, got, errs)
		}
		if other, taken := names[got]; taken {
			t.Errorf("%s and %s share the Job name %s", name, other, got)
		}
		names[got] = name
		p := testutil.MakeDbtProject(name).Generation(1).Obj()
		job, err := runjob.Build(run, runjob.Resolve(run, p, nil), runjob.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range job.Labels {
			if errs := validation.IsValidLabelValue(value); len(errs) > 0 {
				t.Errorf("%s: label %s=%q: %v", why, key, value, errs)
			}
		}
	}
	again := testutil.MakeDbtRun("a").UID("another").Obj()
	if runjob.Name(again) == runjob.Name(testutil.MakeDbtRun("a").UID("one").Obj()) {
		t.Error("a run that is deleted and made again meets the old one's Job")
	}
}

// Item 19: whatever a user is called, the plan stays within bounds and on one line.
func TestRequesterIsBounded(t *testing.T) {
	for name, c := range map[string]struct{ reason, user, want string }{
		"short":         {"as it is", "ada@example.com", "ada@example.com"},
		"long":          {"cut", strings.Repeat("é", 10000), strings.Repeat("é", 512) + "…"},
		"line break":    {"it must not look like another line", "ada\nben", "ada ben"},
		"null":          {"no environment takes it", "ada\x00ben", "adaben"},
		"invalid UTF-8": {"no JSON takes it", "ada\xff", "ada"},
	} {
		t.Run(name, func(t *testing.T) {
			run := testutil.MakeDbtRun("r").Project("shop").RequestedBy(c.user).Obj()
			job, err := runjob.Build(run, runjob.Resolve(run, testutil.MakeDbtProject("shop").Obj(), nil), runjob.Options{})
			if err != nil {
				t.Fatal(err)
			}
			env := job.Spec.Template.Spec.Containers[0].Env
			p, err := plan.Decode(env[len(env)-1].Value)
			if err != nil || p.Run.RequestedBy != c.want {
				t.Errorf("%s: got %q, %v", c.reason, p.Run.RequestedBy, err)
			}
		})
	}
}
