package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A schedule is overdue when its tick came more than a minute ago, also when nobody looks at it.
func TestOverdue(t *testing.T) {
	now := time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
	registry := prometheus.NewRegistry()
	m := NewSchedules(registry, func() time.Time { return now })
	overdue := func() float64 {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "dbtoperator_schedules_overdue" {
				return f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		t.Fatal("no such metric")
		return 0
	}
	m.Next("ns/a", now)
	m.Next("ns/b", now.Add(time.Hour))
	if overdue() != 0 {
		t.Error("a tick that just came is overdue")
	}
	now = now.Add(61 * time.Second)
	if overdue() != 1 {
		t.Errorf("%v are overdue, want 1", overdue())
	}
	m.Next("ns/a", now.Add(time.Hour))
	if overdue() != 0 {
		t.Error("a schedule that was looked at is overdue")
	}
	now = now.Add(24 * time.Hour)
	m.Next("ns/a", time.Time{})
	m.Next("ns/b", time.Time{})
	if overdue() != 0 || len(m.due) != 0 {
		t.Error("schedules that are gone or suspended are overdue, or memory is kept for them")
	}
}

func TestScheduleCounters(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewSchedules(registry, func() time.Time { return time.Time{} })
	m.Created("Schedule")
	m.Missed("Late", 3)
	m.Skipped("Forbid", 2)
	m.Skew(time.Second)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range families {
		for _, each := range f.GetMetric() {
			got[f.GetName()] += each.String()
		}
	}
	for name, want := range map[string]string{
		"dbtoperator_schedule_runs_created_total":  `value:"Schedule"`,
		"dbtoperator_schedule_ticks_missed_total":  `value:3`,
		"dbtoperator_schedule_ticks_skipped_total": `value:2`,
		"dbtoperator_schedule_skew_seconds":        `sample_count:1`,
	} {
		// Protocol buffers put one space or two behind a colon, as it happens.
		if !strings.Contains(strings.ReplaceAll(got[name], " ", ""), want) {
			t.Errorf("%s is %q, want %s", name, got[name], want)
		}
	}
}
