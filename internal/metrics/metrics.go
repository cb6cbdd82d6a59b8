// Package metrics holds the operator's own metrics. It knows Prometheus and the words of the API; it never knows a
// client or a condition, and labels nothing with the name of an object.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Runs are the metrics of DbtRuns.
type Runs struct {
	finished *prometheus.CounterVec
	duration *prometheus.HistogramVec
	delay    prometheus.Histogram
	nodes    *prometheus.CounterVec
}

// NewRuns returns the metrics of DbtRuns, registered with r. It panics when they are registered already.
func NewRuns(r prometheus.Registerer) *Runs {
	// From a second to about nine hours.
	buckets := prometheus.ExponentialBuckets(1, 2, 16)
	m := &Runs{
		finished: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dbtoperator_runs_finished_total",
			Help: "DbtRuns that ended, by phase and by the reason of their Succeeded condition.",
		}, []string{"phase", "reason"}),
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
	r.MustRegister(m.finished, m.duration, m.delay, m.nodes)
	return m
}

// Finished counts a run that ended.
func (m *Runs) Finished(phase, reason string) {
	m.finished.WithLabelValues(phase, reason).Inc()
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
