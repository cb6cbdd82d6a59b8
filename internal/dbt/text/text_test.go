package text

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	tests := map[string]struct {
		reason string
		in     string
		limit  int
		want   string
	}{
		"Plain":       {"clean text is left alone", "a\tb\nc", 100, "a\tb\nc"},
		"Colour":      {"colours go", "[\x1b[31mERROR\x1b[0m in 1s]", 100, "[ERROR in 1s]"},
		"Title":       {"a window title goes", "\x1b]0;evil\x07x", 100, "x"},
		"OpenTitle":   {"an unfinished title does not swallow the next line", "\x1b]0;evil\nx", 100, "\nx"},
		"CRLF":        {"CRLF is one line break", "a\r\nb\rc", 100, "a\nb\nc"},
		"NUL":         {"NUL, BEL and DEL go", "a\x00b\x07c\x7fd", 100, "abcd"},
		"InvalidUTF8": {"invalid bytes become U+FFFD", "a\xffb", 100, "a\uFFFDb"},
		"Direction":   {"direction overrides go", "a\u202eb\u2066c\ufeffd", 100, "abcd"},
		"C1":          {"C1 controls go", "a\u009bb", 100, "ab"},
		"LoneEscape":  {"a lone escape goes, its neighbours stay", "a\x1b", 100, "a"},
		"Limit":       {"cut at a rune's edge", "aaéé", 5, "aa…"},
		"Tiny":        {"no room for an ellipsis", "abc", 2, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Clean(tc.in, tc.limit); got != tc.want {
				t.Errorf("%s: Clean(%q, %d) = %q, want %q", tc.reason, tc.in, tc.limit, got, tc.want)
			}
		})
	}
}

func TestLine(t *testing.T) {
	if got, want := Line("  a\r\n\tb  c ", 100), "a b c"; got != want {
		t.Errorf("Line = %q, want %q", got, want)
	}
	if got, want := FirstLine("\n \x1b[0m\nRuntime Error in x\n  more", 100), "Runtime Error in x"; got != want {
		t.Errorf("FirstLine = %q, want %q", got, want)
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "\x1b[", "\x1b]x", "\xff\x1b[31m", strings.Repeat("é", 50), "\r\r\n"} {
		f.Add(s, 20)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = max(0, min(limit, 1<<16))
		got := Clean(s, limit)
		if len(got) > limit || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\x1b\r\x7f") {
			t.Errorf("Clean(%q, %d) = %q", s, limit, got)
		}
		if again := Clean(got, limit); again != got {
			t.Errorf("Clean is not stable: %q, then %q", got, again)
		}
	})
}
