package runner

import (
	"strings"
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// broughtBy returns a variable that a container has by envFrom, as the container has it.
func broughtBy(source, name, value string) []string {
	return []string{name + "=" + value, source + name + "=" + value}
}

// What a Secret or a ConfigMap brings is not checked when the project is made: whoever may write one of them is not whoever
// may write the project.
func TestEnvFrom(t *testing.T) {
	p := newPod(t)
	for _, e := range [][]string{
		broughtBy(plan.FromConfigMap, "LD_PRELOAD", "/workspace/project/evil.so"),
		broughtBy(plan.FromSecret, "LD_AUDIT", "/workspace/project/evil.so"),
		broughtBy(plan.FromConfigMap, "PYTHONPATH", "/workspace/project"),
		broughtBy(plan.FromConfigMap, "PYTHONSTARTUP", "/workspace/project/evil.py"),
		broughtBy(plan.FromConfigMap, "AWS_ROLE_ARN", "arn:aws:iam::1:role/evil"),
		broughtBy(plan.FromConfigMap, "DBT_OPERATOR_ANYTHING", "x"),
		broughtBy(plan.FromConfigMap, "DBT_ENGINE_PROFILES_DIR", "/workspace/project"),
		broughtBy(plan.FromConfigMap, "REGION", "eu"),
		broughtBy(plan.FromSecret, "DBT_ENV_SECRET_KEY", "of the warehouse"),
		// The image has them, or the container's own env in place of what envFrom brings.
		{"LD_LIBRARY_PATH=/opt/lib", "PYTHONHOME=/opt/python", plan.FromConfigMap + "PYTHONHOME=/workspace/project"},
	} {
		p.env = append(p.env, e...)
	}
	p.run()
	seen := p.dbt.invocations()
	if len(seen) != 1 {
		t.Fatalf("%d invocations, want 1; printed was:\n%s", len(seen), p.screen)
	}
	for name, want := range map[string]string{"REGION": "eu", "DBT_ENV_SECRET_KEY": "of the warehouse", "LD_LIBRARY_PATH": "/opt/lib", "PYTHONHOME": "/opt/python"} {
		if got, _ := seen[0].getenv(name); got != want {
			t.Errorf("dbt saw %s=%q, want %q", name, got, want)
		}
	}
	for _, e := range seen[0].Env {
		name, value, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "DBT_OPERATOR_") || strings.Contains(value, "evil") || value == "/workspace/project" {
			t.Errorf("dbt saw %s", e)
		}
	}
	want := "spec.envFrom brings AWS_ROLE_ARN, DBT_ENGINE_PROFILES_DIR, DBT_OPERATOR_ANYTHING, LD_AUDIT, LD_PRELOAD, PYTHONPATH, PYTHONSTARTUP: the operator owns these names, and dbt gets none of them"
	if printed := p.screen.String(); !strings.Contains(printed, want) {
		t.Errorf("printed was:\n%s\nwant %s", printed, want)
	}
}

func TestEnvFromWithAnAWSToken(t *testing.T) {
	p := newPod(t)
	p.plan.AWSIdentity = true
	p.env = append(p.env, broughtBy(plan.FromConfigMap, "AWS_ROLE_ARN", "arn:aws:iam::1:role/dbt")...)
	p.run()
	seen := p.dbt.invocations()
	if len(seen) != 1 {
		t.Fatalf("%d invocations, want 1", len(seen))
	}
	if got, _ := seen[0].getenv("AWS_ROLE_ARN"); got != "arn:aws:iam::1:role/dbt" {
		t.Errorf("dbt saw AWS_ROLE_ARN=%q", got)
	}
	if printed := p.screen.String(); strings.Contains(printed, "spec.envFrom") {
		t.Errorf("printed was:\n%s", printed)
	}
}

// The image's PATH is lost when envFrom brings one.
func TestEnvFromBringsAPath(t *testing.T) {
	p := newPod(t)
	for _, e := range p.env {
		if name, value, _ := strings.Cut(e, "="); name == "PATH" {
			p.env = append(p.env, plan.FromConfigMap+"PATH="+value)
		}
	}
	code, report := p.run()
	if want := "spec.envFrom: one of its Secrets and ConfigMaps brings PATH in place of the image's own"; code != journal.ExitInvalidPlan || !strings.Contains(report.Message, want) {
		t.Errorf("exit code %d, %q; want %d, %q", code, report.Message, journal.ExitInvalidPlan, want)
	}
	if seen := p.dbt.invocations(); len(seen) != 0 {
		t.Errorf("dbt was run %d times", len(seen))
	}
}

func TestSecretsByEnvFromAreRedacted(t *testing.T) {
	p, place := newPod(t), t.TempDir()
	for _, e := range [][]string{
		broughtBy(plan.FromSecret, "SNOWFLAKE_CODE", "correct horse"),
		// Variables whose name says so are passed over when there is a file at their value.
		broughtBy(plan.FromSecret, "SNOWFLAKE_PLACE", place),
		broughtBy(plan.FromConfigMap, "SNOWFLAKE_ROLE", "transformer"),
	} {
		p.env = append(p.env, e...)
	}
	p.dbt.script(1, step{Out: "with correct horse as transformer in " + place})
	p.run()
	if printed := p.screen.String(); !strings.Contains(printed, "with *** as transformer in ***\n") {
		t.Errorf("printed was:\n%s", printed)
	}
}
