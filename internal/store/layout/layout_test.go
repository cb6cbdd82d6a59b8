package layout

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	idA = "aaaaaaaaaaaaaaaa"
	idB = "bbbbbbbbbbbbbbbb"
)

var (
	run  = Run{Namespace: "shop", UID: "uid-1"}
	part = Place{Run: run, Stream: "journal", Part: "pod-1"}
)

func base(to int64, id string) Object { return Object{Key: part.BaseKey(to, id), Size: to} }

func seg(from, size int64) Object { return Object{Key: part.SegmentKey(from), Size: size} }

func TestKeys(t *testing.T) {
	t.Parallel()
	want := []string{
		"runs/shop/uid-1/meta.json",
		"runs/shop/uid-1/streams/journal/pod-1/0000000000000000042.seg",
		"runs/shop/uid-1/streams/journal/pod-1/9223372036854775807.seg",
		"runs/shop/uid-1/streams/journal/pod-1/0000000000000000042-aaaaaaaaaaaaaaaa.base",
		"runs/shop/uid-1/streams/journal/.order/000007-pod-1",
		"runs/shop/uid-1/artifacts/manifest.json/current",
		"runs/shop/uid-1/artifacts/manifest.json/aaaaaaaaaaaaaaaa.data",
	}
	got := []string{
		run.MetaKey(),
		part.SegmentKey(42),
		part.SegmentKey(math.MaxInt64),
		part.BaseKey(42, idA),
		OrderPrefix(run, "journal") + OrderName(7, "pod-1"),
		CurrentKey(run, "manifest.json"),
		DataKey(run, "manifest.json", idA),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-want +got): a store that is in use has the old ones:\n%s", diff)
	}
	for _, key := range got {
		if r, ok := RunOf(key); !ok || r != run {
			t.Errorf("RunOf(%s) = %v, %v", key, r, ok)
		}
	}
	for _, key := range []string{"", "runs/", "runs/shop/uid-1", "other/shop/uid-1/x", "runs/Shop/uid-1/x", "runs//uid-1/x", "check/x/y/z"} {
		if r, ok := RunOf(key); ok {
			t.Errorf("RunOf(%s) = %v", key, r)
		}
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		reason  string
		objects []Object
		want    View
		err     string
	}{
		"Nothing": {"a part that has not begun", nil, View{}, ""},
		"Begun":   {"only the empty base", []Object{base(0, idA)}, View{Base: part.BaseKey(0, idA)}, ""},
		"Chain": {
			"segments follow each other, in whatever order they are listed",
			[]Object{seg(5, 7), base(0, idA), seg(0, 5)},
			View{Base: part.BaseKey(0, idA), Chain: []Segment{{part.SegmentKey(0), 0, 5}, {part.SegmentKey(5), 5, 7}}, End: 12},
			"",
		},
		"Gap": {
			"what follows a gap is no part of it",
			[]Object{base(0, idA), seg(0, 5), seg(6, 1)},
			View{Base: part.BaseKey(0, idA), Chain: []Segment{{part.SegmentKey(0), 0, 5}}, End: 5},
			"",
		},
		"Empty": {
			"an empty segment is what a power failure leaves",
			[]Object{base(0, idA), seg(0, 5), seg(5, 0)},
			View{Base: part.BaseKey(0, idA), Chain: []Segment{{part.SegmentKey(0), 0, 5}}, End: 5},
			"",
		},
		"Overlap": {
			"a segment that begins within another was never acknowledged",
			[]Object{base(0, idA), seg(0, 5), seg(3, 4), seg(5, 2)},
			View{Base: part.BaseKey(0, idA), Chain: []Segment{{part.SegmentKey(0), 0, 5}, {part.SegmentKey(5), 5, 2}}, End: 7},
			"",
		},
		"Compacted": {
			"a death after the new base was written: the old ones go, bases first",
			[]Object{seg(0, 5), seg(5, 7), base(0, idB), base(12, idA), seg(12, 1)},
			View{
				Base: part.BaseKey(12, idA), Begin: 12, Chain: []Segment{{part.SegmentKey(12), 12, 1}}, End: 13,
				Stale: []string{part.BaseKey(0, idB), part.SegmentKey(0), part.SegmentKey(5)},
			},
			"",
		},
		"Stray": {
			"a segment of a writer with an old idea of the end, longer than the base",
			[]Object{base(12, idA), seg(5, 20)},
			View{Base: part.BaseKey(12, idA), Begin: 12, End: 12, Stale: []string{part.SegmentKey(5)}},
			"",
		},
		"Twins": {
			"two compactions at once: the greater name, for everyone",
			[]Object{base(12, idB), base(12, idA)},
			View{Base: part.BaseKey(12, idB), Begin: 12, End: 12, Stale: []string{part.BaseKey(12, idA)}},
			"",
		},
		"Foreign": {
			"what a dead process or a person left is passed over",
			[]Object{
				base(0, idA),
				{Key: part.SegmentKey(0) + ".18ab.tmp", Size: 3},
				{Key: part.Prefix() + "readme", Size: 3},
				{Key: part.Prefix() + "0.seg", Size: 3},
				{Key: part.Prefix() + "-000000000000000001.seg", Size: 3},
				{Key: part.Prefix() + "9999999999999999999.seg", Size: 3},
				{Key: part.Prefix() + "0000000000000000003-x.base", Size: 3},
				{Key: part.Prefix() + "sub/0000000000000000000.seg", Size: 3},
			},
			View{Base: part.BaseKey(0, idA)},
			"",
		},
		"Huge": {
			"sizes that no store has",
			[]Object{base(0, idA), seg(0, math.MaxInt64), seg(math.MaxInt64, 1)},
			View{Base: part.BaseKey(0, idA), Chain: []Segment{{part.SegmentKey(0), 0, math.MaxInt64}}, End: math.MaxInt64},
			"",
		},
		"TornBase": {"a base that is not whole", []Object{{Key: part.BaseKey(12, idA), Size: 11}}, View{}, "has 11 bytes, not 12"},
		"NoBase":   {"somebody deleted it", []Object{seg(0, 5)}, View{}, "what they follow is not there"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Resolve(part.Prefix(), tc.objects)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("%s: %v; want an error that says %q", tc.reason, err, tc.err)
				}
				return
			}
			if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got):\n%s", tc.reason, err, diff)
			}
		})
	}
}

func TestPiece(t *testing.T) {
	t.Parallel()
	v, err := Resolve(part.Prefix(), []Object{base(3, idA), seg(3, 1), seg(4, 5)})
	if err != nil {
		t.Fatal(err)
	}
	want := "AAABCCCCC"
	names := map[string]byte{part.BaseKey(3, idA): 'A', part.SegmentKey(3): 'B', part.SegmentKey(4): 'C'}
	for i := range int64(len(want)) {
		key, from, to := v.Piece(i)
		if names[key] != want[i] || i < from || i >= to {
			t.Errorf("Piece(%d) = %s from %d to %d; want %c", i, key, from, to, want[i])
		}
	}
}

func TestReadOrder(t *testing.T) {
	t.Parallel()
	prefix := OrderPrefix(run, "journal")
	var objects []Object
	for _, name := range []string{
		"000003-pod-c", "000001-pod-z", "000002-pod-b", "000002-pod-a", "000004-pod-z", "000005-Pod", "5-pod-e", "000006-", "-00007-x", "000001-pod-z.1.tmp",
	} {
		objects = append(objects, Object{Key: prefix + name})
	}
	want := Order{Parts: []string{"pod-z", "pod-a", "pod-b", "pod-c"}, Last: 4}
	if diff := cmp.Diff(want, ReadOrder(prefix, objects)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodeCurrent(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("0f", 32)
	good := `{"bytes":12,"sha256":"` + digest + `","data":"` + idA + `"}`
	if got, err := DecodeCurrent([]byte(good)); err != nil || got != (Current{Bytes: 12, SHA256: digest, Data: idA}) {
		t.Errorf("DecodeCurrent(%s) = %+v, %v", good, got, err)
	}
	for reason, bad := range map[string]string{
		"torn":                   good[:40],
		"empty":                  "",
		"no JSON":                "<html>",
		"a path for an id":       strings.Replace(good, idA, "../../other/aaaa", 1),
		"a short id":             strings.Replace(good, idA, "aa", 1),
		"a negative size":        strings.Replace(good, "12", "-12", 1),
		"a digest in capitals":   strings.Replace(good, digest, strings.ToUpper(digest), 1),
		"a digest that is short": strings.Replace(good, digest, digest[2:], 1),
		"much too long":          good + strings.Repeat(" ", MaxCurrent),
	} {
		if got, err := DecodeCurrent([]byte(bad)); err == nil {
			t.Errorf("%s: DecodeCurrent = %+v", reason, got)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "0", "a-b", "pod-1", strings.Repeat("a", maxLabel), "5f0c2b1e-6d5c-4e0f-9a45-0b7a3d8c1f22"} {
		if err := CheckLabel("part", good); err != nil {
			t.Errorf("CheckLabel(%q): %v", good, err)
		}
	}
	for _, good := range []string{"a", "manifest.json", "run_results-1.json", "a.b.c", strings.Repeat("a", maxArtifact)} {
		if err := CheckArtifact(good); err != nil {
			t.Errorf("CheckArtifact(%q): %v", good, err)
		}
	}
	for _, bad := range []string{strings.Repeat("a", maxLabel+1), "a.b", "a_b", "-", "a-"} {
		if err := CheckLabel("part", bad); !errors.Is(err, ErrName) {
			t.Errorf("CheckLabel(%q): %v; want ErrName", bad, err)
		}
	}
	for _, bad := range []string{strings.Repeat("a", maxArtifact+1), ".", "..", "a..b", "a.", ".a", "_a"} {
		if err := CheckArtifact(bad); !errors.Is(err, ErrName) {
			t.Errorf("CheckArtifact(%q): %v; want ErrName", bad, err)
		}
	}
}
