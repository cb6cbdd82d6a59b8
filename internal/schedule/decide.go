package schedule

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Action is what a schedule does next.
type Action string

// Actions.
const (
	// Wait: no tick is due, or one that is due must wait.
	Wait Action = "Wait"
	// Start: make the runs of Slots.
	Start Action = "Start"
	// Replace: cancel the active runs, then make the run of the one slot.
	Replace Action = "Replace"
	// Skip: ticks are missed, and none has a run.
	Skip Action = "Skip"
)

// Reasons that explain an Action.
const (
	ReasonNotDue      = "NotDue"
	ReasonDue         = "Due"
	ReasonCatchUp     = "CatchUp"
	ReasonSuspended   = "Suspended"
	ReasonActive      = "RunActive"
	ReasonUpstream    = "WaitsForUpstream"
	ReasonLate        = "Late"
	ReasonClockBehind = "ClockBehind"
	ReasonDenied      = "Denied"
)

// Why ticks are missed: for metrics and events.
const (
	// MissedLate: past the starting deadline, or policy None and more than a minute late.
	MissedLate = "Late"
	// MissedCatchUp: the catch-up policy takes newer ones only.
	MissedCatchUp = "CatchUp"
	// MissedForbid and MissedReplace: the concurrency policy did not let it.
	MissedForbid  = "Forbid"
	MissedReplace = "Replace"
	// MissedEdited: the schedule was edited before it was due to be made up for.
	MissedEdited = "Edited"
	// MissedNameTaken: somebody else's run has its name.
	MissedNameTaken = "NameTaken"
	// MissedDenied: the schedule's author may not run what it runs.
	MissedDenied = "Denied"
)

// Input is all that a decision is made of.
type Input struct {
	Spec *v1alpha1.DbtScheduleSpec
	// UID decides the schedule's share of the jitter.
	UID types.UID
	// Created is when the schedule was: ticks before it are nobody's.
	Created time.Time
	// Settled is the newest tick that has a run or was counted as missed; zero for none.
	Settled time.Time
	// Made are the ticks of runs that are there, in any order. One that is newer than Settled was made by a pass that
	// did not come to record it.
	Made []time.Time
	// Ticking is the cron line by which ticks were counted so far; nil at first.
	Ticking *v1alpha1.Ticking
	// Edited is when the object was last edited; zero when that is not known.
	Edited time.Time
	// Active is how many runs are not over, without those of a backfill.
	Active int
	// Upstream are the schedules of spec.after.
	Upstream []Upstream
	// Denied says that the author may not run what the schedule runs: ticks that are due have no run.
	Denied bool
	Now    time.Time
}

// Upstream is a schedule that comes first.
type Upstream struct {
	Name string
	// Through is the newest tick that is no longer waited for; zero for none.
	Through time.Time
}

// Missed are ticks that have no run, for one reason.
type Missed struct {
	Count int64
	Why   string
}

// Decision is what a schedule does next, and why.
type Decision struct {
	Action Action
	Reason string
	// Slots are the ticks whose runs are to be made, oldest first: one, or several with catch-up policy All.
	Slots []time.Time
	// Trigger is what their runs are made for.
	Trigger v1alpha1.TriggerType
	// Missed are ticks that are to be counted as missed, all of them older than the first slot; LastMissed is the newest.
	Missed     []Missed
	LastMissed time.Time
	// Ticking is the cron line by which ticks are counted from now on; nil without one.
	Ticking *v1alpha1.Ticking
	// NextTick is the next tick, without jitter; zero for none.
	NextTick time.Time
	// Next is when to look again; zero when a change of some object will say.
	Next time.Time
	// Waiting are the schedules that a tick waits for, with ReasonUpstream.
	Waiting []string
}

// onTime is how late a tick may be with catch-up policy None: an operator that starts again is not a minute away.
const onTime = time.Minute

// clockTolerance is how far the newest tick may lie in the future before it is said: clocks of two machines differ.
const clockTolerance = time.Minute

// Decide reports what a DbtSchedule does at in.Now. It performs no I/O. The error says what keeps the schedule from
// having ticks: an invalid cron line or time zone.
func Decide(in Input) (Decision, error) {
	d := Decision{Action: Wait, Reason: ReasonNotDue, Trigger: v1alpha1.TriggerUpstream}
	// The time by which a tick is due is the clock's less the jitter.
	now := in.Now.Add(-Jitter(in.UID, in.Spec.JitterSeconds))
	since := latest(in.Created, in.Settled)
	var ticks source = upstreamTick{through(in.Upstream)}
	if in.Spec.Schedule != "" {
		cron, err := Parse(in.Spec.Schedule, in.Spec.TimeZone)
		if err != nil {
			return Decision{}, err
		}
		ticks, d.Trigger = cron, v1alpha1.TriggerSchedule
		since = d.rebase(in, cron, d.repair(in, cron, since))
		d.NextTick = cron.Next(latest(now, since))
		d.Next = d.NextTick.Add(in.Now.Sub(now))
	} else {
		since = d.repair(in, ticks, since)
	}
	switch {
	case in.Spec.Suspend != nil && *in.Spec.Suspend:
		d.Reason, d.NextTick, d.Next = ReasonSuspended, time.Time{}, time.Time{}
	case since.After(in.Now.Add(clockTolerance)):
		d.Reason = ReasonClockBehind
	default:
		d.due(in, ticks, since, now)
	}
	return d, nil
}

// repair takes up what a pass did and did not record: the ticks up to the newest run that is there are settled, and those
// among them that have none are missed.
func (d *Decision) repair(in Input, ticks source, since time.Time) time.Time {
	newest, made := since, 0
	for _, tick := range in.Made {
		if tick.After(since) {
			newest = latest(newest, tick)
			made++
		}
	}
	if made == 0 {
		return since
	}
	if n := ticks.Count(since, newest) - int64(made); n > 0 {
		d.Missed = append(d.Missed, Missed{n, MissedCatchUp})
		for _, tick := range ticks.Newest(since, newest, made+1) {
			if !slices.ContainsFunc(in.Made, tick.Equal) {
				d.LastMissed = tick
			}
		}
	}
	return newest
}

// source is what has ticks: a cron line in a zone, or the schedules that come first.
type source interface {
	// Count and Newest speak of the ticks after from, up to and including upTo.
	Count(from, upTo time.Time) int64
	Newest(from, upTo time.Time, n int) []time.Time
}

// upstreamTick is the one tick that all schedules that come first have ended.
type upstreamTick struct{ at time.Time }

func (u upstreamTick) Count(from, upTo time.Time) int64 { return int64(len(u.Newest(from, upTo, 1))) }

func (u upstreamTick) Newest(from, upTo time.Time, n int) []time.Time {
	if n < 1 || !u.at.After(from) || u.at.After(upTo) {
		return nil
	}
	return []time.Time{u.at}
}

// due decides on the ticks after since that have come by now.
func (d *Decision) due(in Input, ticks source, since, now time.Time) {
	upTo := now
	if len(in.Spec.After) > 0 {
		upTo = earliest(now, through(in.Upstream))
	}
	blocked := in.Active > 0 && in.Spec.ConcurrencyPolicy != v1alpha1.ScheduleAllow && in.Spec.ConcurrencyPolicy != v1alpha1.ScheduleReplace
	why := func(reason string) string {
		if blocked {
			return MissedForbid
		}
		return reason
	}
	// Too late is too late for whatever a tick waited for.
	since = d.miss(ticks, since, tooLate(in.Spec, now), why(MissedLate))
	slots := ticks.Newest(since, upTo, most(in.Spec))
	if len(slots) == 0 {
		if n := ticks.Count(since, now); n > 0 {
			d.Reason, d.Waiting = ReasonUpstream, waitedFor(in.Upstream, ticks.Newest(since, now, 1)[0])
		} else if len(d.Missed) > 0 && d.Action == Wait {
			d.Action, d.Reason = Skip, ReasonLate
		}
		return
	}
	superseded := why(MissedCatchUp)
	if in.Spec.ConcurrencyPolicy == v1alpha1.ScheduleReplace && in.Spec.CatchUp.Policy == v1alpha1.CatchUpAll {
		superseded = MissedReplace
	}
	d.miss(ticks, since, slots[0].Add(-time.Second), superseded)
	switch {
	case blocked:
		d.Reason = ReasonActive
	case in.Denied:
		d.miss(ticks, slots[0].Add(-time.Second), slots[len(slots)-1], MissedDenied)
		d.Action, d.Reason = Skip, ReasonDenied
	case in.Active > 0 && in.Spec.ConcurrencyPolicy == v1alpha1.ScheduleReplace:
		d.Action, d.Reason, d.Slots = Replace, ReasonDue, slots
	case in.Spec.ConcurrencyPolicy != v1alpha1.ScheduleAllow:
		// The others wait for this one's end.
		d.Action, d.Reason, d.Slots = Start, d.dueReason(slots), slots[:1]
	default:
		d.Action, d.Reason, d.Slots = Start, d.dueReason(slots), slots
	}
}

func (d *Decision) dueReason(slots []time.Time) string {
	if len(slots) > 1 || len(d.Missed) > 0 {
		return ReasonCatchUp
	}
	return ReasonDue
}

// miss counts the ticks after since, up to and including upTo, as missed, and returns the time up to which ticks are
// settled then.
func (d *Decision) miss(ticks source, since, upTo time.Time, why string) time.Time {
	n := ticks.Count(since, upTo)
	if n == 0 {
		return since
	}
	d.Missed = append(d.Missed, Missed{n, why})
	d.LastMissed = ticks.Newest(since, upTo, 1)[0]
	return d.LastMissed
}

// tooLate returns the newest time at which a tick would be too late by now.
func tooLate(spec *v1alpha1.DbtScheduleSpec, now time.Time) time.Time {
	var limit time.Time
	if s := spec.StartingDeadlineSeconds; s != nil {
		limit = now.Add(-time.Duration(*s)*time.Second - 1)
	}
	if spec.CatchUp.Policy == v1alpha1.CatchUpNone {
		limit = latest(limit, now.Add(-onTime-1))
	}
	return limit
}

// most returns how many ticks may be made up for.
func most(spec *v1alpha1.DbtScheduleSpec) int {
	if spec.CatchUp.Policy != v1alpha1.CatchUpAll || spec.ConcurrencyPolicy == v1alpha1.ScheduleReplace {
		return 1
	}
	if spec.CatchUp.Limit == nil {
		return defaultCatchUp
	}
	return int(max(1, *spec.CatchUp.Limit))
}

// defaultCatchUp is what the CRD's marker says as well.
const defaultCatchUp = 10

// through returns the newest tick that none of the schedules that come first keeps waiting; zero for none.
func through(upstream []Upstream) time.Time {
	var out time.Time
	for i, u := range upstream {
		if i == 0 || u.Through.Before(out) {
			out = u.Through
		}
	}
	return out
}

// waitedFor names the schedules that keep a tick waiting.
func waitedFor(upstream []Upstream, tick time.Time) []string {
	var out []string
	for _, u := range upstream {
		if u.Through.Before(tick) {
			out = append(out, u.Name)
		}
	}
	return out
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
