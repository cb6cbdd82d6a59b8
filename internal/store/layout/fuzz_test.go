package layout

import (
	"encoding/json"
	"path"
	"strings"
	"testing"
)

func FuzzDecodeCurrent(f *testing.F) {
	f.Add([]byte(`{"bytes":12,"sha256":"` + strings.Repeat("0f", 32) + `","data":"` + idA + `"}`))
	f.Add([]byte(`{"bytes":1e3,"data":"../../x"}`))
	f.Add([]byte(`{"bytes"`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeCurrent(b)
		if err != nil {
			return
		}
		key := DataKey(run, "manifest.json", c.Data)
		if c.Bytes < 0 || path.Clean(key) != key || !strings.HasPrefix(key, ArtifactsPrefix(run)) {
			t.Errorf("%q leads to %s", b, key)
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeCurrent(again); err != nil || got != c {
			t.Errorf("%+v is written and read as %+v, %v", c, got, err)
		}
	})
}

// FuzzNames sees to it that no name that is let through leads out of its run.
func FuzzNames(f *testing.F) {
	for _, name := range []string{"a", "manifest.json", "../x", "a/b", "a\x00", "a..b", "-", strings.Repeat("a", 200)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		inside := func(key, prefix string) {
			if path.Clean(key) != key || !strings.HasPrefix(key, prefix) || strings.Count(key, "/") != strings.Count(prefix, "/")+1 ||
				strings.ContainsAny(key, "\x00\\%") {
				t.Errorf("the name %q leads to %q", name, key)
			}
		}
		if CheckArtifact(name) == nil {
			inside(CurrentKey(run, name), ArtifactsPrefix(run))
		}
		if CheckLabel("name", name) == nil {
			r := Run{Namespace: name, UID: name}
			inside(r.MetaKey(), Runs+name+"/")
			p := Place{Run: run, Stream: "journal", Part: name}
			inside(p.SegmentKey(0), run.Prefix()+"streams/journal/")
			if got, ok := RunOf(r.MetaKey()); !ok || got != r {
				t.Errorf("the run of %s is %v, %v", r.MetaKey(), got, ok)
			}
		}
	})
}

// FuzzResolve lists whatever a bucket may hold.
func FuzzResolve(f *testing.F) {
	f.Add(part.BaseKey(0, idA)+"\n"+part.SegmentKey(0)+"\n"+part.SegmentKey(5), int64(5))
	f.Add(part.BaseKey(12, idA)+"\n"+part.BaseKey(12, idB)+"\n"+part.SegmentKey(7), int64(12))
	f.Add("x", int64(-1))
	f.Fuzz(func(t *testing.T, keys string, size int64) {
		var objects []Object
		for key := range strings.SplitSeq(keys, "\n") {
			objects = append(objects, Object{Key: key, Size: size})
		}
		v, err := Resolve(part.Prefix(), objects)
		if err != nil {
			return
		}
		if v.End < v.Begin || v.Begin < 0 {
			t.Fatalf("%+v", v)
		}
		at := v.Begin
		for _, s := range v.Chain {
			if s.From != at || s.Size <= 0 {
				t.Fatalf("%+v does not follow %d", s, at)
			}
			at += s.Size
		}
		if at != v.End {
			t.Fatalf("it ends at %d, not at %d", v.End, at)
		}
		if v.End > 0 {
			for _, offset := range []int64{0, v.End / 2, v.End - 1} {
				if key, from, to := v.Piece(offset); key == "" || offset < from || offset >= to {
					t.Fatalf("Piece(%d) = %s, %d, %d", offset, key, from, to)
				}
			}
		}
	})
}
