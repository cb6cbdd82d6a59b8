package schedule

import (
	"testing"
	"time"
	_ "time/tzdata" // the zones are the same on every machine

	"pgregory.net/rapid"
)

// everyTick finds ticks the slow way: it looks at every minute that the zone's clocks show, remembers how far they have
// come, and so sees what they skip and what they show twice. From and upTo are whole minutes; ticks after from count.
func everyTick(l line, zone *time.Location, from, upTo time.Time) []time.Time {
	var out []time.Time
	shown := civil(0)
	begin := from.Add(-49 * time.Hour).Truncate(time.Minute)
	for at := begin; !at.After(upTo); at = at.Add(time.Minute) {
		local := at.In(zone)
		now := civil(time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), 0, 0, time.UTC).Unix() / 60)
		if at.Equal(begin) {
			shown = now
			continue
		}
		due := false
		for c := shown + 1; c <= now; c++ {
			due = due || slowHas(l, c)
		}
		shown = max(shown, now)
		if due && at.After(from) {
			out = append(out, at.UTC())
		}
	}
	return out
}

// slowHas is what a cron line means, word by word.
func slowHas(l line, c civil) bool {
	t := time.Unix(int64(c)*60, 0).UTC()
	bit := func(set uint64, n int) bool { return set>>n&1 == 1 }
	if !bit(l.minutes, t.Minute()) || !bit(l.hours, t.Hour()) || !bit(l.months, int(t.Month())) {
		return false
	}
	day, weekday := bit(l.days, t.Day()), bit(l.weekdays, int(t.Weekday()))
	if l.anyDay || l.anyWeekday {
		return day && weekday
	}
	return day || weekday
}

// restless are zones with changes of an hour, half an hour and a day, twice a year, for Ramadan, or not at all.
var restless = []string{
	"Etc/UTC", "America/New_York", "Europe/London", "Australia/Lord_Howe", "Australia/Sydney", "Africa/Casablanca",
	"Pacific/Apia", "Asia/Kathmandu", "America/Sao_Paulo", "Europe/Lisbon", "Asia/Gaza", "Antarctica/Troll",
	"America/St_Johns", "Asia/Tehran", "Pacific/Kwajalein", "America/Caracas", "Asia/Pyongyang",
}

func anyField(t *rapid.T, name string, low, high int) string {
	value := rapid.IntRange(low, high)
	item := rapid.Custom(func(t *rapid.T) string {
		a, b := value.Draw(t, "a"), value.Draw(t, "b")
		step := rapid.SampledFrom([]string{"", "/1", "/2", "/7", "/15"}).Draw(t, "step")
		return rapid.SampledFrom([]string{
			"*" + step, itoa(a), itoa(a) + step, itoa(min(a, b)) + "-" + itoa(max(a, b)) + step,
		}).Draw(t, "item")
	})
	field := ""
	for i, s := range rapid.SliceOfN(item, 1, 3).Draw(t, name) {
		if i > 0 {
			field += ","
		}
		field += s
	}
	return field
}

func itoa(n int) string { return string(rune('0'+n/10)) + string(rune('0'+n%10)) }

// anyLine draws lines of every kind, often ones around the hours at which clocks change.
func anyLine(t *rapid.T) line {
	for {
		hour := rapid.SampledFrom([]string{"", "*", "0", "1", "2", "3", "1-3", "23"}).Draw(t, "usual hour")
		if hour == "" {
			hour = anyField(t, "hour", 0, 23)
		}
		dom, month, dow := "*", "*", "*"
		if rapid.Bool().Draw(t, "days") {
			dom, month, dow = anyField(t, "dom", 1, 31), anyField(t, "month", 1, 12), anyField(t, "dow", 0, 6)
		}
		l, err := parseLine(anyField(t, "minute", 0, 59) + " " + hour + " " + dom + " " + month + " " + dow)
		if err == nil {
			return l
		}
	}
}

// anyWindow draws a stretch of some days, mostly one with a change of the clocks in it.
func anyWindow(t *rapid.T, zone *time.Location) (from, upTo time.Time) {
	at := time.Unix(rapid.Int64Range(1262304000, 1893456000).Draw(t, "at"), 0).In(zone) // 2010 to 2030
	if _, change := at.ZoneBounds(); !change.IsZero() && rapid.IntRange(0, 3).Draw(t, "near a change") > 0 {
		at = change
	}
	before := time.Duration(rapid.IntRange(0, 4000).Draw(t, "minutes before")) * time.Minute
	length := time.Duration(rapid.IntRange(0, 9000).Draw(t, "minutes")) * time.Minute
	from = at.Add(-before).Truncate(time.Minute).UTC()
	return from, from.Add(length)
}

// Next, Newest, Count and Has agree with the slow way, for lines, zones and stretches of time of every kind.
func TestTicksAreThoseOfTheWallClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone, err := loadZone(rapid.SampledFrom(restless).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		ticks := Ticks{line: anyLine(t), zone: zone}
		from, upTo := anyWindow(t, zone)
		want := everyTick(ticks.line, zone, from, upTo)
		if got := ticks.Count(from, upTo); got != int64(len(want)) {
			t.Fatalf("Count(%s, %s) = %d, want %d", from, upTo, got, len(want))
		}
		n := rapid.IntRange(1, 20).Draw(t, "n")
		newest := ticks.Newest(from, upTo, n)
		for i, tick := range newest {
			if w := want[len(want)-len(newest)+i]; !tick.Equal(w) {
				t.Fatalf("Newest(…, %d)[%d] = %s, want %s", n, i, tick, w)
			}
		}
		if len(newest) != min(n, len(want)) {
			t.Fatalf("Newest(…, %d) has %d, want %d", n, len(newest), min(n, len(want)))
		}
		at := from
		for i, w := range want {
			if at = ticks.Next(at); !at.Equal(w) {
				t.Fatalf("tick %d is %s, want %s", i, at, w)
			}
			if !ticks.Has(at) || ticks.Has(at.Add(time.Second)) {
				t.Fatalf("Has does not know %s", at)
			}
		}
		if next := ticks.Next(at); !next.After(upTo) {
			t.Fatalf("Next(%s) = %s, which is not after %s", at, next, upTo)
		}
	})
}
