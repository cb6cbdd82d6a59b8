// Package metrics holds the operator's own metrics. It knows Prometheus and the words of the API; it never knows a
// client or a condition, and labels nothing with the name of an object but one counter with the project's, of which it takes
// so many and no more.
package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Runs are the metrics of DbtRuns.
type Runs struct {
	finished *prometheus.CounterVec
	projects *prometheus.CounterVec
	duration *prometheus.HistogramVec
	delay    prometheus.Histogram
	nodes    *prometheus.CounterVec

	mu    sync.Mutex
	known map[project]bool
	going map[string]going
}

// project names a DbtProject.
type project struct{ namespace, name string }

// maxProjects is how many projects have a series of their own; the runs of others are counted together, as Other.
const maxProjects = 1000

// Other stands for the name and the namespace of projects beyond those that have a series of their own.
const Other = "(other)"

// NewRuns returns the metrics of DbtRuns, registered with r. now is read at each scrape, so that a run nobody looks at grows
// old as well. It panics when they are registered already.
func NewRuns(r prometheus.Registerer, now func() time.Time) *Runs {
	// From a second to about nine hours.
	buckets := prometheus.ExponentialBuckets(1, 2, 16)
	m := &Runs{
		known: map[project]bool{},
		going: map[string]going{},
		finished: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dbtoperator_runs_finished_total",
			Help: "DbtRuns that ended, by phase and by the reason of their Succeeded condition.",
		}, []string{"phase", "reason"}),
		projects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dbtoperator_project_runs_finished_total",
			Help: "DbtRuns that ended, by their DbtProject and by phase; beyond 1,000 projects together as (other).",
		}, []string{"namespace", "project", "phase"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "dbtoperator_run_duration_seconds",
			Help:    "Time from the start of dbt's first container to the end of the run, by phase.",
			Buckets: buckets,
		}, []string{"phase"}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "dbtoperator_run_start_delay_seconds",
			Help:    "Time from a DbtRun's creation to the start of dbt's first container, queueing included.",
			Buckets: buckets,
		}),
		nodes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dbtoperator_run_nodes_total",
			Help: "Nodes of DbtRuns that ended, by status.",
		}, []string{"status"}),
	}
	// From 0, as nothing is known of the growth of a series that begins with its first run.
	m.finished.WithLabelValues(succeeded, succeeded)
	m.finished.WithLabelValues(cancelled, cancelled)
	for _, reason := range failures {
		m.finished.WithLabelValues(failed, reason)
	}
	r.MustRegister(m.finished, m.projects, m.duration, m.delay, m.nodes, &unfinished{runs: m, now: now})
	return m
}

// Phases of runs that are over.
const (
	succeeded = "Succeeded"
	failed    = "Failed"
	cancelled = "Cancelled"
)

// failures are the reasons for which a run fails.
var failures = []string{
	"NodesFailed", "DbtError", "InvalidSpec", "ProjectNotFound", "StateNotFound", "SourceFailed", "ImagePullFailed", "StartTimeout", "TimedOut",
	"OutOfMemory", "PodLost", "JobMissing", "Rejected",
}

// Finished counts a run that ended.
func (m *Runs) Finished(namespace, name, phase, reason string) {
	m.finished.WithLabelValues(phase, reason).Inc()
	p := m.series(project{namespace, name})
	m.projects.WithLabelValues(p.namespace, p.name, phase).Inc()
}

// series returns the project under which a run of p is counted; the first time its series begin, from 0.
func (m *Runs) series(p project) project {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.known[p] && len(m.known) >= maxProjects {
		return project{Other, Other}
	}
	if !m.known[p] {
		m.known[p] = true
		for _, phase := range []string{succeeded, failed, cancelled} {
			m.projects.WithLabelValues(p.namespace, p.name, phase)
		}
	}
	return p
}

// Duration observes how long a run took.
func (m *Runs) Duration(phase string, took time.Duration) {
	m.duration.WithLabelValues(phase).Observe(took.Seconds())
}

// StartDelay observes how long a run waited before dbt started.
func (m *Runs) StartDelay(waited time.Duration) {
	m.delay.Observe(waited.Seconds())
}

// Nodes counts nodes that ended with a status.
func (m *Runs) Nodes(status string, n int32) {
	m.nodes.WithLabelValues(status).Add(float64(n))
}
