package metrics

import "github.com/prometheus/client_golang/prometheus"

// Tracing are the metrics of the sender of traces.
type Tracing struct{ traces *prometheus.CounterVec }

// NewTracing returns the metrics of the sender of traces, registered with r. It panics when they are registered already.
func NewTracing(r prometheus.Registerer) *Tracing {
	m := &Tracing{traces: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dbtoperator_traces_total",
		Help: "Traces of runs by what became of them: sent, unsampled, failed and tried again, or dropped.",
	}, []string{"result"})}
	for _, result := range []string{"sent", "unsampled", "failed", "dropped"} {
		m.traces.WithLabelValues(result)
	}
	r.MustRegister(m.traces)
	return m
}

// Trace counts a trace by what became of it.
func (m *Tracing) Trace(result string) { m.traces.WithLabelValues(result).Inc() }
