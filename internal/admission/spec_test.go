package admission_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	corev1 "k8s.io/api/core/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/admission"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

func TestProject(t *testing.T) {
	project := func() *testutil.ProjectWrapper { return testutil.MakeDbtProject("shop") }
	volume := func(name string) v1alpha1.Volume {
		return v1alpha1.Volume{Name: name, MountPath: "/data", Secret: &v1alpha1.LocalObjectReference{Name: "s"}}
	}
	token := func(name string, by v1alpha1.TokenDelivery, env string) v1alpha1.Token {
		return v1alpha1.Token{Name: name, Audience: "warehouse", Delivery: by, Env: env}
	}
	hosted := token("a", v1alpha1.TokenFile, "")
	hosted.Host = "postgres"
	prefixed, none, profiles := project(), project(), project()
	prefixed.Spec.EnvFrom = []corev1.EnvFromSource{{Prefix: "LD_"}}
	none.Spec.Source = v1alpha1.Source{}
	profiles.Spec.Profiles = &v1alpha1.Profiles{}
	for name, c := range map[string]struct {
		reason  string
		project *testutil.ProjectWrapper
		want    []string
	}{
		"valid":           {"nothing to say", project().Env("A", "b").Volume(volume("v")), nil},
		"reserved":        {"input 18", project().Env("LD_PRELOAD", "x"), []string{"spec.env[LD_PRELOAD]: the operator owns this name"}},
		"two at once":     {"a line for each", project().Env("HOME", "x").Env("PATH", "x"), []string{"spec.env[HOME]", "spec.env[PATH]"}},
		"AWS":             {"another identity", project().Env("AWS_ROLE_ARN", "x"), []string{"spec.env[AWS_ROLE_ARN]: found without a token for sts.amazonaws.com"}},
		"AWS with token":  {"its own identity", project().Env("AWS_ROLE_ARN", "x").Token("aws", "sts.amazonaws.com", 3600), nil},
		"tokens":          {"one of each kind", project().TokenBy(token("a", v1alpha1.TokenEnv, "A")).TokenBy(token("b", v1alpha1.TokenPGPassFile, "")).TokenBy(token("c", v1alpha1.TokenFile, "")).TokenBy(token("d", "", "")), nil},
		"env, no name":    {"where to", project().TokenBy(token("a", v1alpha1.TokenEnv, "")), []string{"spec.tokens[a]: env names the variable of a token with delivery Env"}},
		"name, no env":    {"which delivery", project().TokenBy(token("a", "", "A")), []string{"spec.tokens[a]: env names the variable of a token with delivery Env"}},
		"host of a file":  {"it would say nothing", project().TokenBy(hosted), []string{"spec.tokens[a].host: set, but the delivery is not PGPassFile"}},
		"a year":          {"stored before the rule", project().Token("a", "b", 3607), []string{"spec.tokens[a].expirationSeconds: must not be 3607"}},
		"reserved token":  {"input 18, by a token", project().TokenBy(token("a", v1alpha1.TokenEnv, "DBT_ENGINE_LOG_PATH")), []string{"spec.tokens[a].env: the operator owns DBT_ENGINE_LOG_PATH"}},
		"in artifacts":    {"dbt writes these everywhere", project().TokenBy(token("a", v1alpha1.TokenEnv, "DBT_ENV_CUSTOM_ENV_X")), []string{"spec.tokens[a].env: DBT_ENV_CUSTOM_ENV_X is no place for a token"}},
		"as a role":       {"it names an identity", project().TokenBy(token("a", v1alpha1.TokenEnv, "AWS_ROLE_ARN")), []string{"spec.tokens[a].env: AWS_ROLE_ARN is no place"}},
		"env twice":       {"which one", project().TokenBy(token("a", v1alpha1.TokenEnv, "A")).TokenBy(token("b", v1alpha1.TokenEnv, "A")), []string{"spec.tokens[b].env: A is set by spec.tokens[a] as well"}},
		"env and token":   {"which one", project().Env("A", "x").TokenBy(token("a", v1alpha1.TokenEnv, "A")), []string{"spec.tokens[a].env: A is set by spec.env as well"}},
		"two files":       {"libpq reads one", project().TokenBy(token("a", v1alpha1.TokenPGPassFile, "")).TokenBy(token("b", v1alpha1.TokenPGPassFile, "")), []string{"spec.tokens[b].delivery: PGPassFile is the delivery of token a already"}},
		"another file":    {"libpq reads one", project().Env("PGPASSFILE", "/x").TokenBy(token("a", v1alpha1.TokenPGPassFile, "")), []string{"spec.tokens[a].delivery: PGPassFile is in place of PGPASSFILE, which spec.env sets"}},
		"a password":      {"libpq prefers it", project().TokenBy(token("b", v1alpha1.TokenEnv, "PGPASSWORD")).TokenBy(token("a", v1alpha1.TokenPGPassFile, "")), []string{"spec.tokens[a].delivery: PGPassFile is in place of PGPASSWORD, which spec.tokens[b] sets"}},
		"only a password": {"for engines that read no password file", project().TokenBy(token("b", v1alpha1.TokenEnv, "PGPASSWORD")), nil},
		"prefix":          {"names made by a prefix", prefixed, []string{`the prefix "LD_" makes names the operator owns`}},
		"same folder":     {"which one", project().Volume(volume("a")).Volume(volume("b")), []string{"spec.volumes[b].mountPath: /data is taken by volume a"}},
		"no source":       {"stored before the rule", none, []string{"spec.source: exactly one of"}},
		"empty profiles":  {"stored before the rule", profiles, []string{"spec.profiles: exactly one of"}},
		"volume, no kind": {"stored before the rule", project().Volume(v1alpha1.Volume{Name: "v", MountPath: "/v"}), []string{"spec.volumes[v]: exactly one of"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := admission.Project(&c.project.Spec)
			if len(c.want) == 0 && err != nil {
				t.Errorf("%s: %v", c.reason, err)
			}
			for _, part := range c.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("%s: got %v, want %q", c.reason, err, part)
				}
			}
		})
	}
}

func TestRun(t *testing.T) {
	project := testutil.MakeDbtProject("shop")
	run := func() *testutil.RunWrapper { return testutil.MakeDbtRun("r").Project("shop") }
	bounded := func(seconds int64) *testutil.ProjectWrapper {
		return testutil.MakeDbtProject("shop").TokenBy(v1alpha1.Token{Name: "wh", Audience: "a", ExpirationSeconds: testutil.Ptr(seconds), Delivery: v1alpha1.TokenEnv, Env: "T"})
	}
	for name, c := range map[string]struct {
		reason  string
		run     *testutil.RunWrapper
		project *testutil.ProjectWrapper
		want    [][]string
		err     string
	}{
		"default":         {"no API server defaulted it", run(), project, [][]string{{"build"}}, ""},
		"two":             {"in order", run().Command("seed", "dbt run -s a"), project, [][]string{{"seed"}, {"run", "-s", "a"}}, ""},
		"bad one":         {"named by its place", run().Command("seed", "x"), project, nil, `spec.commands[1]: found "x"`},
		"revision":        {"of a baked project", run().Revision("refs/heads/x"), project, nil, "spec.revision: set, but the project's source is not git"},
		"revision of git": {"what it is for", run().Revision("refs/heads/x"), testutil.MakeDbtProject("shop").Git("https://example.com/x"), [][]string{{"build"}}, ""},
		"token lasts":     {"to the second", run().Timeout(600), bounded(600), [][]string{{"build"}}, ""},
		"token too short": {"it is given once", run().Timeout(601), bounded(600), nil, "spec.timeoutSeconds: found 601, but the project's spec.tokens[wh] is given once (delivery Env) and must last as long as the run: set it to at most 600"},
		"token by default": {"the project's bound is the run's", run(), bounded(600).Defaults(v1alpha1.RunDefaults{TimeoutSeconds: testutil.Ptr[int64](3600)}), nil,
			"the project's spec.runDefaults.timeoutSeconds: found 3600, but the project's spec.tokens[wh]"},
		"own before default": {"the run's own bound counts", run().Timeout(500), bounded(600).Defaults(v1alpha1.RunDefaults{TimeoutSeconds: testutil.Ptr[int64](3600)}), [][]string{{"build"}}, ""},
		"no bound":           {"no token lasts for ever", run(), bounded(86400), nil, "spec.timeoutSeconds: unset, and so is the project's spec.runDefaults.timeoutSeconds, but the project's spec.tokens[wh] is given once (delivery Env)"},
		"default lifetime":   {"no API server defaulted it", run().Timeout(3601), testutil.MakeDbtProject("shop").TokenBy(v1alpha1.Token{Name: "wh", Audience: "a", Delivery: v1alpha1.TokenEnv, Env: "T"}), nil, "set it to at most 3600"},
		"renewed":            {"a file follows", run(), testutil.MakeDbtProject("shop").TokenBy(v1alpha1.Token{Name: "wh", Audience: "a", Delivery: v1alpha1.TokenPGPassFile}), [][]string{{"build"}}, ""},
		"bad project":        {"the project's fault is the run's", run(), testutil.MakeDbtProject("shop").Env("HOME", "x"), nil, "spec.env[HOME]"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := admission.Run(&c.run.Spec, &c.project.Spec)
			if (c.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v, want %q", c.reason, err, c.err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestStateOfAnInlineProject(t *testing.T) {
	project := testutil.MakeDbtProject("x").Obj()
	run := testutil.MakeDbtRun("r").Inline(project).State("").Obj()
	_, err := admission.Run(&run.Spec, &project.Spec)
	if want := "spec.state: is Auto, but an inline project has no earlier runs: remove it, or name a DbtProject in spec.projectRef"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestResumeFrom(t *testing.T) {
	run := func() *testutil.RunWrapper {
		return testutil.MakeDbtRun("r").Project("shop").Command("dbt build").ResumeFrom("before")
	}
	before := func() *testutil.RunWrapper {
		return testutil.MakeDbtRun("before").Project("shop").Command("dbt build").Job("j", "j").Truth(v1alpha1.PhaseFailed, "False", "NodesFailed", "m")
	}
	for name, c := range map[string]struct {
		reason    string
		run, from *testutil.RunWrapper
		want      string
	}{
		"failed":         {"what it is for", run(), before(), ""},
		"cancelled":      {"what was left can be run", run(), before().Truth(v1alpha1.PhaseCancelled, "False", "Cancelled", "m"), ""},
		"inline":         {"both inline", run().Inline(testutil.MakeDbtProject("x").Obj()).NoProject(), before().Inline(testutil.MakeDbtProject("x").Obj()).NoProject(), ""},
		"missing":        {"nothing to go on from", run(), nil, "spec.resumeFrom: there is no DbtRun before"},
		"at work":        {"it may end well", run(), before().Truth(v1alpha1.PhaseRunning, "Unknown", "Running", "m"), "is not over yet"},
		"succeeded":      {"nothing is left", run(), before().Truth(v1alpha1.PhaseSucceeded, "True", "Succeeded", "m"), "nothing of it is left"},
		"made before":    {"it was there to be named", run().Created(time.Unix(100, 0)), before().Created(time.Unix(100, 0)), ""},
		"made after":     {"the one that was named had the name before", run().Created(time.Unix(100, 0)), before().Created(time.Unix(101, 0)), "DbtRun before was created after this run"},
		"never began":    {"nothing was done", run(), testutil.MakeDbtRun("before").Project("shop").Command("dbt build").Truth(v1alpha1.PhaseFailed, "False", "InvalidSpec", "m"), "never began"},
		"other project":  {"its nodes are others", run(), before().Project("other"), "is of project other, this one of shop"},
		"other commands": {"its results are of others", run(), before().Command("dbt test"), "copy its spec.commands"},
		"other target":   {"its relations are others", run().Target("ci"), before(), `has target "", this one "ci"`},
	} {
		t.Run(name, func(t *testing.T) {
			var from *v1alpha1.DbtRun
			if c.from != nil {
				from = c.from.Obj()
			}
			err := admission.ResumeFrom(c.run.Obj(), from)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v, want %q", c.reason, err, c.want)
			}
		})
	}
}
