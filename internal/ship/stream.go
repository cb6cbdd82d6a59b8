package ship

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// quiet is the least time between two requests of a stream that has nothing urgent to say.
const quiet = 250 * time.Millisecond

// Stream is one stream of the attempt. Writing to it never waits for the collector. It is safe for concurrent use.
type Stream struct {
	name   string
	client *Client

	mu      sync.Mutex
	spool   spool
	base    int64 // offset in the collector's stream of our first byte, -1 while unknown
	acked   int64 // position up to which the collector has it
	failed  error // why nothing will be sent any more
	trouble error // what went wrong last
	changed chan struct{}

	wake chan struct{} // there is something to send
	urge chan struct{} // at once
}

// NewStream returns a stream with this name, one of journal's, that keeps what it has to send in files in dir, at most
// limit bytes of it; 0 is no limit. Nothing is sent before Start.
func NewStream(c *Client, name, dir string, limit int64) *Stream {
	return &Stream{
		name: name, client: c, base: -1, spool: spool{dir: dir, limit: limit},
		changed: make(chan struct{}), wake: make(chan struct{}, 1), urge: make(chan struct{}, 1),
	}
}

// Start sends in the background until ctx is done. offset is where the collector's stream ends, as its AttemptReply
// says; -1 has the stream ask for it.
func (s *Stream) Start(ctx context.Context, offset int64) {
	s.base = offset
	go s.send(ctx)
}

// Append adds p whole, to be sent at once when it is urgent and else within quiet. It returns false when there is no
// room for it.
func (s *Stream) Append(p []byte, urgent bool) bool { return s.add(p, urgent, false) }

func (s *Stream) add(p []byte, urgent, force bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return false
	}
	if err := s.spool.append(p, force); err != nil {
		s.trouble = err
		return false
	}
	signal(s.wake)
	if urgent {
		signal(s.urge)
	}
	return true
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Drain returns when the collector has acknowledged everything, or an error that says why it has not when ctx is done
// or nothing more is sent.
func (s *Stream) Drain(ctx context.Context) error {
	signal(s.urge)
	for {
		s.mu.Lock()
		left, failed, trouble, changed := s.spool.end-s.acked, s.failed, s.trouble, s.changed
		s.mu.Unlock()
		switch {
		case failed != nil:
			return fmt.Errorf("the %s was not sent: %w", s.name, failed)
		case left == 0:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if trouble == nil {
				trouble = ctx.Err()
			}
			return fmt.Errorf("%d bytes of the %s were not acknowledged: %w", left, s.name, trouble)
		}
	}
}

// send posts what is not acknowledged, one request at a time.
func (s *Stream) send(ctx context.Context) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.failed == nil {
			s.failed = ctx.Err()
		}
		s.spool.close()
		close(s.changed)
		s.changed = make(chan struct{})
	}()
	b := backoff{jitter: s.client.jitter}
	for ctx.Err() == nil {
		if !s.pending() {
			select {
			case <-ctx.Done():
				return
			case <-s.wake:
			}
			continue
		}
		var wait time.Duration
		err := s.post(ctx)
		switch {
		case err == nil:
			b.reset()
			wait = s.pause()
		case passing(err):
			wait = b.next(err)
		}
		if !s.note(ctx, err) {
			return
		}
		if wait == 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-s.urge:
		case <-s.client.after(wait):
		}
	}
}

func (s *Stream) pending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked < s.spool.end
}

// pause returns how long to wait before the next request.
func (s *Stream) pause() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spool.end-s.acked >= journal.MaxAppend {
		return 0
	}
	return quiet
}

// note records how a request ended and reports whether to go on.
func (s *Stream) note(ctx context.Context, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = err
	stop := err != nil && (ctx.Err() != nil || !passing(err))
	if stop {
		s.failed = err
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return !stop
}

// post sends the next bytes once.
func (s *Stream) post(ctx context.Context) error {
	if err := s.place(ctx); err != nil {
		return err
	}
	body, err := s.next()
	if err != nil {
		return fmt.Errorf("%w: reading the spool: %w", errLocal, err)
	}
	offset := body.base + body.at
	end, err := s.client.append(ctx, s.name, offset, body, body.end-body.at)
	var status *statusError
	if errors.As(err, &status) && status.code == http.StatusConflict && status.offset >= 0 {
		// A reply was lost, or the collector has less than it had said.
		end, err = status.offset, nil
	}
	if err != nil {
		return err
	}
	return s.acknowledge(offset, end)
}

// place asks where the collector's stream ends, unless that is known.
func (s *Stream) place(ctx context.Context) error {
	s.mu.Lock()
	known := s.base >= 0
	s.mu.Unlock()
	if known {
		return nil
	}
	var reply journal.AttemptReply
	if err := s.client.do(ctx, request{method: http.MethodGet, path: journal.PathAttempt}, decode(&reply)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = max(0, reply.Offsets[s.name])
	return nil
}

// part is a part of what is in the spool. It is read from there as it is sent: a request that was answered early may
// still be read from, so no memory can be used for the next one.
type part struct {
	stream        *Stream
	base, at, end int64
}

func (p *part) Read(b []byte) (int, error) {
	if p.at == p.end {
		return 0, io.EOF
	}
	p.stream.mu.Lock()
	defer p.stream.mu.Unlock()
	n, err := p.stream.spool.read(b[:min(int64(len(b)), p.end-p.at)], p.at)
	p.at += int64(n)
	if err == nil && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// next returns what is to be sent, whole lines of a journal.
func (s *Stream) next() (*part, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &part{stream: s, base: s.base, at: s.acked, end: min(s.spool.end, s.acked+journal.MaxAppend)}
	if s.name != journal.StreamJournal || p.end == s.spool.end {
		return p, nil
	}
	tail := make([]byte, min(p.end-p.at, journal.MaxEntry+1))
	n, err := s.spool.read(tail, p.end-int64(len(tail)))
	if i := bytes.LastIndexByte(tail[:n], '\n'); i >= 0 {
		p.end -= int64(n - i - 1)
	}
	return p, err
}

// acknowledge takes in that the collector's stream ends at end, after a request at offset.
func (s *Stream) acknowledge(offset, end int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := end - s.base
	switch {
	case at > s.spool.end:
		return fmt.Errorf("%w: the collector's %s ends at %d, behind all that was sent: somebody else writes to it", errLocal, s.name, end)
	case at < s.spool.start:
		return fmt.Errorf("%w: the collector's %s ends at %d: it has lost what it had acknowledged", errLocal, s.name, end)
	case end == offset:
		return fmt.Errorf("the collector took nothing of the %s", s.name)
	}
	back := at < s.acked
	s.acked = at
	s.spool.giveUp(at)
	if back {
		return fmt.Errorf("the collector's %s fell back to %d", s.name, end)
	}
	return nil
}
