package ship

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func TestSpool(t *testing.T) {
	dir := t.TempDir()
	s := &spool{dir: dir}
	defer s.close()
	random := rand.New(rand.NewPCG(3, 4))
	var want []byte
	chunk := make([]byte, 3<<20)
	for range 20 {
		p := chunk[:random.IntN(len(chunk))]
		for i := 0; i < len(p); i += 512 {
			p[i] = byte(random.Uint32())
		}
		if err := s.append(p, false); err != nil {
			t.Fatal(err)
		}
		want = append(want, p...)
	}
	if len(s.segments) < 2 {
		t.Fatalf("%d bytes in %d files: this test proves nothing", len(want), len(s.segments))
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("the spool's files have names: %v", entries)
	}
	buf := make([]byte, 1<<20)
	for range 200 {
		at := random.IntN(len(want))
		n, err := s.read(buf, int64(at))
		if wantN := min(len(buf), len(want)-at); n != wantN || err != nil || !bytes.Equal(buf[:n], want[at:at+n]) {
			t.Fatalf("reading at %d: %d bytes, %v, want %d bytes as they were written", at, n, err, wantN)
		}
	}
	s.giveUp(s.end)
	if len(s.segments) != 1 || s.start != s.segments[0].start {
		t.Errorf("given up all: %d files from %d on, want the last one", len(s.segments), s.start)
	}
	if _, err := s.read(buf, 0); !errors.Is(err, errGone) {
		t.Errorf("reading what was given up: %v", err)
	}
	if n, err := s.read(buf, s.end); n != 0 || err != nil {
		t.Errorf("reading at the end: %d, %v", n, err)
	}
}

func TestSpoolLimit(t *testing.T) {
	s := &spool{dir: t.TempDir(), limit: 10}
	defer s.close()
	for _, step := range []struct {
		size  int
		force bool
		ok    bool
	}{{6, false, true}, {5, false, false}, {4, false, true}, {1, false, false}, {3, true, true}} {
		if err := s.append(make([]byte, step.size), step.force); (err == nil) != step.ok {
			t.Errorf("%d bytes, force %v, with %d kept: %v", step.size, step.force, s.end, err)
		}
	}
	if s.end != 13 {
		t.Errorf("%d bytes kept, want 13: what is refused leaves nothing", s.end)
	}
}

func TestSpoolOfAFullDisk(t *testing.T) {
	// A folder that is not there takes as little as a disk that is full.
	dir := filepath.Join(t.TempDir(), "later")
	s := &spool{dir: dir}
	defer s.close()
	a, b, c := bytes.Repeat([]byte("a"), 1000), bytes.Repeat([]byte("b"), 1000), bytes.Repeat([]byte("c"), 1000)
	for _, p := range [][]byte{a, b} {
		if err := s.append(p, false); err != nil {
			t.Fatalf("a little is kept in memory: %v", err)
		}
	}
	buf := make([]byte, 3000)
	if n, err := s.read(buf, 500); err != nil || !bytes.Equal(buf[:n], append(bytes.Clone(a[500:]), b...)) {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if err := s.append(make([]byte, maxMemory), false); !errors.Is(err, errFull) {
		t.Errorf("more than a little: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.append(c, false); err != nil || len(s.memory) > 0 {
		t.Errorf("there is room again: %v, %d bytes still in memory", err, len(s.memory))
	}
	if n, err := s.read(buf, 0); err != nil || !bytes.Equal(buf[:n], bytes.Join([][]byte{a, b, c}, nil)) {
		t.Errorf("read %d bytes, %v, want all three, in order", n, err)
	}
}
