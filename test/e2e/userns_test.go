package e2e

import (
	"testing"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

// ownUsers fails unless the pod's users are others on the node: the host's own user namespace maps each to itself.
const ownUsers = `select content from read_text('/proc/self/uid_map') where regexp_matches(content, '^\s*0\s+0\s')`

// A pod with a user namespace of its own builds as any other does, tokens, scratch space and all.
func TestUserNamespace(t *testing.T) {
	w := newWorld(t)
	files := fixtures.Shop()
	files["tests/own_users.sql"] = []byte(ownUsers)
	no := false
	w.project(duckdb111, files, func(p *v1alpha1.DbtProject) {
		p.Spec.Pod = &v1alpha1.PodSettings{HostUsers: &no}
		p.Spec.Tokens = []v1alpha1.Token{{Name: "warehouse", Audience: "warehouse.example.com"}}
	})
	seconds := int64(90)
	w.run("build", commands("dbt build --select own_users", "dbt parse"), func(r *v1alpha1.DbtRun) { r.Spec.StartTimeoutSeconds = &seconds })
	r := w.over("build")
	if reasonOf(r, v1alpha1.ConditionSucceeded) == v1alpha1.ReasonStartTimeout {
		t.Skipf("the node cannot give a pod a user namespace, and the run says so: %s", r.Status.Message)
	}
	w.ended(r, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded)
}
