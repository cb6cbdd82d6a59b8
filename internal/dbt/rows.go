package dbt

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	// statement is a command tag of PostgreSQL and those that speak like it, such as "INSERT 0 5".
	// https://www.postgresql.org/docs/current/protocol-message-formats.html
	statement = regexp.MustCompile(`^(?:SELECT|INSERT|INSERT 0|UPDATE|DELETE|MERGE|COPY) ([0-9]{1,15})$`)
	// bigQuery is how dbt-bigquery puts it, such as "CREATE TABLE (12.0 rows, 2.0 MiB processed)". From a thousand on it
	// rounds, and a rounded number is none.
	bigQuery = regexp.MustCompile(`\(([0-9]{1,3})\.0 rows[,)]`)
)

// rows returns how many rows a result says were affected, or found by a test.
func rows(e Event) int64 {
	if e.Data.Failures > 0 {
		return int64(e.Data.Failures)
	}
	for _, form := range []*regexp.Regexp{statement, bigQuery} {
		if found := form.FindStringSubmatch(e.Data.Adapter); found != nil {
			n, err := strconv.ParseInt(found[1], 10, 64)
			if err == nil {
				return n
			}
		}
	}
	return 0
}

// millis returns a time of dbt's as Unix milliseconds, 0 for what is none. dbt 1.x leaves the zone out.
func millis(s string) int64 {
	const seconds = len("2006-01-02T15:04:05")
	if len(s) < seconds {
		return 0
	}
	if !strings.ContainsAny(s[seconds:], "Z+-") {
		s += "Z"
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0
	}
	return max(0, t.UnixMilli())
}
