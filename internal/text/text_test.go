package text_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dbt-operator/dbt-operator/internal/text"
)

func TestSentence(t *testing.T) {
	for name, c := range map[string]struct{ reason, in, want string }{
		"plain":      {"ended by a full stop", "no such file", "no such file."},
		"ended":      {"once", "Is it there?", "Is it there?"},
		"ellipsis":   {"an end of its own", "and so on…", "and so on…"},
		"lines":      {"one line", " a\nb\r\tc ", "a b  c."},
		"control":    {"a terminal is not told anything", "a\x1b\x00\x7fb", "ab."},
		"not UTF-8":  {"dropped", "a\xffb", "ab."},
		"empty":      {"no stop alone", " \n", ""},
		"wide runes": {"kept", "Größe…x", "Größe…x."},
	} {
		t.Run(name, func(t *testing.T) {
			if got := text.Sentence(c.in); got != c.want {
				t.Errorf("%s: got %q, want %q", c.reason, got, c.want)
			}
		})
	}
}

func TestCleanIsBounded(t *testing.T) {
	for _, in := range []string{strings.Repeat("x", 5000), strings.Repeat("ü", 5000), "a" + strings.Repeat("…", 5000)} {
		got := text.Clean(in)
		if len(got) > text.MaxSentence+len("…") || !utf8.ValidString(got) {
			t.Errorf("%d bytes, valid %t", len(got), utf8.ValidString(got))
		}
	}
}

func TestNamesAndCount(t *testing.T) {
	for want, in := range map[string][]string{"": nil, "a": {"a"}, "a, b, c": {"a", "b", "c"}, "a, b, c and 2 more": {"a", "b", "c", "d", "e"}} {
		if got := text.Names(in); got != want {
			t.Errorf("Names(%q) = %q, want %q", in, got, want)
		}
	}
	if text.Count(1, "node") != "1 node" || text.Count(0, "node") != "0 nodes" {
		t.Error("a count does not read as English")
	}
}
