package schedule

import (
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
)

func TestLinesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		reason, line, want string
	}{
		"empty":             {"no line", "", "has 0 fields"},
		"zone inside":       {"input 21; the parser panics on some", "TZ=Europe/Lisbon 0 6 * * *", "put it in spec.timeZone"},
		"zone alone":        {"the parser panics on this one", "TZ=0", "put it in spec.timeZone"},
		"cron zone":         {"the other spelling", "CRON_TZ=UTC 0 6 * * *", "put it in spec.timeZone"},
		"every":             {"input 21: no fixed times, so no name for a run", "@every 0s", "has no fixed times"},
		"every hour":        {"the same", "@every 1h", "has no fixed times"},
		"reboot":            {"no time at all", "@reboot", "is no cron line"},
		"seconds":           {"six fields", "0 0 6 * * *", "has 6 fields"},
		"four fields":       {"one is missing", "0 6 * *", "has 4 fields"},
		"31 February":       {"input 21: it never fires", "* * 31 2 *", "never fires"},
		"30 February":       {"nor does this", "0 0 30 FEB *", "never fires"},
		"31 of short":       {"none of these has 31 days", "0 0 31 4,6,9,11 ?", "never fires"},
		"minute 60":         {"past the hour", "60 * * * *", "above maximum"},
		"hour 24":           {"past the day", "0 24 * * *", "above maximum"},
		"day 0":             {"days begin at 1", "0 0 0 * *", "below minimum"},
		"weekday 7":         {"Sunday is 0, as for CronJobs", "0 0 * * 7", "above maximum"},
		"step 0":            {"it would never end", "*/0 * * * *", "positive number"},
		"huge step":         {"no number", "*/99999999999999999999 * * * *", "is no cron line"},
		"backwards":         {"a range has a beginning before its end", "0 22-6 * * *", "beyond end of range"},
		"empty list":        {"the parser takes it for no minute at all", ", * * * *", "has an empty field"},
		"last day":          {"an extension that CronJobs do not have", "0 0 L * *", "is no cron line"},
		"line break":        {"a second line", "0 6 * * *\n0 7 * * *", "characters that no cron line has"},
		"other script":      {"digits of another script", "٠ ٦ * * *", "characters that no cron line has"},
		"invalid UTF-8":     {"no text", "0 6 * * \xff", "characters that no cron line has"},
		"129 characters":    {"bounded", "0 6 * * *" + strings.Repeat(" ", 120), "at most 128"},
		"10,000 characters": {"input 19: not repeated in the message", strings.Repeat("1,", 5000) + "1 * * * *", "at most 128"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(c.reason)
			_, err := Parse(c.line, "Etc/UTC")
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "spec.schedule: ") || len(err.Error()) > 400 {
				t.Errorf("got %v, want an error of spec.schedule with %q", err, c.want)
			}
		})
	}
}

func TestZonesThatAreRefused(t *testing.T) {
	for _, zone := range []string{"Mars/Olympus", "Local", "../etc/passwd", "/etc/localtime", "Europe/Lisbon ", strings.Repeat("x", 10000), "UTC+1"} {
		_, err := Parse("0 6 * * *", zone)
		if err == nil || !strings.HasPrefix(err.Error(), "spec.timeZone: ") || len(err.Error()) > 200 {
			t.Errorf("zone %q: got %v, want an error of spec.timeZone", zone, err)
		}
	}
}

func TestNextOfLines(t *testing.T) {
	after := time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC) // a Tuesday
	for _, c := range []struct{ reason, line, want string }{
		{"every weekday", "0 6 * * 1-5", "2026-11-25T06:00:00Z"},
		{"names", "30 7 * DEC SUN", "2026-12-06T07:30:00Z"},
		{"either day field, when both are given", "0 0 13 * 5", "2026-11-27T00:00:00Z"},
		{"both, when one is a star", "0 0 13 * *", "2026-12-13T00:00:00Z"},
		{"a star with a step counts as given, as for CronJobs", "0 0 1 * */2", "2026-11-26T00:00:00Z"},
		{"steps", "5/20 * * * *", "2026-11-24T06:05:00Z"},
		{"lists of ranges", "0 1-2,22-23 * * *", "2026-11-24T22:00:00Z"},
		{"a descriptor", "@monthly", "2026-12-01T00:00:00Z"},
		{"a descriptor in capitals", "@Hourly", "2026-11-24T07:00:00Z"},
		{"spaces around", "  0   7 * *  * ", "2026-11-24T07:00:00Z"},
		{"a leap day", "0 0 29 2 *", "2028-02-29T00:00:00Z"},
		{"the 31st of months that have one", "0 0 31 * *", "2026-12-31T00:00:00Z"},
	} {
		ticks, err := Parse(c.line, "")
		if err != nil {
			t.Errorf("%s: %q: %v", c.reason, c.line, err)
			continue
		}
		if got := ticks.Next(after).Format(time.RFC3339); got != c.want {
			t.Errorf("%s: %q ticks next at %s, want %s", c.reason, c.line, got, c.want)
		}
	}
}

// The rarest line there is: around 2100 there is no leap day for eight years.
func TestLeapDayAroundACentury(t *testing.T) {
	ticks, err := Parse("0 0 29 2 *", "Etc/UTC")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2096, 3, 1, 0, 0, 0, 0, time.UTC)
	if got := ticks.Next(at); got.Year() != 2104 {
		t.Errorf("next is %s", got)
	}
	if got := ticks.Newest(time.Time{}, time.Date(2104, 2, 28, 0, 0, 0, 0, time.UTC), 1); len(got) != 1 || got[0].Year() != 2096 {
		t.Errorf("newest is %v", got)
	}
}

// No text makes the guard panic or loop, and what it takes has ticks.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"0 6 * * 1-5", "@hourly", "@every 0s", "TZ=0", "TZ=TZ=TZ=", "CRON_TZ=UTC * * * * *", "* * 31 2 *", "*/0 * * * *", ", , , , ,",
		"*/99999999999 * * * *", "0-59/59 0-23/23 1-31/31 JAN-DEC SUN-SAT", "? ? ? ? ?", "\x00", "1-2-3 * * * *", "1/2/3 * * * *",
	} {
		f.Add(seed, "Europe/Lisbon")
	}
	f.Add("0 6 * * *", "../../etc/passwd")
	f.Fuzz(func(t *testing.T, text, zone string) {
		ticks, err := Parse(text, zone)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
			return
		}
		at := time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
		next := ticks.Next(at)
		if !next.After(at) || next.After(at.AddDate(9, 0, 0)) || !ticks.Has(next) {
			t.Errorf("%q in %q ticks next at %s", text, zone, next)
		}
		if got := ticks.Newest(at, next, 2); len(got) != 1 || !got[0].Equal(next) {
			t.Errorf("%q in %q: newest is %v, next %s", text, zone, got, next)
		}
	})
}

// Where clocks do not change, ticks are those that a CronJob has.
func TestSameAsCronJobs(t *testing.T) {
	for _, text := range []string{"0 6 * * 1-5", "*/7 3,4 1-7 * MON", "0 0 13 * 5", "5/20 * */2 */3 *", "@weekly", "59 23 31 12 ?"} {
		theirs, err := cron.ParseStandard(text)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := Parse(text, "Etc/UTC")
		if err != nil {
			t.Fatal(err)
		}
		for i, at := 0, time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC); i < 500; i++ {
			want := theirs.Next(at)
			if at = ours.Next(at); !at.Equal(want) {
				t.Fatalf("%q: tick %d is %s, a CronJob's %s", text, i, at, want)
			}
		}
	}
}
