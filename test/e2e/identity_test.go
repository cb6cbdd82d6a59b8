package e2e

import (
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

// tokenModel reads the pod's token as dbt's own code can, says how it looks, and tries to print it.
const tokenModel = `{% set path = '/var/run/secrets/dbtoperator.dev/tokens/warehouse' %}
{% if execute %}{% set token = run_query("select trim(content, chr(10)) from read_text('" ~ path ~ "')").columns[0][0] %}
{{ log('token: ' ~ token, info=true) }}{% endif %}
select length(content) as length, content like 'eyJ%' as is_jwt from read_text('{{ path }}')`

const tokenTest = `select * from {{ ref('token') }} where not is_jwt or length < 200`

// apiTokenTest finds any file where Kubernetes would mount a token for its API.
const apiTokenTest = `select file from glob('/var/run/secrets/kubernetes.io/**')`

// The pod has the token it was given, for the audience and account it was given, and none for the Kubernetes API; and
// a project that prints its token prints nothing.
func TestTokenIsTheOnlyCredential(t *testing.T) {
	w := newWorld(t)
	w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: w.namespace}})
	files := fixtures.Shop()
	files["models/token.sql"] = []byte(tokenModel)
	files["tests/token_is_there.sql"] = []byte(tokenTest)
	files["tests/no_api_token.sql"] = []byte(apiTokenTest)
	w.project(duckdb111, files, func(p *v1alpha1.DbtProject) {
		p.Spec.ServiceAccountName = "shop"
		p.Spec.Tokens = []v1alpha1.Token{{Name: "warehouse", Audience: "warehouse.example.com"}}
	})
	w.run("build", commands("dbt build --select token no_api_token"))
	r := w.over("build")
	w.ended(r, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded)
	pod := w.pods()[0]
	log := w.log(pod.Name, 1000)
	if !strings.Contains(log, "token: ***") {
		t.Errorf("the log does not show where the token was printed:\n%s", log)
	}
	if found := regexp.MustCompile(`eyJ[A-Za-z0-9_-]{20,}`).FindString(log); found != "" {
		t.Errorf("the log holds a token's part: %s", found)
	}
	checkPod(t, pod)
}

// checkPod checks what the restricted profile does not: no API token, no secret in the Job, a read-only root.
func checkPod(t *testing.T, pod corev1.Pod) {
	t.Helper()
	s := pod.Spec
	if s.ServiceAccountName != "shop" || s.AutomountServiceAccountToken == nil || *s.AutomountServiceAccountToken {
		t.Errorf("account %q, automount %v", s.ServiceAccountName, s.AutomountServiceAccountToken)
	}
	for _, c := range s.Containers {
		if c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
			t.Errorf("container %s can write to its root", c.Name)
		}
	}
	if len(s.InitContainers) != 0 {
		t.Errorf("init containers: %v; a ConfigMap source needs none", s.InitContainers)
	}
	if s.EnableServiceLinks == nil || *s.EnableServiceLinks {
		t.Error("service links are on")
	}
}
