package ship

import (
	"errors"
	"fmt"
	"os"
)

const (
	// segmentSize is the size of a spool's file from which the next bytes go to another.
	segmentSize = 16 << 20
	// maxMemory bounds what is held in memory while the disk takes nothing.
	maxMemory = 4 << 20
)

var (
	errFull = errors.New("the spool is full")
	errGone = errors.New("it was acknowledged before, and is not kept any more")
)

// spool keeps bytes until they are given up, in files that have no name: nobody else in the pod finds them, and they
// are gone with the process. While the disk is full it keeps a little in memory. It is not safe for concurrent use.
type spool struct {
	dir      string
	limit    int64 // of what is kept, in bytes
	segments []*segment
	memory   []byte // behind the last segment
	start    int64  // position of the first byte kept
	end      int64  // position behind the last byte
}

type segment struct {
	file  *os.File
	start int64
	size  int64
}

// append adds p whole, or returns an error and adds nothing.
func (s *spool) append(p []byte, force bool) error {
	if !force && s.limit > 0 && s.end-s.start+int64(len(p)) > s.limit {
		return errFull
	}
	err := s.settle()
	if err == nil {
		err = s.write(p)
	}
	if err != nil {
		if len(s.memory)+len(p) > maxMemory {
			return fmt.Errorf("%w: %w", errFull, err)
		}
		s.memory = append(s.memory, p...)
	}
	s.end += int64(len(p))
	return nil
}

// settle writes to disk what is in memory.
func (s *spool) settle() error {
	if len(s.memory) == 0 {
		return nil
	}
	if err := s.write(s.memory); err != nil {
		return err
	}
	s.memory = nil
	return nil
}

// write adds p to the last segment. What a write that fails leaves behind is overwritten by the next.
func (s *spool) write(p []byte) error {
	last, err := s.last()
	if err != nil {
		return err
	}
	if _, err := last.file.WriteAt(p, last.size); err != nil {
		return err
	}
	last.size += int64(len(p))
	return nil
}

func (s *spool) last() (*segment, error) {
	if n := len(s.segments); n > 0 && s.segments[n-1].size < segmentSize {
		return s.segments[n-1], nil
	}
	f, err := os.CreateTemp(s.dir, ".spool-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, err
	}
	next := &segment{file: f, start: s.end - int64(len(s.memory))}
	s.segments = append(s.segments, next)
	return next, nil
}

// read fills p with what lies at a position, and returns how much that is.
func (s *spool) read(p []byte, at int64) (int, error) {
	if at < s.start {
		return 0, errGone
	}
	n := 0
	for _, g := range s.segments {
		if at >= g.start+g.size || n == len(p) {
			continue
		}
		want := p[n:min(int64(len(p)), int64(n)+g.start+g.size-at)]
		got, err := g.file.ReadAt(want, at-g.start)
		n, at = n+got, at+int64(got)
		if got < len(want) {
			return n, err
		}
	}
	if from := s.end - int64(len(s.memory)); at >= from && at < s.end {
		n += copy(p[n:], s.memory[at-from:])
	}
	return n, nil
}

// giveUp lets go of whole segments before a position.
func (s *spool) giveUp(before int64) {
	for len(s.segments) > 1 && s.segments[1].start <= before {
		_ = s.segments[0].file.Close()
		s.segments = s.segments[1:]
		s.start = s.segments[0].start
	}
}

func (s *spool) close() {
	for _, g := range s.segments {
		_ = g.file.Close()
	}
	s.segments, s.memory = nil, nil
}
