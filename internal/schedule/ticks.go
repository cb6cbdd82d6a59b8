package schedule

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// Ticks are the times of a cron line in a time zone. A civil time that the zone's clocks skip has its tick at the first
// moment after the gap, together with all others of that gap; one that the clocks show twice has its tick at the first
// showing.
type Ticks struct {
	line line
	zone *time.Location
}

// Parse returns the ticks of a cron line in an IANA time zone. The error names the field, what was found and what would
// do.
func Parse(schedule, timeZone string) (Ticks, error) {
	l, err := parseLine(schedule)
	if err != nil {
		return Ticks{}, err
	}
	zone, err := loadZone(timeZone)
	if err != nil {
		return Ticks{}, err
	}
	return Ticks{line: l, zone: zone}, nil
}

// zones holds what LoadLocation found: it reads a file each time. Only zones that there are get in, some six hundred.
var zones sync.Map

func loadZone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	if zone, ok := zones.Load(name); ok {
		return zone.(*time.Location), nil
	}
	// "Local" is the operator's own zone, which nobody who writes a schedule can know.
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("spec.timeZone: %q is no time zone: use an IANA name such as Europe/Lisbon", cut(name))
	}
	zones.Store(name, zone)
	return zone, nil
}

// period is a stretch of time in which a zone keeps one offset.
type period struct {
	// start and end in Unix seconds; the end is not part of it.
	start, end int64
	// offset is what the wall clock is ahead of UTC, before what it was ahead by up to the start, both in seconds.
	offset, before int64
}

func (t Ticks) periodAt(unix int64) period {
	at := time.Unix(unix, 0).In(t.zone)
	_, offset := at.Zone()
	p := period{start: math.MinInt64, end: math.MaxInt64, offset: int64(offset), before: int64(offset)}
	start, end := at.ZoneBounds()
	if !start.IsZero() {
		p.start = start.Unix()
		_, before := time.Unix(p.start-1, 0).In(t.zone).Zone()
		p.before = int64(before)
	}
	if !end.IsZero() {
		p.end = end.Unix()
	}
	return p
}

// low returns the first civil time that the period shows and no earlier one did.
func (p period) low() civil {
	if p.start == math.MinInt64 {
		return math.MinInt64
	}
	return ceilMinute(p.start + max(p.offset, p.before))
}

func (p period) high() civil {
	if p.end == math.MaxInt64 {
		return math.MaxInt64
	}
	return ceilMinute(p.end + p.offset)
}

func (p period) unix(c civil) int64 { return int64(c)*60 - p.offset }

func ceilMinute(seconds int64) civil { return civil(-floorDiv(-seconds, 60)) }

// gapTick reports whether the clocks skipped a civil time of the line as the period began, which then ticks at its
// start.
func (t Ticks) gapTick(p period) bool {
	if p.offset <= p.before {
		return false
	}
	from, to := ceilMinute(p.start+p.before), ceilMinute(p.start+p.offset)
	next, ok := t.line.next(from)
	return ok && next < to
}

// farthest bounds searches in time: year 9999, in Unix seconds. Kubernetes writes no later one.
const farthest = 253402300799

// Next returns the first tick after a time; the zero time when there is none before the year 10000.
func (t Ticks) Next(after time.Time) time.Time {
	for x := max(after.Unix()+1, -farthest); x <= farthest; {
		p := t.periodAt(x)
		if p.start >= x && t.gapTick(p) {
			return t.time(p.start)
		}
		c, ok := t.line.next(max(p.low(), ceilMinute(x+p.offset)))
		if !ok {
			return time.Time{}
		}
		if c < p.high() {
			return t.time(p.unix(c))
		}
		x = p.end
	}
	return time.Time{}
}

// Newest returns the n newest ticks after from, up to and including upTo, oldest first.
func (t Ticks) Newest(from, upTo time.Time, n int) []time.Time {
	var out []time.Time
	for x := upTo.Unix(); len(out) < n; x = out[len(out)-1].Unix() - 1 {
		tick, ok := t.previous(x, max(from.Unix(), -farthest))
		if !ok {
			break
		}
		out = append(out, t.time(tick))
	}
	slices.Reverse(out)
	return out
}

// previous returns the latest tick up to and including x that is after from, all in Unix seconds.
func (t Ticks) previous(x, from int64) (int64, bool) {
	for x > from {
		p := t.periodAt(x)
		c, ok := t.line.previous(civil(floorDiv(x+p.offset, 60)))
		if ok && c >= p.low() {
			tick := p.unix(c)
			return tick, tick > from
		}
		if p.start == math.MinInt64 {
			return 0, false
		}
		if t.gapTick(p) {
			return p.start, p.start > from
		}
		x = p.start - 1
	}
	return 0, false
}

// Count returns how many ticks there are after from, up to and including upTo. Its work grows with the months in
// between, not with the ticks.
func (t Ticks) Count(from, upTo time.Time) int64 {
	n := int64(0)
	x, last := max(from.Unix()+1, -farthest), min(upTo.Unix(), farthest)
	for x <= last {
		p := t.periodAt(x)
		n += t.line.count(max(p.low(), ceilMinute(x+p.offset)), min(p.high(), civil(floorDiv(last+p.offset, 60)+1)))
		// The first moment after the gap may be a tick by itself: it is one all the same.
		if p.start >= x && t.gapTick(p) && (p.unix(p.low()) != p.start || !t.line.has(p.low())) {
			n++
		}
		if p.end == math.MaxInt64 {
			break
		}
		x = p.end
	}
	return n
}

// Has reports whether a time is a tick.
func (t Ticks) Has(at time.Time) bool {
	return at.Nanosecond() == 0 && t.Count(at.Add(-time.Second), at) == 1
}

func (t Ticks) time(unix int64) time.Time { return time.Unix(unix, 0).UTC() }
