package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

// Compact makes one object of a part's many. It changes nothing that can be read, may be called again and again, while
// others append, and may die at any line. Append does so by itself in the background when there are many; call it when a
// part is at its end.
func (s *Store) Compact(ctx context.Context, run Run, stream, part string) error {
	p := layout.Place{Run: run, Stream: stream, Part: part}
	if err := p.Check(); err != nil {
		return err
	}
	if err := s.compact(ctx, p); err != nil {
		return failed(err, "compacting %s", p)
	}
	return nil
}

// compact does its steps in the one order that is safe; doc.go says why.
func (s *Store) compact(ctx context.Context, p layout.Place) error {
	v, err := s.look(ctx, p)
	if err != nil {
		return err
	}
	if len(v.Chain) > 0 {
		key := p.BaseKey(v.End, unique())
		r := s.newReader(ctx, p, v, 0, v.End)
		n, err := s.objects.put(ctx, key, r, put{sync: true})
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
		if n != v.End {
			return errors.Join(fmt.Errorf("%d bytes were written, not %d", n, v.End), s.objects.delete(ctx, key))
		}
		// Another may have written a later base meanwhile: then this one is stale.
		if v, err = s.look(ctx, p); err != nil {
			return err
		}
	}
	for _, key := range v.Stale {
		if err := s.objects.delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// Compaction in the background.
const (
	// fewSegments is how many segments a small part has before it is compacted, manySegments how many a large one has.
	fewSegments, manySegments = 64, 256
	// tooMany times as many are too many to wait for the background. It is still fewer than the 1000 that a bucket lists in
	// one request.
	tooMany = 3
	// smallPart is the size in bytes up to which a part is small. Larger ones wait for more segments, so that a part is not
	// written anew so often that most of the writing is for that.
	smallPart = 8 << 20
	// compactionLimit ends a compaction that hangs.
	compactionLimit = 10 * time.Minute
)

// due returns how many segments a part has when it is to be compacted.
func (t tail) due() int {
	return int(min(manySegments, fewSegments*(1+t.begin/smallPart)))
}

// compactIfMany sees to it that a part's segments do not become ever more. It compacts in the background, or, if appends come
// faster than that, in the caller's time. The caller holds the part's lock. Errors are no errors of the append.
func (s *Store) compactIfMany(ctx context.Context, p layout.Place, st *stream) {
	if st.tail == nil || st.tail.segments < max(st.tail.due(), st.next) {
		return
	}
	if st.tail.segments >= tooMany*st.tail.due() {
		st.next = st.tail.segments + fewSegments
		if err := s.compact(ctx, p); err != nil {
			s.onError(failed(err, "compacting %s", p))
			return
		}
		st.tail = nil
		return
	}
	if !s.streams.begin(st) {
		return
	}
	if s.background(func(ctx context.Context) { s.compactNow(ctx, p, st) }) {
		st.next = st.tail.segments + fewSegments
	} else {
		s.streams.end(p, st)
	}
}

func (s *Store) compactNow(ctx context.Context, p layout.Place, st *stream) {
	defer s.streams.end(p, st)
	ctx, cancel := context.WithTimeout(ctx, compactionLimit)
	defer cancel()
	if err := s.compact(ctx, p); err != nil {
		// What Close cut off is done some other time.
		if s.ctx.Err() == nil {
			s.onError(failed(err, "compacting %s", p))
		}
		return
	}
	// The next append would find out by itself, but only after it has written.
	if st, release, err := s.streams.take(ctx, p); err == nil {
		st.tail = nil
		release()
	}
}

// backgroundJobs bounds how many compactions go on at once; a part that finds no place tries again at its next append.
const backgroundJobs = 4

// background runs do in a goroutine, if there is a place for it.
func (s *Store) background(do func(context.Context)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	select {
	case s.places <- struct{}{}:
	default:
		return false
	}
	s.jobs.Go(func() {
		defer func() { <-s.places }()
		do(s.ctx)
	})
	return true
}
