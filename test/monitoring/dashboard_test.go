package monitoring

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var root = filepath.Join("..", "..")

// panel is what a test reads of a panel of a dashboard.
type panel struct {
	ID      int
	Title   string
	Type    string
	Targets []struct{ Expr string }
	GridPos struct{ X, Y, W, H int }
}

func dashboard(t *testing.T) []panel {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "config", "grafana", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		UID    string
		Panels []panel
	}
	if err := json.Unmarshal(content, &d); err != nil {
		t.Fatal(err)
	}
	if d.UID != "dbt-operator" || len(d.Panels) < 20 {
		t.Fatalf("dashboard %q has %d panels", d.UID, len(d.Panels))
	}
	return d.Panels
}

// Each query of the dashboard finds something where an operator has work.
func TestDashboard(t *testing.T) {
	reconcileOnce(t)
	p := newProm(t)
	p.scrape(10*time.Minute, func(now time.Time) { p.Work(now) })
	ids := map[int]bool{}
	for _, panel := range dashboard(t) {
		if ids[panel.ID] {
			t.Errorf("two panels have the id %d", panel.ID)
		}
		ids[panel.ID] = true
		if panel.GridPos.X+panel.GridPos.W > 24 {
			t.Errorf("%s is wider than the dashboard", panel.Title)
		}
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("%s has no query", panel.Title)
		}
		for _, target := range panel.Targets {
			// What Grafana makes of it at a scrape interval of 30 seconds.
			expr := strings.ReplaceAll(target.Expr, "$__rate_interval", "2m")
			n, err := p.query(t.Context(), expr)
			if err != nil || n == 0 {
				t.Errorf("%s: %s gives %d series (%v)", panel.Title, expr, n, err)
			}
		}
	}
}

// Each metric of the operator is on the dashboard.
func TestDashboardShowsEveryMetric(t *testing.T) {
	p := newProm(t)
	p.Work(p.now)
	families, err := p.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, panel := range dashboard(t) {
		for _, target := range panel.Targets {
			all.WriteString(target.Expr + "\n")
		}
	}
	for _, f := range families {
		if !strings.Contains(all.String(), f.GetName()) {
			t.Errorf("no panel shows %s", f.GetName())
		}
	}
}
