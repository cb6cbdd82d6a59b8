package metrics

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Collector are the metrics of the collector.
type Collector struct {
	requests *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	store    *prometheus.CounterVec
	deleted  *prometheus.CounterVec
	live     prometheus.Gauge
	took     *prometheus.HistogramVec
}

// NewCollector returns the metrics of the collector, registered with r. It panics when they are registered already.
func NewCollector(r prometheus.Registerer) *Collector {
	m := &Collector{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dbtoperator_collector_requests_total",
			Help: "Requests to the collector, by route and by class of the answer's code.",
		}, []string{"route", "code"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dbtoperator_collector_request_duration_seconds",
			Help: "Time that the collector took for a request, by route.",
			// From 5 ms to about 80 seconds.
			Buckets: prometheus.ExponentialBuckets(0.005, 4, 8),
		}, []string{"route"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dbtoperator_collector_received_bytes_total",
			Help: "Bytes that pods sent and the store accepted, by kind: journal, log, artifact, cache.",
		}, []string{"kind"}),
		store: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dbtoperator_collector_store_errors_total",
			Help: "Failures of the store, by what was being done.",
		}, []string{"operation"}),
		deleted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dbtoperator_collector_deleted_runs_total",
			Help: "Runs whose data was deleted, by reason: run-deleted, age, count, orphan.",
		}, []string{"reason"}),
		live: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dbtoperator_collector_live_runs",
			Help: "Runs whose state the collector holds in memory.",
		}),
	}
	// From 0, as nothing is known of the growth of a series that begins with its first failure.
	for _, operation := range []string{"append", "artifact", "compact", "delete", "meta", "read"} {
		m.store.WithLabelValues(operation)
	}
	r.MustRegister(m.requests, m.took, m.bytes, m.store, m.deleted, m.live)
	return m
}

// Request counts an answered request, and observes how long it took.
func (m *Collector) Request(route string, code int, took time.Duration) {
	m.took.WithLabelValues(route).Observe(took.Seconds())
	m.requests.WithLabelValues(route, fmt.Sprintf("%dxx", code/100)).Inc()
}

// Received counts bytes that were kept.
func (m *Collector) Received(kind string, n int64) { m.bytes.WithLabelValues(kind).Add(float64(n)) }

// StoreFailed counts a failure of the store.
func (m *Collector) StoreFailed(operation string) { m.store.WithLabelValues(operation).Inc() }

// Deleted counts a run whose data was deleted.
func (m *Collector) Deleted(reason string) { m.deleted.WithLabelValues(reason).Inc() }

// Live sets the number of runs in memory.
func (m *Collector) Live(n int) { m.live.Set(float64(n)) }
