// Package text makes the sentences that users read in statuses and events: bounded, one line, valid UTF-8. It knows
// strings alone and never what they are about.
package text

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxSentence bounds a message in bytes: status.message holds at most 2 KiB.
const MaxSentence = 1900

// Sentence returns s cleaned, bounded and ended by a full stop.
func Sentence(s string) string {
	s = strings.TrimSpace(Clean(s))
	if s == "" || strings.ContainsRune(".!?…", lastRune(s)) {
		return s
	}
	return s + "."
}

// Clean returns s as one bounded line of valid UTF-8 without control characters.
func Clean(s string) string { return Cut(s, MaxSentence) }

// Cut returns s as one line of valid UTF-8 without control characters, of at most that many bytes and then an ellipsis.
func Cut(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case unicode.IsControl(r) || r == utf8.RuneError:
			return -1
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func lastRune(s string) rune {
	r, _ := utf8.DecodeLastRuneInString(s)
	return r
}

// FirstNonEmpty returns the first of its arguments that is not empty, or the empty string.
func FirstNonEmpty(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// Count returns "1 node" or "2 nodes".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Names returns at most three names for use in a Sentence.
func Names(all []string) string {
	const most = 3
	if len(all) <= most {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
}
