package ship

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"sync"
	"time"
)

const (
	// memberBytes is how much of the log, uncompressed, makes a gzip member at most.
	memberBytes = 256 << 10
	// memberTime is how long a line waits for others to be compressed with.
	memberTime = time.Second
)

// Log compresses what is written to it into a stream, as gzip members of whole writes. It is safe for concurrent use.
type Log struct {
	stream *Stream

	mu      sync.Mutex
	zip     *gzip.Writer
	member  bytes.Buffer
	raw     int   // bytes in the member under way
	lost    int64 // bytes that found no room
	pending bool  // somebody will flush
	closed  bool
}

// NewLog returns a log that goes to a stream.
func NewLog(s *Stream) *Log {
	l := &Log{stream: s}
	l.zip, _ = gzip.NewWriterLevel(&l.member, gzip.BestSpeed) // this level is known
	return l
}

// Write never fails and never waits for the collector. What finds no room is dropped, and the log says so where it is
// missing.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return len(p), nil
	}
	_, _ = l.zip.Write(p) // to memory
	l.raw += len(p)
	if l.raw >= memberBytes {
		l.flush(false)
	} else if !l.pending {
		l.pending = true
		go l.later()
	}
	return len(p), nil
}

func (l *Log) later() {
	<-l.stream.client.after(memberTime)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = false
	l.flush(false)
}

// flush ends the member and hands it on.
func (l *Log) flush(last bool) {
	if l.raw == 0 && (!last || l.lost == 0) {
		return
	}
	_ = l.zip.Close()
	member := l.member.Bytes()
	if l.raw == 0 {
		member = nil
	}
	if l.lost > 0 {
		member = append(l.gap(), member...)
	}
	if l.stream.add(member, false, last) {
		l.lost = 0
	} else {
		l.lost += int64(l.raw)
	}
	l.raw = 0
	l.member.Reset()
	l.zip.Reset(&l.member)
}

// gap is a member that says what was dropped.
func (l *Log) gap() []byte {
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	_, _ = fmt.Fprintf(zip, "[%d bytes of the log are missing here: they came faster than the collector took them, and the pod could not keep more]\n", l.lost)
	_ = zip.Close()
	return b.Bytes()
}

// Flush hands on what was written so far.
func (l *Log) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush(false)
}

// Close hands on what is left. What is written later is dropped.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.flush(true)
		l.closed = true
	}
}
