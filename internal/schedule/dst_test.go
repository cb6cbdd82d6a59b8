package schedule

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clockChanges are days on which clocks change, and what cron lines do on them. docs/schedules.md shows the same table.
var clockChanges = []struct {
	reason, zone, line, day string
	want                    []string
}{
	{"02:30 does not exist: once, right after the gap", "America/New_York", "30 2 * * *", "2026-03-08", []string{"03:00 -04:00"}},
	{"all that the gap skips is one tick, with 03:00 itself", "America/New_York", "*/30 1-3 * * *", "2026-03-08", []string{"01:00 -05:00", "01:30 -05:00", "03:00 -04:00", "03:30 -04:00"}},
	{"01:30 exists twice: once, at the first", "America/New_York", "30 1 * * *", "2026-11-01", []string{"01:30 -04:00"}},
	{"the second showing of an hour has no ticks", "America/New_York", "0 0-3 * * *", "2026-11-01", []string{"00:00 -04:00", "01:00 -04:00", "02:00 -05:00", "03:00 -05:00"}},
	{"a day of 23 hours has its daily tick", "America/New_York", "0 6 * * *", "2026-03-08", []string{"06:00 -04:00"}},
	{"01:15 does not exist", "Europe/London", "15 1 * * *", "2026-03-29", []string{"02:00 +01:00"}},
	{"midnight is not touched", "Europe/London", "@daily", "2026-03-29", []string{"00:00 +00:00"}},
	{"01:15 exists twice", "Europe/London", "15 1 * * *", "2026-10-25", []string{"01:15 +01:00"}},
	{"clocks skip half an hour", "Australia/Lord_Howe", "15 2 * * *", "2026-10-04", []string{"02:30 +11:00"}},
	{"02:30 itself is after the gap, and one with what it skips", "Australia/Lord_Howe", "0,15,30,45 2 * * *", "2026-10-04", []string{"02:30 +11:00", "02:45 +11:00"}},
	{"half an hour exists twice", "Australia/Lord_Howe", "45 1 * * *", "2026-04-05", []string{"01:45 +11:00"}},
	{"01:15 exists once, 01:45 twice", "Australia/Lord_Howe", "15,45 1,2 * * *", "2026-04-05", []string{"01:15 +11:00", "01:45 +11:00", "02:15 +10:30", "02:45 +10:30"}},
	{"02:30 does not exist", "Australia/Sydney", "30 2 * * *", "2026-10-04", []string{"03:00 +11:00"}},
	{"02:30 exists twice", "Australia/Sydney", "30 2 * * *", "2026-04-05", []string{"02:30 +11:00"}},
	{"03:00 exists once: its hour is not repeated", "Australia/Sydney", "0 3 * * *", "2026-04-05", []string{"03:00 +10:00"}},
	{"clocks never change", "Etc/UTC", "30 2 * * *", "2026-03-29", []string{"02:30 +00:00"}},
}

func TestClockChanges(t *testing.T) {
	for _, c := range clockChanges {
		t.Run(c.zone+" "+c.line+" "+c.day, func(t *testing.T) {
			t.Log(c.reason)
			ticks, err := Parse(c.line, c.zone)
			if err != nil {
				t.Fatal(err)
			}
			day, err := time.ParseInLocation(time.DateOnly, c.day, ticks.zone)
			if err != nil {
				t.Fatal(err)
			}
			end := day.AddDate(0, 0, 1).Add(-time.Second)
			var got []string
			for at := ticks.Next(day.Add(-time.Second)); !at.After(end); at = ticks.Next(at) {
				got = append(got, at.In(ticks.zone).Format("15:04 -07:00"))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("ticks (-want +got):\n%s", diff)
			}
			if n := ticks.Count(day.Add(-time.Second), end); n != int64(len(c.want)) {
				t.Errorf("Count = %d, want %d", n, len(c.want))
			}
		})
	}
}

// What the page promises is what is tested.
func TestPageShowsClockChanges(t *testing.T) {
	page, err := os.ReadFile("../../docs/schedules.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clockChanges {
		row := fmt.Sprintf("| %s | %s | `%s` | %s | %s |\n", c.zone, c.day, c.line, strings.Join(c.want, ", "), c.reason)
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/schedules.md lacks the row\n%s", row)
		}
	}
}
