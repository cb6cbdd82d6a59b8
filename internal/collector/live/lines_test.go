package live

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// incremental folds b in the given chunks, anew where it must be, and returns the entries.
func incremental(b []byte, cuts []int) []journal.Entry {
	var l lines
	var got []journal.Entry
	each := func(e journal.Entry) { got = append(got, e) }
	from := 0
	for _, to := range append(cuts, len(b)) {
		if !l.feed(b[from:to], each) || !l.settle(each) {
			l, got = lines{}, nil
			l.feed(b[:to], each)
			l.settle(each)
		}
		from = to
	}
	return got
}

func decoded(t testing.TB, b []byte) []journal.Entry {
	t.Helper()
	var want []journal.Entry
	if _, err := journal.DecodeEntries(bytes.NewReader(b), func(e journal.Entry) error {
		want = append(want, e)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return want
}

func TestLinesGiveWhatAFreshFoldGives(t *testing.T) {
	entry := func(id string) string { return `{"k":"start","node":{"id":"` + id + `"}}` }
	long := func(n int) string {
		return `{"k":"begin","pod":"` + strings.Repeat("x", n-len(`{"k":"begin","pod":""}`)) + `"}`
	}
	for name, c := range map[string]struct{ reason, in string }{
		"lines":               {"the usual", entry("a") + "\n" + entry("b") + "\n"},
		"torn":                {"the pod died as it wrote", entry("a") + "\n" + entry("b")[:20]},
		"no last line break":  {"it is an entry all the same", entry("a") + "\n" + entry("b")},
		"spaces behind":       {"they change nothing", entry("a") + " \t\r\n" + entry("b") + "  "},
		"rubbish behind":      {"what was an entry is none", entry("a") + "x\n" + entry("b")},
		"an end too many":     {"what was an entry is none", entry("a") + "}"},
		"rubbish":             {"skipped", "hello\n\n\xff\n" + entry("a") + "\n{}\n"},
		"as long as may be":   {"an entry", long(journal.MaxEntry) + "\n" + entry("b")},
		"too long by one":     {"none", long(journal.MaxEntry+1) + "\n" + entry("b")},
		"too long by its end": {"spaces count", entry("a") + strings.Repeat(" ", journal.MaxEntry) + "\n" + entry("b")},
		"much too long":       {"none", long(3*journal.MaxEntry) + "\n" + entry("b") + "\n"},
		"long without an end": {"none", entry("a") + "\n" + long(journal.MaxEntry+1)},
		"nothing":             {"nothing", ""},
	} {
		t.Run(name, func(t *testing.T) {
			want := decoded(t, []byte(c.in))
			r := rand.New(rand.NewPCG(1, 2))
			for range 50 {
				var cuts []int
				for range r.IntN(5) {
					cuts = append(cuts, r.IntN(len(c.in)+1))
				}
				if i := strings.IndexByte(c.in, '}'); i > 0 && r.IntN(2) == 0 {
					cuts = append(cuts, i+1)
				}
				slices.Sort(cuts)
				if diff := cmp.Diff(want, incremental([]byte(c.in), cuts)); diff != "" {
					t.Fatalf("%s: cut at %v (-want +got):\n%.500s", c.reason, cuts, diff)
				}
			}
		})
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte(`{"k":"begin","pod":"p"}`+"\n"+`{"k":"start","node":{"id":"a"}}`), uint16(23), uint16(24))
	f.Add([]byte(`{"k":"begin"}x`+"\n"+`{"k":"end"}`), uint16(13), uint16(14))
	f.Add([]byte("{\n}\n"), uint16(1), uint16(2))
	f.Fuzz(func(t *testing.T, b []byte, one, two uint16) {
		cuts := []int{min(int(one), len(b)), min(int(two), len(b))}
		slices.Sort(cuts)
		if diff := cmp.Diff(decoded(t, b), incremental(b, cuts)); diff != "" {
			t.Errorf("cut at %v (-want +got):\n%s", cuts, diff)
		}
	})
}
