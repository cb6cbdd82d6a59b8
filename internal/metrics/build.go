package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// NewBuild registers what the manager was built from with r.
func NewBuild(r prometheus.Registerer, version string) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "dbtoperator_build_info", Help: "1, with the version of the operator.", ConstLabels: prometheus.Labels{"version": version},
	}, func() float64 { return 1 }))
}

// NewCertificate registers until when the collector's certificate is valid with r; expiry is asked at each scrape, and gives
// the zero time where there is none.
func NewCertificate(r prometheus.Registerer, expiry func() time.Time) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "dbtoperator_collector_certificate_expiry_timestamp_seconds",
		Help: "Unix time until which the certificate that the collector serves with is valid; 0 where there is none.",
	}, func() float64 {
		if at := expiry(); !at.IsZero() {
			return float64(at.Unix())
		}
		return 0
	}))
}
