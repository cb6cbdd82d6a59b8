package runner

import "strings"

// Databases quote the SQL they could not run, and cut long lines of it where they please: DuckDB's messages show 40
// characters around the mistake, with three dots for the rest. Half a secret is no known value; but what stands next to
// the dots and begins, or ends, as a known value does is taken for one.

// reach is how far from the dots a piece of a secret may begin or end.
const reach = 512

// cuts finds pieces of known values by their first and their last bytes.
type cuts struct{ heads, tails map[string][]string }

func newCuts(values []string) cuts {
	c := cuts{heads: map[string][]string{}, tails: map[string][]string{}}
	for _, v := range values {
		if len(v) > minSecret {
			head, tail := v[:minSecret], v[len(v)-minSecret:]
			c.heads[head], c.tails[tail] = append(c.heads[head], v), append(c.tails[tail], v)
		}
	}
	return c
}

// redact replaces pieces of known values that end or begin at dots.
func (c cuts) redact(s string) string {
	if len(c.heads) == 0 {
		return s
	}
	for _, dots := range []string{"...", "…"} {
		if strings.Contains(s, dots) {
			s = c.at(s, dots)
		}
	}
	return s
}

func (c cuts) at(s, dots string) string {
	var out strings.Builder
	for {
		i := strings.Index(s, dots)
		if i < 0 {
			out.WriteString(s)
			return out.String()
		}
		before, after := s[:i], s[i+len(dots):]
		if more := len(after) - len(strings.TrimLeft(after, ".")); more > 0 {
			// A row of dots leads the eye to the end of a line, as in dbt's START.
			out.WriteString(s[:i+len(dots)+more])
			s = after[more:]
			continue
		}
		if from := c.begins(before); from >= 0 {
			before = before[:from] + redacted
		}
		out.WriteString(before + dots)
		s = c.without(after)
	}
}

// begins returns where in the end of s a known value begins that s does not hold whole, or -1.
func (c cuts) begins(s string) int {
	for from := max(0, len(s)-reach); from+minSecret <= len(s); from++ {
		for _, v := range c.heads[s[from:from+minSecret]] {
			if strings.HasPrefix(v, s[from:]) {
				return from
			}
		}
	}
	return -1
}

// without returns s less the end of a known value that it begins with.
func (c cuts) without(s string) string {
	for to := min(len(s), reach); to >= minSecret; to-- {
		for _, v := range c.tails[s[to-minSecret:to]] {
			if strings.HasSuffix(v, s[:to]) {
				return redacted + s[to:]
			}
		}
	}
	return s
}
