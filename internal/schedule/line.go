package schedule

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/robfig/cron/v3"
)

// maxLine bounds a cron line in bytes, as the CRD does.
const maxLine = 128

// line is a cron line as sets of bits: bit n of a field is value n.
type line struct {
	minutes, hours, days, months, weekdays uint64
	// anyDay and anyWeekday say that the field is a star, so that the other alone decides; a day matches either of the
	// two when both are given.
	anyDay, anyWeekday bool
}

// star is the bit by which the parser marks a field that is "*" or "?".
const star = 1 << 63

// parser is the one Kubernetes' CronJobs have, so that a line means the same in both. It panics on some lines that
// begin with TZ=, which never reach it.
var parser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// parseLine reads a cron line of five fields, or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly and
// @annually. It refuses whatever else the parser would take (TZ=, @every), and lines that never fire.
func parseLine(text string) (line, error) {
	refuse := func(why string) (line, error) {
		return line{}, fmt.Errorf("spec.schedule: %q %s", cut(text), why)
	}
	trimmed := strings.TrimSpace(text)
	switch {
	case len(text) > maxLine:
		return refuse(fmt.Sprintf("has %d characters: at most %d are taken", len(text), maxLine))
	case strings.Contains(trimmed, "="):
		return refuse("holds a time zone: put it in spec.timeZone")
	case strings.HasPrefix(trimmed, "@every"):
		return refuse("has no fixed times: write the times as five cron fields, such as \"*/15 * * * *\"")
	case strings.HasPrefix(trimmed, "@"):
		trimmed = strings.ToLower(trimmed)
	case strings.ContainsFunc(trimmed, foreign):
		return refuse("holds characters that no cron line has: write five cron fields, such as \"0 6 * * 1-5\"")
	case len(strings.Fields(trimmed)) != 5:
		return refuse(fmt.Sprintf("has %d fields: write five (minute, hour, day of month, month, day of week), such as \"0 6 * * 1-5\"", len(strings.Fields(trimmed))))
	}
	parsed, err := parser.Parse(trimmed)
	if err != nil {
		return refuse(fmt.Sprintf("is no cron line: %v", err))
	}
	fields, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return refuse("has no fixed times: write the times as five cron fields, such as \"*/15 * * * *\"")
	}
	l := line{
		minutes: fields.Minute &^ star, hours: fields.Hour &^ star, days: fields.Dom &^ star,
		months: fields.Month &^ star, weekdays: fields.Dow &^ star,
		anyDay: fields.Dom&star != 0, anyWeekday: fields.Dow&star != 0,
	}
	if l.minutes == 0 || l.hours == 0 || l.days == 0 || l.months == 0 || l.weekdays == 0 {
		return refuse("has an empty field: write five cron fields, such as \"0 6 * * 1-5\"")
	}
	if !l.fires() {
		return refuse("never fires: no month it names has the day of month it names")
	}
	return l, nil
}

// foreign reports whether a character can stand in no field of a cron line.
func foreign(r rune) bool {
	switch {
	case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z':
		return false
	}
	return !strings.ContainsRune("*?,-/ ", r)
}

// fires reports whether any day matches, in a leap year or another.
func (l line) fires() bool {
	if l.anyDay || !l.anyWeekday {
		return true
	}
	first := bits.TrailingZeros64(l.days)
	for month, days := range [...]int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31} {
		if l.months&(1<<(month+1)) != 0 && first <= days {
			return true
		}
	}
	return false
}

// cut bounds a text that is repeated in a message.
func cut(text string) string {
	const most = 64
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
