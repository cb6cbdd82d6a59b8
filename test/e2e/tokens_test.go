package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
	"github.com/dbt-operator/dbt-operator/test/pgtoken"
)

// delivered returns how an engine gets the token: dbt 2.0 takes an empty password for none at all, and so never comes to
// libpq's password file.
func delivered(e engine) v1alpha1.Token {
	t := v1alpha1.Token{Name: "warehouse", Audience: "postgres.warehouse", ExpirationSeconds: ptr.To[int64](600)}
	if e == postgres20 {
		t.Delivery, t.Env = v1alpha1.TokenEnv, "SHOP_POSTGRES_PASSWORD"
	} else {
		t.Delivery, t.Host = v1alpha1.TokenPGPassFile, "postgres-tokens.warehouse.svc"
	}
	return t
}

// keyless makes the project of an account whose token is the only credential, for the PostgreSQL that takes nothing else.
func (w *world) keyless(e engine, account string, files fixtures.Files) {
	w.Helper()
	if os.Getenv("CLUSTER_POSTGRES_TOKENS") == "" {
		w.Skip("CLUSTER_POSTGRES_TOKENS is not set: this cluster has no PostgreSQL that takes tokens")
	}
	w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account, Namespace: w.namespace}})
	w.project(e, files, func(p *v1alpha1.DbtProject) {
		p.Spec.ServiceAccountName = account
		p.Spec.Tokens = []v1alpha1.Token{delivered(e)}
		p.Spec.Env = []corev1.EnvVar{
			{Name: "SHOP_SCHEMA", Value: w.schema()},
			{Name: "SHOP_POSTGRES_HOST", Value: "postgres-tokens.warehouse.svc"},
			{Name: "SHOP_POSTGRES_USER", Value: "shop"},
			{Name: "PGSSLMODE", Value: "require"},
		}
	})
}

// hack runs a command of the local cluster.
func (w *world) hack(args ...string) string {
	w.Helper()
	out, err := exec.CommandContext(w.Context(), "../../hack/cluster/cluster", args...).CombinedOutput()
	if err != nil {
		w.Fatalf("hack/cluster/cluster %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// login is what the database's log says of one.
type login struct {
	Backend int    `json:"backend"`
	Client  string `json:"client"`
	Time    string `json:"time"`
	pgtoken.Decision
	application string // of the connection that was then authorized
}

var authorized = regexp.MustCompile(`\[(\d+)\] .* connection authorized: .* application_name=(\S+) `)

// logins returns the logins of the world's accounts, in order.
func (w *world) logins() []login {
	w.Helper()
	var all []login
	for line := range strings.SplitSeq(w.hack("logs", "postgres-tokens", "100000"), "\n") {
		var l login
		if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &l) == nil && strings.HasPrefix(l.Account, w.namespace+"/") {
			all = append(all, l)
		}
		if m := authorized.FindStringSubmatch(line); m != nil {
			for i := range slices.Backward(all) {
				if fmt.Sprint(all[i].Backend) == m[1] {
					all[i].application = m[2]
					break
				}
			}
		}
	}
	return all
}

// The token is the only credential there is, and it is enough; and the database's log says which run, which pod and which
// token each login was of.
func TestTokenIsTheOnlyLogin(t *testing.T) {
	for _, e := range []engine{postgres111, postgres112, postgres20} {
		t.Run(e.name, func(t *testing.T) {
			w := newWorld(t)
			w.keyless(e, "nightly", fixtures.Shop())
			w.hack("grant", w.namespace+"/nightly", "shop")
			w.run("build", func(r *v1alpha1.DbtRun) { r.Spec.TimeoutSeconds = ptr.To[int64](600) })
			r := w.over("build")
			w.ended(r, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded, "nodes ended well")
			pod := w.pods()[0]
			logins := w.logins()
			if len(logins) == 0 {
				t.Fatal("the database's log has no login of the run")
			}
			for _, l := range logins {
				if !l.Allowed || l.Account != w.namespace+"/nightly" || l.Pod != pod.Name || l.PodUID != string(pod.UID) || l.TokenID == "" {
					t.Errorf("login %+v: want one of the pod %s, by a token with an id", l, pod.Name)
				}
				if want := "dbt/" + string(r.UID); l.application != want {
					t.Errorf("the database's log has the application %q for the backend %d, want %q", l.application, l.Backend, want)
				}
			}
			if stamped := w.requester("build"); stamped != "" {
				t.Logf("run %s, which the database's log names, was asked for by %s", r.UID, stamped)
			}
			w.noToken("the pod's log", w.log(pod.Name, 10000))
			checkJobs(w)
		})
	}
}

// checkJobs checks that no Job of the world holds a token.
func checkJobs(w *world) {
	w.Helper()
	jobs := &batchv1.JobList{}
	if err := cluster.List(w.Context(), jobs, client.InNamespace(w.namespace)); err != nil {
		w.Fatal(err)
	}
	b, err := json.Marshal(jobs)
	if err != nil || len(jobs.Items) != 1 {
		w.Errorf("%d Jobs, %v; want one", len(jobs.Items), err)
	}
	w.noToken("the Job", string(b))
}

// requester returns who asked for a run, as the API server stamped it; empty where nothing stamps.
func (w *world) requester(run string) string {
	w.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("DbtRun"))
	if err := cluster.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: run}, u); err != nil {
		w.Fatal(err)
	}
	name, _, _ := unstructured.NestedString(u.Object, "spec", "requestedBy", "username")
	return name
}

// noToken fails when a text holds what looks like a token.
func (w *world) noToken(what, text string) {
	w.Helper()
	if found := regexp.MustCompile(`eyJ[A-Za-z0-9_-]{20,}`).FindString(text); found != "" {
		w.Errorf("%s holds a token's part: %s", what, found)
	}
}

// Another account of the same namespace, with a token just as good, is refused by the database, and the run says so in the
// database's words.
func TestAnotherAccountIsRefused(t *testing.T) {
	for _, e := range []engine{postgres112, postgres20} {
		t.Run(e.name, func(t *testing.T) {
			w := newWorld(t)
			w.keyless(e, "curious", fixtures.Shop())
			w.hack("grant", w.namespace+"/nightly", "shop")
			w.run("build", func(r *v1alpha1.DbtRun) { r.Spec.TimeoutSeconds = ptr.To[int64](600) })
			r := w.over("build")
			w.ended(r, v1alpha1.PhaseFailed, v1alpha1.ReasonDbtError, `PAM authentication failed for user "shop"`)
			logins := w.logins()
			if len(logins) == 0 {
				t.Error("the database's log has no login of the run")
			}
			for _, l := range logins {
				if want := "the account " + w.namespace + "/curious may not log in as shop"; l.Allowed || l.Reason != want {
					t.Errorf("login %+v: want it refused because %s", l, want)
				}
			}
		})
	}
}

// A variable is given once: a run that may outlast the token is refused before it begins, and told what would do.
func TestTokenThatMayEndBeforeTheRun(t *testing.T) {
	w := newWorld(t)
	w.keyless(postgres20, "nightly", fixtures.Shop())
	for name, tc := range map[string]struct {
		timeout *int64
		want    string
	}{
		"unbounded": {nil, "spec.timeoutSeconds: unset, and so is the project's spec.runDefaults.timeoutSeconds, but the project's spec.tokens[warehouse] is given once"},
		"too-long":  {ptr.To[int64](601), "spec.timeoutSeconds: found 601, but the project's spec.tokens[warehouse] is given once (delivery Env) and must last as long as the run: set it to at most 600"},
	} {
		w.run(name, func(r *v1alpha1.DbtRun) { r.Spec.TimeoutSeconds = tc.timeout })
		w.ended(w.over(name), v1alpha1.PhaseFailed, v1alpha1.ReasonInvalidSpec, tc.want)
	}
	if n := len(w.pods()); n != 0 {
		t.Errorf("%d pods: nothing was to begin", n)
	}
}

// A token that is renewed in the middle of a run keeps working: a node that logs in after the first token's end logs in
// with the second. Kubelet renews a token of the least lifetime, 600 s, after 480 s, so this takes twelve minutes and is
// run by `make test-token-renewal` alone. TestPGPassFileFollowsTheToken, of the runner, proves the same with a token that
// the test replaces.
func TestRenewedTokenKeepsWorking(t *testing.T) {
	if os.Getenv("E2E_TOKEN_RENEWAL") == "" {
		t.Skip("it takes twelve minutes: run `make test-token-renewal`")
	}
	w := newWorld(t)
	w.keyless(postgres112, "nightly", variant(t, "slow-model"))
	w.hack("grant", w.namespace+"/nightly", "shop")
	w.run("long", commands(`dbt run --select +after_slow --vars '{slow_seconds: 660}'`))
	var r *v1alpha1.DbtRun
	w.eventually("the end of DbtRun long", 20*time.Minute, func() (bool, string) {
		r = w.get("long")
		return r.Status.CompletionTime != nil, string(r.Status.Phase) + ": " + r.Status.Message
	})
	w.ended(r, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded)
	logins := w.logins()
	if len(logins) < 2 {
		t.Fatalf("logins: got %+v, want one before and one after the renewal", logins)
	}
	first, last := logins[0], logins[len(logins)-1]
	if !first.Allowed || !last.Allowed || first.TokenID == last.TokenID || last.Time <= first.Expires {
		t.Errorf("first login %+v, last %+v: want the last with another token, and after the first one's end", first, last)
	}
}
