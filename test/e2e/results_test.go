package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

// Counts rise while a run is at work, and name the nodes that run: also with dbt 2.0, whose events count nothing.
func TestLiveProgress(t *testing.T) {
	for _, e := range []engine{postgres112, postgres20} {
		t.Run(e.name, func(t *testing.T) {
			w := newWorld(t)
			w.project(e, chain(map[string]int{"m2": 7, "m5": 7, "m8": 7}))
			w.run("chain", commands("dbt build"))
			var seen []string
			w.eventually("the run's end", patience, func() (bool, string) {
				r := w.get("chain")
				if p := r.Status.Progress; p != nil && !r.Status.Phase.Finished() {
					at := fmt.Sprintf("%d/%d %s", p.Done, p.Total, strings.Join(p.Running, " "))
					if !slices.Contains(seen, at) {
						seen = append(seen, at)
					}
				}
				return r.Status.CompletionTime != nil, fmt.Sprint(seen)
			})
			for _, want := range []string{"1/8 model.chain.m2", "4/8 model.chain.m5", "7/8 model.chain.m8"} {
				if !slices.Contains(seen, want) {
					t.Errorf("never saw %s; saw %q", want, seen)
				}
			}
		})
	}
}

// What a run left is served after its pod is gone, to those who may read the run, and to nobody else.
func TestResultsOutliveThePod(t *testing.T) {
	w := newWorld(t)
	w.project(duckdb111, fixtures.Shop())
	w.run("build", commands("dbt build", "dbt docs generate"))
	w.over("build")
	r := w.stored("build")
	for _, p := range w.pods() {
		if err := cluster.Delete(w.Context(), &p, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for _, a := range r.Status.Artifacts {
		names = append(names, a.Name)
	}
	for _, want := range []string{"manifest.json", "run_results-1.json", "run_results-2.json", "catalog.json", "lineage.json"} {
		if !slices.Contains(names, want) {
			t.Errorf("artifacts: got %q, want %s among them", names, want)
		}
	}
	if r.Status.Log == nil || !strings.Contains(r.Status.Log.Tail, "Catalog written") {
		t.Errorf("log: got %+v, want the last lines", r.Status.Log)
	}
	reader, stranger := w.token("reader", true), w.token("stranger", false)
	if log := w.served(t, reader, "build/log"); !strings.Contains(log, "Running with dbt=1.11") || !strings.Contains(log, "Catalog written") {
		t.Errorf("the log is not whole:\n%s", log)
	}
	var manifest struct {
		Nodes map[string]any `json:"nodes"`
	}
	if err := json.Unmarshal([]byte(w.served(t, reader, "build/artifacts/manifest.json")), &manifest); err != nil || len(manifest.Nodes) == 0 {
		t.Errorf("manifest.json: %v, %d nodes", err, len(manifest.Nodes))
	}
	if lineage := w.served(t, reader, "build/artifacts/lineage.json"); !strings.Contains(lineage, "model.shop.orders") {
		t.Errorf("lineage.json lacks model.shop.orders: %.300s", lineage)
	}
	for who, token := range map[string]string{"a stranger": stranger, "nobody": ""} {
		if status, body := w.ask(token, "build/log"); status != 403 && status != 401 {
			t.Errorf("%s got %d: %.200s", who, status, body)
		}
	}
	if status, body := w.ask(stranger, "build/log"); status != 403 || !strings.Contains(body, "stranger") || !strings.Contains(body, "dbtruns") {
		t.Errorf("a stranger got %d %q, want 403 with who may not do what", status, body)
	}
}

// stored waits until all that a run left is stored.
func (w *world) stored(name string) *v1alpha1.DbtRun {
	w.Helper()
	var r *v1alpha1.DbtRun
	w.eventually("the results of run "+name, patience, func() (bool, string) {
		r = w.get(name)
		return reasonOf(r, v1alpha1.ConditionResultsAvailable) == v1alpha1.ReasonStored, fmt.Sprint(r.Status.Conditions)
	})
	return r
}

// token makes an account, which may read the namespace's runs or not, and returns a token of it.
func (w *world) token(account string, reads bool) string {
	w.Helper()
	w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account, Namespace: w.namespace}})
	if reads {
		w.create(&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: account, Namespace: w.namespace},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "dbt-viewer"},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: account, Namespace: w.namespace}},
		})
	}
	request := &authenticationv1.TokenRequest{}
	token, err := cluster.logs.CoreV1().ServiceAccounts(w.namespace).CreateToken(w.Context(), account, request, metav1.CreateOptions{})
	if err != nil {
		w.Fatalf("asking for a token of %s: %v", account, err)
	}
	return token.Status.Token
}

// ask asks the collector through the API server's proxy, which keeps the Authorization header to itself.
func (w *world) ask(token, path string) (status int, body string) {
	w.Helper()
	request := cluster.logs.CoreV1().RESTClient().Get().Namespace(system).Resource("services").Name("https:collector:9443").
		SubResource("proxy").Suffix("v1/runs/" + w.namespace + "/" + path)
	if token != "" {
		request = request.SetHeader("X-Dbt-Operator-Token", token)
	}
	result := request.Do(w.Context())
	result.StatusCode(&status)
	raw, err := result.Raw()
	var refused *apierrors.StatusError
	if errors.As(err, &refused) {
		// What the collector said is in the error's details.
		return int(refused.ErrStatus.Code), string(raw) + refused.Error() + fmt.Sprint(refused.ErrStatus.Details)
	}
	if err != nil {
		w.Fatalf("asking for %s: %v", path, err)
	}
	return status, string(raw)
}

func (w *world) served(t *testing.T, token, path string) string {
	t.Helper()
	status, body := w.ask(token, path)
	if status != 200 {
		t.Errorf("%s: got %d %.300s", path, status, body)
	}
	return body
}
