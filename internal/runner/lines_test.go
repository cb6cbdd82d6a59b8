package runner

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLineWriter(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	tests := map[string]struct {
		reason string
		writes []string
		want   []string
	}{
		"One":           {"a line", []string{"a\n"}, []string{"a"}},
		"Several":       {"several lines in one write", []string{"a\nb\nc\n"}, []string{"a", "b", "c"}},
		"Split":         {"a line in several writes", []string{"a", "b", "", "c\nd", "e\n"}, []string{"abc", "de"}},
		"CRLF":          {"a carriage return before the break goes", []string{"a\r\nb\r\n"}, []string{"a", "b"}},
		"SplitCRLF":     {"also when a write ends between the two", []string{"a\r", "\nb\r\n"}, []string{"a", "b"}},
		"LoneCR":        {"a carriage return elsewhere stays: it is a progress bar", []string{"1%\r2%\n"}, []string{"1%\r2%"}},
		"NoBreak":       {"a last line without a break", []string{"a\nb"}, []string{"a", "b"}},
		"Empty":         {"empty lines are lines", []string{"\n", "a\n\n", "\n"}, []string{"", "a", "", ""}},
		"Nothing":       {"nothing written, nothing said", []string{"", ""}, nil},
		"Longest":       {"a line of the greatest length is whole", []string{long + "\n"}, []string{long}},
		"LongestSplit":  {"also in two writes", []string{long[:100], long[100:], "\nb\n"}, []string{long, "b"}},
		"TooLong":       {"what is longer is cut, and its rest is no line", []string{long + "yyy\nb\n"}, []string{long, "b"}},
		"TooLongSplit":  {"also in many writes", []string{long[:maxLine-1], "xy", "yy", "y\nb\n"}, []string{long, "b"}},
		"TooLongNoEnd":  {"also without an end", []string{long + "y", "y"}, []string{long}},
		"TooLongEmpty":  {"an empty line behind it is still one", []string{long + "y\n\nb\n"}, []string{long, "", "b"}},
		"LongThenShort": {"the next line is not cut", []string{long + "y\n", "bcd\n"}, []string{long, "bcd"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			w := &lineWriter{emit: func(line []byte) { got = append(got, string(line)) }}
			for _, s := range tc.writes {
				if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
					t.Fatalf("Write = %d, %v, want %d, nil", n, err, len(s))
				}
			}
			w.Close()
			if !cmp.Equal(got, tc.want) {
				t.Errorf("%s: got %d lines, want %d: %.80q, want %.80q", tc.reason, len(got), len(tc.want), got, tc.want)
			}
		})
	}
}

// TestLineWriterKeepsLittle writes 50 MB without a line break, and again in lines of 10 MB.
func TestLineWriterKeepsLittle(t *testing.T) {
	for _, every := range []int{0, 10 << 20} {
		emitted, most := 0, 0
		w := &lineWriter{emit: func(line []byte) { emitted += len(line) }}
		chunk := bytes.Repeat([]byte("x"), 32<<10)
		for written := 0; written < 50<<20; written += len(chunk) {
			if every > 0 && written%every == 0 {
				chunk[0] = '\n'
			} else {
				chunk[0] = 'x'
			}
			_, _ = w.Write(chunk)
			most = max(most, cap(w.buf))
		}
		w.Close()
		if most > 2*maxLine {
			t.Errorf("break every %d bytes: kept %d bytes, want at most twice a line of %d", every, most, maxLine)
		}
		if emitted > 6*maxLine {
			t.Errorf("break every %d bytes: emitted %d bytes, want lines cut at %d", every, emitted, maxLine)
		}
		if cap(w.buf) > 1<<20 {
			t.Errorf("break every %d bytes: %d bytes are kept after the end", every, cap(w.buf))
		}
	}
}

func TestTail(t *testing.T) {
	var small tail
	for _, l := range []string{"a", "b", ""} {
		small.add(l)
	}
	if got := strings.Join(small.lines, "\n"); got != "a\nb\n" {
		t.Errorf("what fits is kept whole: %q", got)
	}
	var big tail
	for range 1000 {
		big.add(strings.Repeat("x", 100))
	}
	big.add(strings.Repeat("y", maxTail-200))
	big.add("last")
	got := strings.Join(big.lines, "\n")
	if len(got) > maxTail || !strings.HasSuffix(got, "y\nlast") {
		t.Errorf("kept %d bytes that end in %q, want at most %d that end with the last lines", len(got), got[max(0, len(got)-20):], maxTail)
	}
	big.add(strings.Repeat("z", 10*maxTail))
	if n := len(strings.Join(big.lines, "\n")); n > maxTail {
		t.Errorf("one long line keeps %d bytes, want at most %d", n, maxTail)
	}
}
