package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Phases of runs that are not over.
const (
	pending = "Pending"
	queued  = "Queued"
	running = "Running"
)

// going is a run that is not over.
type going struct {
	phase   string
	created time.Time
}

// Going notes the phase of a run that is not over, and of which project it is.
func (m *Runs) Going(key, namespace, name, phase string, created time.Time) {
	if name != "" {
		m.series(project{namespace, name})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.going[key] = going{phase, created}
}

// Gone notes that a run is over, or is no more.
func (m *Runs) Gone(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.going, key)
}

var (
	runsDesc = prometheus.NewDesc("dbtoperator_runs",
		"DbtRuns that are not over, by phase: Pending, Queued or Running.", []string{"phase"}, nil)
	oldestDesc = prometheus.NewDesc("dbtoperator_run_oldest_age_seconds",
		"Time since the creation of the oldest DbtRun in a phase: Pending, Queued or Running; 0 where there is none.", []string{"phase"}, nil)
)

// unfinished counts the runs that are not over, at each scrape.
type unfinished struct {
	runs *Runs
	now  func() time.Time
}

// Describe tells what Collect collects.
func (u *unfinished) Describe(out chan<- *prometheus.Desc) { out <- runsDesc; out <- oldestDesc }

// Collect counts.
func (u *unfinished) Collect(out chan<- prometheus.Metric) {
	now, count, oldest := u.now(), map[string]int{}, map[string]time.Duration{}
	u.runs.mu.Lock()
	for _, run := range u.runs.going {
		count[run.phase]++
		oldest[run.phase] = max(oldest[run.phase], now.Sub(run.created))
	}
	u.runs.mu.Unlock()
	for _, phase := range []string{pending, queued, running} {
		out <- prometheus.MustNewConstMetric(runsDesc, prometheus.GaugeValue, float64(count[phase]), phase)
		out <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, oldest[phase].Seconds(), phase)
	}
}
