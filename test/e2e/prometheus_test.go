package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// A real Prometheus finds the operator by the shipped configuration, may scrape it with the shipped role, and understands every
// alert and every query of the dashboard.
func TestPrometheusScrapesTheOperator(t *testing.T) {
	here(t) // pods can be reached from this host
	w := newWorld(t)
	p := w.prometheus()

	w.eventually("the operator is scraped", patience, func() (bool, string) {
		found := p.targets()
		return len(found) == 1 && found[0].Health == "up", fmt.Sprintf("%+v\n%s", found, p.said())
	})
	w.eventually("the operator's metrics can be asked", patience, func() (bool, string) {
		return p.series("dbtoperator_build_info") == 1 && p.series(`dbtoperator_runs{phase="Running"}`) == 1, p.said()
	})
	w.eventually("the alerts are understood", patience, func() (bool, string) {
		rules := p.rules()
		for _, r := range rules {
			if r.Health != "ok" || r.LastError != "" {
				return false, fmt.Sprintf("%+v", r)
			}
		}
		return len(rules) > 10, fmt.Sprintf("%d alerts", len(rules))
	})
	for title, expr := range dashboard(t) {
		p.series(strings.ReplaceAll(expr, "$__rate_interval", "2m"))
		if t.Failed() {
			t.Errorf("the panel %s", title)
		}
	}
}

// prometheus is a server of its own, with an account that may do what config/prometheus says it must.
type prometheus struct {
	*testing.T
	url, log string
}

func (w *world) prometheus() *prometheus {
	w.Helper()
	binary := filepath.Join("..", "..", "bin", "tools", "prometheus")
	if _, err := os.Stat(binary); err != nil {
		w.Fatalf("%v: `make test-e2e` builds it", err)
	}
	dir := w.TempDir()
	w.ok("token", os.WriteFile(filepath.Join(dir, "token"), []byte(w.scraper()), 0o600))
	w.ok("CA", os.WriteFile(filepath.Join(dir, "ca.crt"), cluster.config.CAData, 0o600))
	shipped := filepath.Join("..", "..", "config", "prometheus")
	w.ok("rules", os.CopyFS(dir, os.DirFS(shipped)))
	w.ok("configuration", outside(filepath.Join(dir, "scrape.plain.yaml")))

	address, err := testutil.FreeAddress(w.Context())
	w.ok("address", err)
	p := &prometheus{T: w.T, url: "http://" + address, log: filepath.Join(dir, "log")}
	log, err := os.Create(p.log)
	w.ok("log", err)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "--config.file="+filepath.Join(dir, "scrape.plain.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = log, log
	w.ok("start", cmd.Start())
	w.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		_ = log.Close()
	})
	w.eventually("Prometheus is ready", patience, func() (bool, string) {
		request, err := http.NewRequestWithContext(w.Context(), http.MethodGet, p.url+"/-/ready", nil)
		w.ok("request", err)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, p.said()
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK, p.said()
	})
	return p
}

// outside has the configuration of a Prometheus in the cluster be that of one on this host, with the files beside it, and asks
// more often. All else stays as it is shipped.
func outside(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var config map[string]any
	if err := yaml.Unmarshal(content, &config); err != nil {
		return err
	}
	job := config["scrape_configs"].([]any)[0].(map[string]any)
	token := map[string]any{"credentials_file": "token"}
	job["scrape_interval"], job["authorization"] = "1s", token
	discovery := job["kubernetes_sd_configs"].([]any)[0].(map[string]any)
	discovery["api_server"], discovery["authorization"] = cluster.config.Host, token
	discovery["tls_config"] = map[string]any{"ca_file": "ca.crt"}
	config["global"] = map[string]any{"evaluation_interval": "1s"}
	content, err = yaml.Marshal(config)
	if err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o600)
}

// scraper returns the token of an account with the rights that config/prometheus/scrape.plain.yaml names.
func (w *world) scraper() string {
	w.Helper()
	const account = "prometheus"
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: w.namespace, Name: account}}
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: w.namespace},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"services", "pods"}, Verbs: []string{"get", "list", "watch"}},
			{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"get", "list", "watch"}},
		},
	}
	finds := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: w.namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name}, Subjects: subjects,
	}
	reads := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "dbt-operator-metrics-reader"}, Subjects: subjects,
	}
	w.create(role)
	w.create(finds)
	w.create(reads)
	w.Cleanup(func() {
		_ = cluster.Delete(context.Background(), role)
		_ = cluster.Delete(context.Background(), finds)
		_ = cluster.Delete(context.Background(), reads)
	})
	return w.token(account, false)
}

// said returns the end of what it logs.
func (p *prometheus) said() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// get asks Prometheus' API and reads the data of the answer. https://prometheus.io/docs/prometheus/latest/querying/api/
func (p *prometheus) get(path string, into any) {
	p.Helper()
	request, err := http.NewRequestWithContext(p.Context(), http.MethodGet, p.url+"/api/v1/"+path, nil)
	if err != nil {
		p.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		p.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		p.Fatal(err)
	}
	var whole struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &whole); err != nil || whole.Status != "success" {
		p.Errorf("%s: %s (%v)", path, body, err)
		return
	}
	if err := json.Unmarshal(whole.Data, into); err != nil {
		p.Fatalf("%s: %v", path, err)
	}
}

type scrapeTarget struct{ ScrapeURL, Health, LastError string }

func (p *prometheus) targets() []scrapeTarget {
	p.Helper()
	var data struct{ ActiveTargets []scrapeTarget }
	p.get("targets?state=active", &data)
	return data.ActiveTargets
}

type alertRule struct{ Name, Health, LastError string }

func (p *prometheus) rules() (all []alertRule) {
	p.Helper()
	var data struct{ Groups []struct{ Rules []alertRule } }
	p.get("rules", &data)
	for _, g := range data.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// series returns how many series a query finds.
func (p *prometheus) series(expr string) int {
	p.Helper()
	var data struct{ Result []json.RawMessage }
	p.get("query?"+url.Values{"query": {expr}}.Encode(), &data)
	return len(data.Result)
}

// dashboard returns the queries of the shipped dashboard by panel.
func dashboard(t *testing.T) map[string]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "config", "grafana", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(content, &d); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, p := range d.Panels {
		for i, target := range p.Targets {
			out[fmt.Sprintf("%s, query %d", p.Title, i+1)] = target.Expr
		}
	}
	return out
}
