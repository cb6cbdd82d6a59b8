package schedule

import (
	"math/bits"
	"time"
)

// civil is a time of the wall clock, in minutes since 1970-01-01 00:00 of that same clock. It has no zone: whether and
// when a clock shows it is a matter of ticks.go.
type civil int64

const minutesOfDay = 24 * 60

// day is a day of the calendar, counted since 1970-01-01.
type day int64

func (c civil) split() (d day, minute int) {
	d = day(floorDiv(int64(c), minutesOfDay))
	return d, int(int64(c) - int64(d)*minutesOfDay)
}

func join(d day, minute int) civil { return civil(int64(d)*minutesOfDay + int64(minute)) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// month is a month of the calendar with its first day and its length.
type month struct {
	year   int
	month  time.Month
	first  day
	length int
}

func monthAt(year int, m time.Month) month {
	first := time.Date(year, m, 1, 0, 0, 0, 0, time.UTC)
	next := time.Date(year, m+1, 1, 0, 0, 0, 0, time.UTC)
	return month{
		year: first.Year(), month: first.Month(), first: day(floorDiv(first.Unix(), secondsOfDay)),
		length: int((next.Unix() - first.Unix()) / secondsOfDay),
	}
}

const secondsOfDay = 24 * 60 * 60

func monthOf(d day) month {
	year, m, _ := time.Unix(int64(d)*secondsOfDay, 0).UTC().Date()
	return monthAt(year, m)
}

func (m month) next() month { return monthAt(m.year, m.month+1) }

func (m month) previous() month { return monthAt(m.year, m.month-1) }

// matching returns the days of a month that the line has, bit n for day n.
func (l line) matching(m month) uint64 {
	if l.months&(1<<m.month) == 0 {
		return 0
	}
	all := uint64(1)<<(m.length+1) - 2
	days, weekdays := l.days&all, uint64(0)
	// 1970-01-01 was a Thursday.
	weekday := int(floorMod(int64(m.first)+4, 7))
	for n := 1; n <= m.length; n++ {
		weekdays |= (l.weekdays >> weekday & 1) << n
		weekday++
		if weekday == 7 {
			weekday = 0
		}
	}
	if l.anyDay || l.anyWeekday {
		return days & weekdays
	}
	return days | weekdays
}

func floorMod(a, b int64) int64 { return a - floorDiv(a, b)*b }

// minutesBelow counts the line's minutes of a day before a minute of it.
func (l line) minutesBelow(minute int) int64 {
	hour := minute / 60
	n := bits.OnesCount64(l.hours&(1<<hour-1)) * bits.OnesCount64(l.minutes)
	if l.hours&(1<<hour) != 0 {
		n += bits.OnesCount64(l.minutes & (1<<(minute%60) - 1))
	}
	return int64(n)
}

// count returns how many civil times from one up to, not including, another the line has. Its work grows with the
// months in between, not with the times.
func (l line) count(from, to civil) int64 {
	if from >= to {
		return 0
	}
	first, fromMinute := from.split()
	last, toMinute := to.split()
	perDay := int64(bits.OnesCount64(l.hours) * bits.OnesCount64(l.minutes))
	n := perDay * l.countDays(first, last)
	if l.hasDay(first) {
		n -= l.minutesBelow(fromMinute)
	}
	if l.hasDay(last) {
		n += l.minutesBelow(toMinute)
	}
	return n
}

// countDays counts matching days from one up to, not including, another.
func (l line) countDays(from, to day) int64 {
	n := 0
	for m := monthOf(from); m.first < to; m = m.next() {
		days := l.matching(m)
		if m.first < from {
			days &^= 1<<(from-m.first+1) - 1
		}
		if to < m.first+day(m.length) {
			days &= 1<<(to-m.first+1) - 1
		}
		n += bits.OnesCount64(days)
	}
	return int64(n)
}

func (l line) hasDay(d day) bool {
	m := monthOf(d)
	return l.matching(m)&(1<<(d-m.first+1)) != 0
}

// has reports whether the line has a civil time.
func (l line) has(c civil) bool {
	d, minute := c.split()
	return l.hours&(1<<(minute/60)) != 0 && l.minutes&(1<<(minute%60)) != 0 && l.hasDay(d)
}

// mostMonths bounds a search: the rarest line there is fires every eight years, on 29 February around a century that has
// none.
const mostMonths = 9 * 12

// next returns the earliest civil time of the line that is not before from.
func (l line) next(from civil) (civil, bool) {
	d, minute := from.split()
	if l.hasDay(d) {
		if m, ok := l.minuteFrom(minute); ok {
			return join(d, m), true
		}
	}
	d++
	m := monthOf(d)
	for range mostMonths {
		days := l.matching(m)
		if m.first < d {
			days &^= 1<<(d-m.first+1) - 1
		}
		if days != 0 {
			minute, _ := l.minuteFrom(0)
			return join(m.first+day(bits.TrailingZeros64(days))-1, minute), true
		}
		m = m.next()
	}
	return 0, false
}

// previous returns the latest civil time of the line that is not after from.
func (l line) previous(from civil) (civil, bool) {
	d, minute := from.split()
	if l.hasDay(d) {
		if m, ok := l.minuteUpTo(minute); ok {
			return join(d, m), true
		}
	}
	d--
	m := monthOf(d)
	for range mostMonths {
		days := l.matching(m)
		if d < m.first+day(m.length)-1 {
			days &= 1<<(d-m.first+2) - 1
		}
		if days != 0 {
			minute, _ := l.minuteUpTo(minutesOfDay - 1)
			return join(m.first+day(bits.Len64(days))-2, minute), true
		}
		m = m.previous()
	}
	return 0, false
}

// minuteFrom returns the line's earliest minute of a day that is not before one.
func (l line) minuteFrom(minute int) (int, bool) {
	hour := minute / 60
	if l.hours&(1<<hour) != 0 {
		if left := l.minutes &^ (1<<(minute%60) - 1); left != 0 {
			return hour*60 + bits.TrailingZeros64(left), true
		}
	}
	if later := l.hours &^ (1<<(hour+1) - 1); later != 0 {
		return bits.TrailingZeros64(later)*60 + bits.TrailingZeros64(l.minutes), true
	}
	return 0, false
}

// minuteUpTo returns the line's latest minute of a day that is not after one.
func (l line) minuteUpTo(minute int) (int, bool) {
	hour := minute / 60
	if l.hours&(1<<hour) != 0 {
		if left := l.minutes & (1<<(minute%60+1) - 1); left != 0 {
			return hour*60 + bits.Len64(left) - 1, true
		}
	}
	if earlier := l.hours & (1<<hour - 1); earlier != 0 {
		return (bits.Len64(earlier)-1)*60 + bits.Len64(l.minutes) - 1, true
	}
	return 0, false
}
