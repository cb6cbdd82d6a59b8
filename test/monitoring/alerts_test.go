package monitoring

import (
	"context"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"sigs.k8s.io/yaml"
)

var plain = filepath.Join(root, "config", "prometheus", "rules.plain.yaml")

// alerts loads the rules as Prometheus does.
func (p *prom) alerts() *rules.Group {
	p.Helper()
	m := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(p.engine, p.db), Queryable: p.db, AppendableV2: p.db, ExternalURL: &url.URL{}, Context: p.Context(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {}, Parser: parser.NewParser(parser.Options{}),
	})
	groups, errs := m.LoadGroups(interval, labels.EmptyLabels(), "", nil, false, plain)
	if len(errs) > 0 || len(groups) != 1 {
		p.Fatalf("%d groups, %v", len(groups), errs)
	}
	for _, g := range groups {
		return g
	}
	return nil
}

// firing are the alerts of a group that fire.
func firing(g *rules.Group) []string {
	var out []string
	for _, rule := range g.AlertingRules() {
		if rule.State() == rules.StateFiring {
			out = append(out, rule.Name())
		}
	}
	slices.Sort(out)
	return out
}

// well is what an operator does that has no trouble.
func well(p *prom, now time.Time) {
	p.Runs.Going("a/1", "a", "b", "Running", now)
	p.Runs.Finished("a", "b", "Succeeded", "Succeeded")
	p.Runs.Finished("a", "b", "Failed", "NodesFailed")
	p.Schedules.Created("Schedule")
	p.Schedules.Skew(100 * time.Millisecond)
	p.Schedules.Next("a/1", now.Add(time.Minute))
	p.Collector.Request("streams", 200, 10*time.Millisecond)
	p.OpenLineage.Events("sent", 1)
}

// Each alert fires on what it is for, and it alone; none does while all is well.
func TestAlerts(t *testing.T) {
	reconcileOnce(t)
	tests := map[string]struct {
		// goWrong is what goes wrong; each is what happens at every scrape from then on.
		goWrong func(p *prom)
		each    func(p *prom, now time.Time)
		lasting time.Duration
		want    []string
	}{
		"AllIsWell":    {each: well, lasting: time.Hour},
		"Quiet":        {lasting: time.Hour},
		"Down":         {goWrong: func(p *prom) { p.down = true }, lasting: 15 * time.Minute, want: []string{"DbtOperatorDown"}},
		"AFailure":     {goWrong: func(p *prom) { p.Runs.Finished("a", "b", "Failed", "PodLost") }, lasting: 2 * time.Minute, want: []string{"DbtRunsFail"}},
		"NodesFail":    {goWrong: func(p *prom) { p.Runs.Finished("a", "b", "Failed", "NodesFailed") }, lasting: 10 * time.Minute},
		"OnlyFailures": {each: func(p *prom, _ time.Time) { p.Runs.Finished("a", "b", "Failed", "NodesFailed") }, lasting: 10 * time.Minute, want: []string{"DbtProjectOnlyFails"}},
		"WaitsLong":    {goWrong: func(p *prom) { p.Runs.Going("a/1", "a", "b", "Queued", p.now) }, lasting: 70 * time.Minute, want: []string{"DbtRunWaitsLong"}},
		"RunsLong":     {goWrong: func(p *prom) { p.Runs.Going("a/1", "a", "b", "Running", p.now) }, lasting: 70 * time.Minute},
		"Overdue":      {goWrong: func(p *prom) { p.Schedules.Next("a/1", p.now) }, lasting: 10 * time.Minute, want: []string{"DbtSchedulesOverdue"}},
		"Late":         {each: func(p *prom, _ time.Time) { p.Schedules.Skew(5 * time.Minute) }, lasting: 5 * time.Minute, want: []string{"DbtSchedulesLate"}},
		"Missed":       {goWrong: func(p *prom) { p.Schedules.Missed("Late", 1) }, lasting: 2 * time.Minute, want: []string{"DbtTicksMissed"}},
		"CaughtUp":     {goWrong: func(p *prom) { p.Schedules.Missed("CatchUp", 9) }, lasting: 2 * time.Minute},
		"Skipped":      {goWrong: func(p *prom) { p.Schedules.Skipped("Forbid", 5) }, lasting: 10 * time.Minute, want: []string{"DbtTicksSkipped"}},
		"Store":        {each: func(p *prom, _ time.Time) { p.Collector.StoreFailed("append") }, lasting: 15 * time.Minute, want: []string{"DbtStoreErrors"}},
		"Collector":    {each: func(p *prom, _ time.Time) { p.Collector.Request("streams", 503, time.Second) }, lasting: 15 * time.Minute, want: []string{"DbtCollectorErrors"}},
		"Certificate":  {goWrong: func(p *prom) { p.expiry = p.now.Add(2 * 24 * time.Hour) }, lasting: 70 * time.Minute, want: []string{"DbtCertificateExpires"}},
		"Expired":      {goWrong: func(p *prom) { p.expiry = p.now.Add(-time.Hour) }, lasting: 70 * time.Minute, want: []string{"DbtCertificateExpires"}},
		"NoCollector":  {goWrong: func(p *prom) { p.expiry = time.Time{} }, lasting: 70 * time.Minute},
		"Lineage":      {goWrong: func(p *prom) { p.OpenLineage.Events("dropped", 3) }, lasting: 2 * time.Minute, want: []string{"DbtLineageLost"}},
	}
	seen := map[string]bool{"DbtReconcileErrors": true} // below
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := newProm(t)
			g := p.alerts()
			eval := func(now time.Time) { g.Eval(t.Context(), now) }
			p.scrape(10*time.Minute, eval)
			if got := firing(g); len(got) > 0 {
				t.Fatalf("before, %v fire", got)
			}
			if tc.goWrong != nil {
				tc.goWrong(p)
			}
			p.scrape(tc.lasting, func(now time.Time) {
				if tc.each != nil {
					tc.each(p, now)
				}
			}, eval)
			if got := firing(g); !slices.Equal(got, tc.want) {
				t.Errorf("%v fire, want %v", got, tc.want)
			}
		})
		for _, each := range tc.want {
			seen[each] = true
		}
	}
	for _, rule := range newProm(t).alerts().AlertingRules() {
		if !seen[rule.Name()] {
			t.Errorf("no case has %s fire", rule.Name())
		}
	}
}

// The counter of controller-runtime is its own: what the alert asks of it is there, and too little to fire.
func TestReconcileErrorsAreAskedOfARealCounter(t *testing.T) {
	reconcileOnce(t)
	p := newProm(t)
	p.scrape(5 * time.Minute)
	for _, rule := range p.alerts().AlertingRules() {
		if rule.Name() != "DbtReconcileErrors" {
			continue
		}
		expr, _, _ := strings.Cut(rule.Query().String(), " > ")
		if n, err := p.query(t.Context(), expr); err != nil || n != 1 {
			t.Errorf("%s gives %d series (%v)", expr, n, err)
		}
		return
	}
	t.Error("there is no DbtReconcileErrors")
}

// The PrometheusRule has the groups of the plain file, and each alert says how bad it is, what it is, and what to do.
func TestRules(t *testing.T) {
	type file struct {
		Groups []any
		Spec   struct{ Groups []any }
	}
	read := func(name string) file {
		content, err := os.ReadFile(filepath.Join(root, "config", "prometheus", name))
		if err != nil {
			t.Fatal(err)
		}
		var out file
		if err := yaml.Unmarshal(content, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if diff := cmp.Diff(read("rules.plain.yaml").Groups, read("rules.yaml").Spec.Groups); diff != "" {
		t.Errorf("the PrometheusRule is not of the plain rules (-plain +rule); run hack/prometheus-rules.sh\n%s", diff)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, rule := range newProm(t).alerts().AlertingRules() {
		names[rule.Name()] = true
		if !slices.Contains([]string{"info", "warning", "critical"}, rule.Labels().Get("severity")) || rule.Annotations().Get("summary") == "" {
			t.Errorf("%s has the labels %v and the annotations %v", rule.Name(), rule.Labels(), rule.Annotations())
		}
		_, section, _ := strings.Cut(rule.Annotations().Get("runbook_url"), "/blob/main/docs/troubleshooting.md#")
		if section != strings.ToLower(rule.Name()) || !strings.Contains(string(page), "\n### "+rule.Name()+"\n") {
			t.Errorf("%s has the runbook %q, which is no section of docs/troubleshooting.md", rule.Name(), rule.Annotations().Get("runbook_url"))
		}
	}
	for line := range strings.Lines(string(page)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "### Dbt"); ok && !names["Dbt"+name] {
			t.Errorf("docs/troubleshooting.md tells of Dbt%s, which there is not: %v", name, slices.Sorted(maps.Keys(names)))
		}
	}
}
