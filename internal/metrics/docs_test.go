package metrics_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/testutil/metricstest"
)

var now = time.Date(2026, 11, 25, 6, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

// row is a row of the table of metrics: its name, its type, its labels.
var row = regexp.MustCompile("(?m)^\\| `(dbtoperator_[a-z_]+)` \\| ([a-z]+) \\|([^|]*)\\| [^|]+ \\|$")

// docs/metrics.md names what the registry holds: each metric with its type and labels, and none beside.
func TestPageNamesEveryMetric(t *testing.T) {
	registry := prometheus.NewRegistry()
	metricstest.New(registry, clock, clock).Work(now)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]string{}
	for _, f := range families {
		var labels []string
		for _, label := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, label.GetName())
		}
		held[f.GetName()] = fmt.Sprint(strings.ToLower(f.GetType().String()), labels)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		var labels []string
		for label := range strings.SplitSeq(m[3], ",") {
			if label = strings.Trim(label, " `"); label != "" {
				labels = append(labels, label)
			}
		}
		slices.Sort(labels)
		if _, twice := told[m[1]]; twice {
			t.Errorf("docs/metrics.md tells of %s twice", m[1])
		}
		told[m[1]] = fmt.Sprint(m[2], labels)
	}
	if diff := cmp.Diff(held, told); diff != "" {
		t.Errorf("docs/metrics.md is not what the registry holds (-registry +page):\n%s", diff)
	}
	for _, f := range families {
		if strings.TrimSpace(f.GetHelp()) == "" {
			t.Errorf("%s has no help", f.GetName())
		}
	}
}

// value returns a series' value; labels are as "phase=Queued,reason=…", sorted.
func value(t *testing.T, r prometheus.Gatherer, name, labels string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var found []string
			for _, label := range m.GetLabel() {
				found = append(found, label.GetName()+"="+label.GetValue())
			}
			if f.GetName() == name && strings.Join(found, ",") == labels {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return -1
}

// Runs that are not over are counted by phase, and grow old though nobody looks at them; those that are over leave nothing.
func TestRunsThatAreNotOver(t *testing.T) {
	registry, at := prometheus.NewRegistry(), now
	m := metrics.NewRuns(registry, func() time.Time { return at })
	m.Going("a/1", "a", "shop", "Pending", now.Add(-time.Hour))
	m.Going("a/2", "a", "shop", "Queued", now.Add(-time.Minute))
	m.Going("a/3", "a", "shop", "Queued", now.Add(-2*time.Minute))
	m.Going("a/1", "a", "shop", "Running", now.Add(-time.Hour))
	at = now.Add(time.Minute)
	check := func(phase string, count, oldest float64) {
		t.Helper()
		if got := value(t, registry, "dbtoperator_runs", "phase="+phase); got != count {
			t.Errorf("%v runs are %s, want %v", got, phase, count)
		}
		if got := value(t, registry, "dbtoperator_run_oldest_age_seconds", "phase="+phase); got != oldest {
			t.Errorf("the oldest that is %s is %v s old, want %v", phase, got, oldest)
		}
	}
	check("Pending", 0, 0)
	check("Queued", 2, 180)
	check("Running", 1, 3660)
	for _, key := range []string{"a/1", "a/2", "a/3", "a/4"} {
		m.Gone(key)
	}
	check("Queued", 0, 0)
	check("Running", 0, 0)
}

// However many projects there are, so many have a series of their own, and no run is left out.
func TestProjectsAreBounded(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := metrics.NewRuns(registry, clock)
	for i := range 1500 {
		m.Finished("team-a", fmt.Sprintf("p%d", i), "Failed", "NodesFailed")
	}
	m.Finished("team-a", "p3", "Failed", "NodesFailed")
	for labels, want := range map[string]float64{
		"namespace=team-a,phase=Failed,project=p3":       2,
		"namespace=team-a,phase=Failed,project=p999":     1,
		"namespace=team-a,phase=Failed,project=p1000":    -1,
		"namespace=(other),phase=Failed,project=(other)": 500,
	} {
		if got := value(t, registry, "dbtoperator_project_runs_finished_total", labels); got != want {
			t.Errorf("%s is %v, want %v", labels, got, want)
		}
	}
}

func TestCertificate(t *testing.T) {
	registry, expiry := prometheus.NewRegistry(), now
	metrics.NewCertificate(registry, func() time.Time { return expiry })
	const name = "dbtoperator_collector_certificate_expiry_timestamp_seconds"
	if got := value(t, registry, name, ""); got != float64(now.Unix()) {
		t.Errorf("it is %v, want %v", got, now.Unix())
	}
	expiry = time.Time{}
	if got := value(t, registry, name, ""); got != 0 {
		t.Errorf("without a certificate it is %v, want 0", got)
	}
}
