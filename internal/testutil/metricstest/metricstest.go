// Package metricstest fills a registry with every metric of the operator, as one that has worked for a while. It is imported
// by tests only.
package metricstest

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dbt-operator/dbt-operator/internal/metrics"
)

// Operator is an operator's metrics.
type Operator struct {
	Runs        *metrics.Runs
	Schedules   *metrics.Schedules
	Collector   *metrics.Collector
	OpenLineage *metrics.OpenLineage
	Tracing     *metrics.Tracing
}

// New registers the operator's metrics with r, as the manager does. Its certificate is valid until expiry.
func New(r prometheus.Registerer, now, expiry func() time.Time) *Operator {
	metrics.NewBuild(r, "v1.2.3")
	metrics.NewCertificate(r, expiry)
	return &Operator{
		Runs: metrics.NewRuns(r, now), Schedules: metrics.NewSchedules(r, now),
		Collector: metrics.NewCollector(r), OpenLineage: metrics.NewOpenLineage(r), Tracing: metrics.NewTracing(r),
	}
}

// Work is what an operator does that has everything to do, at a time.
func (o *Operator) Work(now time.Time) {
	o.Runs.Going("team-a/waits", "team-a", "shop", "Pending", now)
	o.Runs.Going("team-a/stands", "team-a", "shop", "Queued", now)
	o.Runs.Going("team-a/goes", "team-a", "shop", "Running", now)
	o.Runs.StartDelay(3 * time.Second)
	for _, end := range [][2]string{{"Succeeded", "Succeeded"}, {"Failed", "NodesFailed"}, {"Cancelled", "Cancelled"}} {
		o.Runs.Finished("team-a", "shop", end[0], end[1])
		o.Runs.Duration(end[0], time.Minute)
	}
	for _, status := range []string{"success", "warn", "fail", "error", "skipped", "no-op", "reused"} {
		o.Runs.Nodes(status, 1)
	}
	o.Schedules.Created("Schedule")
	o.Schedules.Missed("CatchUp", 1)
	o.Schedules.Skipped("Forbid", 1)
	o.Schedules.Skew(100 * time.Millisecond)
	o.Schedules.Next("team-a/nightly", now.Add(time.Hour))
	o.Collector.Request("streams", 200, 10*time.Millisecond)
	o.Collector.Received("journal", 1024)
	o.Collector.StoreFailed("append")
	o.Collector.Deleted("age")
	o.Collector.Live(3)
	o.OpenLineage.Events("sent", 2)
	o.Tracing.Trace("sent")
}
