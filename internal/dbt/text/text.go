package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line returns s as one clean line of at most limit bytes: line breaks and tabs become single spaces.
func Line(s string, limit int) string {
	return Cut(strings.Join(strings.Fields(Clean(s, 4*limit)), " "), limit)
}

// FirstLine returns the first line of s that holds anything, clean, of at most limit bytes.
func FirstLine(s string, limit int) string {
	for line := range strings.Lines(s) {
		if clean := Line(line, limit); clean != "" {
			return clean
		}
	}
	return ""
}

// Clean returns s as valid UTF-8 without ANSI sequences and control characters, line breaks and tabs kept, and at most
// limit bytes long. A string that is clean already is returned as it is.
func Clean(s string, limit int) string {
	if len(s) > 2*limit+1024 {
		s = s[:2*limit+1024] // what is behind cannot be in the result, unless nearly all before it is escapes
	}
	if isClean(s) {
		return Cut(s, limit)
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		if s[i] == 0x1b {
			i += escape(s[i:])
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteRune(utf8.RuneError)
		case r == '\r':
			if i+1 >= len(s) || s[i+1] != '\n' {
				b.WriteByte('\n')
			}
		case printable(r):
			b.WriteRune(r)
		}
		i += size
	}
	return Cut(b.String(), limit)
}

// isClean reports whether s is printable ASCII with line breaks and tabs.
func isClean(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' && c != '\n' && c != '\t') || c >= 0x7f {
			return false
		}
	}
	return true
}

// printable refuses control characters and format characters: among the latter are those that change the direction
// of text, with which one line can be made to look like another.
func printable(r rune) bool {
	return r == '\n' || r == '\t' || !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp)
}

// escape returns the length of the ANSI sequence s begins with (ECMA-48: CSI, OSC and the two-character kinds).
func escape(s string) int {
	if len(s) < 2 {
		return 1
	}
	switch s[1] {
	case '[':
		for i := 2; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return i + 1
			}
			if s[i] < 0x20 || s[i] > 0x3f {
				return i // not a sequence after all: keep what follows
			}
		}
		return len(s)
	case ']', 'P', '_', '^', 'X':
		return str(s)
	default:
		if s[1] >= 0x30 && s[1] <= 0x7e {
			return 2
		}
		return 1
	}
}

// str returns the length of a control string (OSC and its kin), which ends with BEL or ESC \ and, in what is not a
// real one, with the line.
func str(s string) int {
	for i := 2; i < len(s); i++ {
		switch s[i] {
		case 0x07:
			return i + 1
		case '\n':
			return i
		case 0x1b:
			if i+1 < len(s) && s[i+1] == '\\' {
				return i + 2
			}
			return i
		}
	}
	return len(s)
}

// Cut shortens s to at most limit bytes at a rune's edge, with an ellipsis in place of what is gone.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const ellipsis = "…"
	if limit < len(ellipsis) {
		return ""
	}
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}
