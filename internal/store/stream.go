package store

import (
	"context"
	"errors"
	"sync"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

// tail is what is remembered of a part between appends. Another process may have made it untrue.
type tail struct {
	base       string
	begin, end int64
	segments   int
}

// stream is a part that is being appended to.
type stream struct {
	// lock is held by the one append, in this process, that goes on; nobody else touches tail and next.
	lock chan struct{}
	tail *tail
	// next is how many segments there are to be before compaction is tried again after it failed.
	next int

	// users and compacting belong to streams.
	users      int
	compacting bool
}

// maxRemembered bounds how many parts' tails are remembered, some 300 bytes each. A tail that was forgotten is found anew.
const maxRemembered = 4096

// streams are the parts that are being appended to or were of late.
type streams struct {
	mu sync.Mutex
	m  map[layout.Place]*stream
	// most bounds how many are remembered that nobody uses.
	most int
}

// take locks a part, or gives up with the context's error. The caller calls release.
func (s *streams) take(ctx context.Context, p layout.Place) (st *stream, release func(), err error) {
	st = s.use(p)
	select {
	case st.lock <- struct{}{}:
		return st, func() { <-st.lock; s.leave(p, st) }, nil
	case <-ctx.Done():
		s.leave(p, st)
		return nil, nil, ctx.Err()
	}
}

func (s *streams) use(p layout.Place) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.m[p]
	if st == nil {
		st = &stream{lock: make(chan struct{}, 1)}
		s.m[p] = st
	}
	st.users++
	return st
}

func (s *streams) leave(p layout.Place, st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.users--
	if st.users == 0 && (st.tail == nil || len(s.m) > s.most) {
		delete(s.m, p)
	}
}

// begin reports whether nobody compacts the part, and that the caller does from now on, until it calls end.
func (s *streams) begin(st *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.compacting {
		return false
	}
	st.compacting = true
	st.users++
	return true
}

func (s *streams) end(p layout.Place, st *stream) {
	s.mu.Lock()
	st.compacting = false
	s.mu.Unlock()
	s.leave(p, st)
}

// looks bounds how often a part is looked at anew because others change it meanwhile.
const looks = 10

// errMoved is for what was compacted by another while it was looked at.
var errMoved = errors.New("others keep changing it")

// look lists a part. What it returns was true at one moment: it looks after the listing whether the base is still there,
// as a listing is not made at one moment, and nothing is deleted before the base is.
func (s *Store) look(ctx context.Context, p layout.Place) (layout.View, error) {
	empty := false
	var last error
	for range looks {
		all, err := s.objects.list(ctx, p.Prefix())
		if err != nil {
			return layout.View{}, err
		}
		v, err := layout.Resolve(p.Prefix(), all)
		if err != nil {
			// Either damage, or a listing in the middle of a compaction, which a second one tells apart.
			last = err
			continue
		}
		if v.Base == "" {
			if empty {
				return v, nil
			}
			empty = true
			continue
		}
		there, err := s.there(ctx, v.Base)
		if err != nil {
			return layout.View{}, err
		}
		if there {
			return v, nil
		}
		last = errMoved
	}
	return layout.View{}, last
}

// there reports whether an object exists.
func (s *Store) there(ctx context.Context, key string) (bool, error) {
	_, err := s.objects.stat(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Size returns the offset at which a part ends, in bytes; 0 for one that has not begun.
func (s *Store) Size(ctx context.Context, run Run, stream, part string) (int64, error) {
	p := layout.Place{Run: run, Stream: stream, Part: part}
	if err := p.Check(); err != nil {
		return 0, err
	}
	v, err := s.look(ctx, p)
	if err != nil {
		return 0, failed(err, "looking for the end of %s", p)
	}
	return v.End, nil
}
