package live

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

func member(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func logLines(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "12:00:00  line %d of the log: %x\n", i, i*7919)
	}
	return b.String()
}

func TestTailIsTheEndOfTheLog(t *testing.T) {
	text := logLines(0, 20000)
	want := text[len(text)-maxTail:]
	want = want[strings.IndexByte(want, '\n')+1:]
	for name, size := range map[string]int{"small members": 700, "members of a tail's size": maxTail, "large members": 90 << 10} {
		t.Run(name, func(t *testing.T) {
			var log []byte
			for rest := text; rest != ""; {
				n := min(size, len(rest))
				log = append(log, member(t, rest[:n])...)
				rest = rest[n:]
			}
			var tl tail
			r := rand.New(rand.NewPCG(3, 4))
			for rest := log; len(rest) > 0; {
				n := min(1+r.IntN(3000), len(rest))
				tl.add(rest[:n])
				rest = rest[n:]
			}
			if got := tl.lines(); got != want {
				t.Errorf("got %d bytes, want %d:\n%s", len(got), len(want), got)
			}
		})
	}
}

func TestTailBearsWhatItIsGiven(t *testing.T) {
	a, b := member(t, "first\n"), member(t, "second\n"+logLines(0, 50))
	for name, c := range map[string]struct {
		reason string
		log    []byte
		want   string
	}{
		"nothing":            {"no log, no tail", nil, ""},
		"a torn end":         {"as far as it goes", append(bytes.Clone(a), b[:len(b)-12]...), "first\nsecond\n"},
		"a torn magic":       {"what came before", append(bytes.Clone(a), b[:2]...), "first\n"},
		"a torn header":      {"what came before", append(bytes.Clone(a), b[:6]...), "first\n"},
		"no beginning":       {"of a window the first member is cut", append(bytes.Clone(b[40:]), a...), "first\n"},
		"no gzip":            {"nothing is made of it", []byte("hello\n"), ""},
		"a false beginning":  {"it is no member", append(append(bytes.Clone(a), magic...), "garbage and more of it"...), ""},
		"control characters": {"a status and a terminal are not told anything", member(t, "a\x1b[31mred\x1b[0m\x00\r\nb\xff\n"), "ared\nb�\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var tl tail
			tl.add(c.log)
			got := tl.lines()
			if name == "a torn end" {
				if !strings.HasPrefix(got, c.want) {
					t.Errorf("%s: got %q", c.reason, got)
				}
				return
			}
			if got != c.want {
				t.Errorf("%s: got %q, want %q", c.reason, got, c.want)
			}
		})
	}
}

// Bytes that grow a thousandfold, and bytes full of beginnings, must not cost more than the budget.
func TestTailOfAHostileLog(t *testing.T) {
	bomb := member(t, strings.Repeat("x", 64<<20))
	budget := tailBudget
	if _, end := inflate(bomb, &budget); end != corrupt || budget < -3*maxTail {
		t.Errorf("a member of 64 MiB: end %d, %d bytes over the budget", end, -budget)
	}
	var tl tail
	tl.add(bomb)
	tl.add(bytes.Repeat(magic, 40<<10))
	if got := tl.lines(); len(got) > maxTail {
		t.Errorf("a tail of %d bytes", len(got))
	}
	if len(tl.window) > 2*tailWindow {
		t.Errorf("%d bytes are kept", len(tl.window))
	}
}

func FuzzTail(f *testing.F) {
	f.Add(member(f, "hello\n"), []byte("x"))
	f.Add([]byte("\x1f\x8b\x08\x00"), member(f, "a")[:12])
	f.Fuzz(func(t *testing.T, one, two []byte) {
		var tl tail
		tl.add(one)
		_ = tl.lines()
		tl.add(two)
		if got := tl.lines(); len(got) > maxTail || !utf8.ValidString(got) {
			t.Errorf("%q", got)
		}
	})
}
