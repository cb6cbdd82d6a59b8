package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Schedules are the metrics of DbtSchedules.
type Schedules struct {
	created *prometheus.CounterVec
	missed  *prometheus.CounterVec
	skipped *prometheus.CounterVec
	skew    prometheus.Histogram

	mu  sync.Mutex
	due map[string]time.Time
}

// overdueAfter is how long a schedule may be due before it counts as overdue: longer than the operator ever needs.
const overdueAfter = time.Minute

// NewSchedules returns the metrics of DbtSchedules, registered with r. now is read at each scrape, so that a schedule
// nobody looks at is overdue as well. It panics when they are registered already.
func NewSchedules(r prometheus.Registerer, now func() time.Time) *Schedules {
	m := &Schedules{
		due: map[string]time.Time{},
		created: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dbtoperator_schedule_runs_created_total",
			Help: "DbtRuns that DbtSchedules made, by what for: Schedule, Upstream, ProjectChange or Backfill.",
		}, []string{"trigger"}),
		missed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dbtoperator_schedule_ticks_missed_total",
			Help: "Ticks of DbtSchedules that have no run, by reason: Late, CatchUp, Edited, NameTaken or Denied.",
		}, []string{"reason"}),
		skipped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dbtoperator_schedule_ticks_skipped_total",
			Help: "Ticks of DbtSchedules that have no run as an earlier one was not over, by concurrency policy: Forbid or Replace.",
		}, []string{"policy"}),
		skew: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "dbtoperator_schedule_skew_seconds",
			Help: "Time from a tick, with its jitter, to the creation of its run; schedules that wait for others are left out.",
			// From 25 ms to about fourteen hours.
			Buckets: prometheus.ExponentialBuckets(0.025, 2, 21),
		}),
	}
	// From 0, as nothing is known of the growth of a series that begins with its first tick.
	for _, reason := range []string{"Late", "CatchUp", "Edited", "NameTaken", "Denied"} {
		m.missed.WithLabelValues(reason)
	}
	for _, policy := range []string{"Forbid", "Replace"} {
		m.skipped.WithLabelValues(policy)
	}
	overdue := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "dbtoperator_schedules_overdue",
		Help: "DbtSchedules whose next tick came more than a minute ago and was not looked at.",
	}, func() float64 { return float64(m.overdue(now())) })
	r.MustRegister(m.created, m.missed, m.skipped, m.skew, overdue)
	return m
}

// Created counts a run that a schedule made.
func (m *Schedules) Created(trigger string) { m.created.WithLabelValues(trigger).Inc() }

// Missed counts ticks that have no run.
func (m *Schedules) Missed(reason string, n int64) { m.missed.WithLabelValues(reason).Add(float64(n)) }

// Skipped counts ticks that have no run as the concurrency policy did not let them.
func (m *Schedules) Skipped(policy string, n int64) {
	m.skipped.WithLabelValues(policy).Add(float64(n))
}

// Skew observes how late a run was made.
func (m *Schedules) Skew(late time.Duration) { m.skew.Observe(late.Seconds()) }

// Next notes when a schedule is due next; the zero time says that it is not.
func (m *Schedules) Next(key string, due time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if due.IsZero() {
		delete(m.due, key)
		return
	}
	m.due[key] = due
}

func (m *Schedules) overdue(now time.Time) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, due := range m.due {
		if now.Sub(due) > overdueAfter {
			n++
		}
	}
	return n
}
