package metrics

import "github.com/prometheus/client_golang/prometheus"

// OpenLineage are the metrics of the OpenLineage sender.
type OpenLineage struct{ events *prometheus.CounterVec }

// NewOpenLineage returns the metrics of the OpenLineage sender, registered with r. It panics when they are registered
// already.
func NewOpenLineage(r prometheus.Registerer) *OpenLineage {
	m := &OpenLineage{events: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dbtoperator_openlineage_events_total",
		Help: "OpenLineage events by what became of them: sent, refused by the endpoint for good, failed and tried again, or dropped.",
	}, []string{"result"})}
	for _, result := range []string{"sent", "refused", "failed", "dropped"} {
		m.events.WithLabelValues(result)
	}
	r.MustRegister(m.events)
	return m
}

// Events counts events by what became of them.
func (m *OpenLineage) Events(result string, n int) { m.events.WithLabelValues(result).Add(float64(n)) }
