package model

import (
	"cmp"
	"slices"
	"strings"
	"time"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/schedule"
)

// Schedule is a DbtSchedule with what its runs came to. Times are Unix milliseconds.
type Schedule struct {
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	Project   string   `json:"project"`
	Cron      string   `json:"cron,omitempty"`
	TimeZone  string   `json:"timeZone"`
	After     []string `json:"after,omitempty"`
	Suspended bool     `json:"suspended"`
	Requester string   `json:"requester,omitempty"`
	Commands  []string `json:"commands,omitempty"`
	// Ready is False for a schedule that makes no runs; Message says why.
	Ready   string `json:"ready"`
	Message string `json:"message,omitempty"`
	// Next are ticks to come.
	Next        []int64 `json:"next"`
	Jitter      int32   `json:"jitter,omitempty"`
	Missed      int64   `json:"missed"`
	LastMissed  int64   `json:"lastMissed,omitempty"`
	LastSuccess int64   `json:"lastSuccess,omitempty"`
	// History are the runs that are still there, oldest first.
	History  []Tick    `json:"history"`
	Backfill *Backfill `json:"backfill,omitempty"`
}

// Tick is a run of a schedule.
type Tick struct {
	Run     string `json:"run"`
	Trigger string `json:"trigger"`
	Phase   string `json:"phase"`
	// At is the tick, or when the run was made where it has none.
	At      int64   `json:"at"`
	Seconds float64 `json:"seconds"`
	Failed  int32   `json:"failed,omitempty"`
}

// Backfill is how far a schedule's backfill is.
type Backfill struct {
	Phase   string `json:"phase"`
	Started int64  `json:"started"`
	Total   int64  `json:"total"`
	From    int64  `json:"from"`
	To      int64  `json:"to"`
}

const (
	nextTicks  = 5
	maxHistory = 45
)

// SchedulesOf returns schedules by name with those of the runs that they made.
func SchedulesOf(schedules []v1alpha1.DbtSchedule, runs []v1alpha1.DbtRun, now time.Time) []Schedule {
	history := map[string][]Tick{}
	for i := range runs {
		row := RowOf(&runs[i])
		of := runs[i].Labels[v1alpha1.LabelSchedule]
		if of = cmp.Or(row.Schedule, of); of == "" {
			continue
		}
		tick := Tick{Run: row.Name, Trigger: row.Trigger, Phase: row.Phase, At: cmp.Or(row.Scheduled, row.Created), Failed: row.Failed}
		if row.Started > 0 {
			tick.Seconds = seconds(max(0, cmp.Or(row.Ended, now.UnixMilli())-row.Started))
		}
		key := row.Namespace + "/" + of
		history[key] = append(history[key], tick)
	}
	out := make([]Schedule, 0, len(schedules))
	for i := range schedules {
		s := scheduleOf(&schedules[i], now)
		s.History = latest(history[s.Namespace+"/"+s.Name])
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Schedule) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return out
}

func latest(ticks []Tick) []Tick {
	slices.SortFunc(ticks, func(a, b Tick) int { return cmp.Or(cmp.Compare(a.At, b.At), strings.Compare(a.Run, b.Run)) })
	if n := len(ticks); n > maxHistory {
		ticks = ticks[n-maxHistory:]
	}
	return append([]Tick{}, ticks...)
}

func scheduleOf(s *v1alpha1.DbtSchedule, now time.Time) Schedule {
	out := Schedule{
		Namespace: s.Namespace, Name: s.Name, Cron: s.Spec.Schedule, TimeZone: cmp.Or(s.Spec.TimeZone, "Etc/UTC"), Ready: "Unknown",
		Suspended: s.Spec.Suspend != nil && *s.Spec.Suspend, Commands: s.Spec.RunTemplate.Spec.Commands, Next: next(s, now),
		Missed: s.Status.MissedTotal, LastMissed: milli(s.Status.LastMissedTime), LastSuccess: milli(s.Status.LastSuccessfulTime),
	}
	out.Project = v1alpha1.InlineProject
	if ref := s.Spec.RunTemplate.Spec.ProjectRef; ref != nil {
		out.Project = ref.Name
	}
	for _, a := range s.Spec.After {
		out.After = append(out.After, a.Schedule)
	}
	if by := s.Spec.RequestedBy; by != nil {
		out.Requester = by.Username
	}
	if s.Spec.JitterSeconds != nil {
		out.Jitter = *s.Spec.JitterSeconds
	}
	for _, c := range s.Status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			out.Ready, out.Message = string(c.Status), c.Message
		}
	}
	if b := s.Status.Backfill; b != nil {
		out.Backfill = &Backfill{string(b.Phase), b.Started, b.Total, b.From.UnixMilli(), b.To.UnixMilli()}
	}
	return out
}

// next returns ticks to come; none of a schedule that is suspended, or whose ticks are those of others.
func next(s *v1alpha1.DbtSchedule, now time.Time) []int64 {
	out := []int64{}
	if s.Spec.Suspend != nil && *s.Spec.Suspend || s.Spec.Schedule == "" {
		return out
	}
	ticks, err := schedule.Parse(s.Spec.Schedule, s.Spec.TimeZone)
	if err != nil {
		return out // its condition Ready says what is wrong
	}
	for at := now; len(out) < nextTicks; {
		if at = ticks.Next(at); at.IsZero() {
			break
		}
		out = append(out, at.UnixMilli())
	}
	return out
}
