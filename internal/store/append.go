package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

// Append adds b to a part of a stream at offset, and returns the offset at which the part ends now, in bytes.
//
// stream is a name such as "journal"; part is what one writer writes, named by its pod's UID; both follow the rules of
// Run's names. The first append, at offset 0, begins the part. An empty b adds nothing and begins nothing.
//
// If b is wholly there already it is a repetition, and the end is returned without an error. If offset is not where the
// part ends nothing is added, and the error is an *OffsetError with the right offset, which is returned as well.
// ErrTooLarge is for more than MaxAppend. After an ErrStore it is not known whether b was kept: append it again.
func (s *Store) Append(ctx context.Context, run Run, stream, part string, offset int64, b []byte) (int64, error) {
	p := layout.Place{Run: run, Stream: stream, Part: part}
	if err := p.Check(); err != nil {
		return 0, err
	}
	if len(b) > MaxAppend {
		return 0, fmt.Errorf("%w: %d bytes at once, at most %d are taken; append them in parts", ErrTooLarge, len(b), MaxAppend)
	}
	st, release, err := s.streams.take(ctx, p)
	if err != nil {
		return 0, failed(err, "waiting for another append to %s", p)
	}
	defer release()
	end, err := s.append(ctx, p, st, offset, b)
	var refused *OffsetError
	switch {
	case err == nil:
		s.compactIfMany(ctx, p, st)
		return end, nil
	case errors.As(err, &refused):
		return end, fmt.Errorf("appending to %s: %w", p, err)
	default:
		// Whatever has been done, the next one looks anew.
		st.tail = nil
		return 0, failed(err, "appending %d bytes at offset %d to %s", len(b), offset, p)
	}
}

// append is Append with the part's lock held.
func (s *Store) append(ctx context.Context, p layout.Place, st *stream, offset int64, b []byte) (int64, error) {
	for range looks {
		if t := st.tail; t == nil || t.end != offset || len(b) == 0 {
			v, err := s.look(ctx, p)
			if err != nil {
				return 0, err
			}
			st.remember(v)
			if v.End != offset || len(b) == 0 {
				return s.repeated(ctx, p, v, offset, b)
			}
			if v.Base == "" {
				// Others may do the same just now, or may have long gone on: only a look after it tells.
				if err := s.begin(ctx, p); err != nil {
					return 0, err
				}
				st.tail = nil
				continue
			}
		}
		end, err := s.add(ctx, p, st, offset, b)
		if !errors.Is(err, errExists) {
			return end, err
		}
		if err := s.clearWay(ctx, p, st, offset); err != nil {
			return 0, err
		}
	}
	return 0, errMoved
}

// add writes a segment at the end that st remembers. Its error is errExists if somebody has written there already.
func (s *Store) add(ctx context.Context, p layout.Place, st *stream, offset int64, b []byte) (int64, error) {
	key, size := p.SegmentKey(offset), int64(len(b))
	if _, err := s.objects.put(ctx, key, bytes.NewReader(b), put{create: true, size: len(b)}); err != nil {
		return 0, err
	}
	// Nobody had written there, or what was written has been compacted since the look.
	there, err := s.there(ctx, st.tail.base)
	if err != nil {
		return 0, err
	}
	if there {
		st.tail.end += size
		st.tail.segments++
		return st.tail.end, nil
	}
	v, err := s.look(ctx, p)
	if errors.Is(err, layout.ErrNoBase) {
		// The run was deleted, and this is all there is of it.
		if err := s.objects.delete(ctx, key); err != nil {
			return 0, err
		}
		v, err = s.look(ctx, p)
	}
	if err != nil {
		return 0, err
	}
	st.remember(v)
	end, err := s.repeated(ctx, p, v, offset, b)
	if err != nil && offset < v.Begin {
		// It is no part of the stream, only in its folder.
		err = errors.Join(err, s.objects.delete(ctx, key))
	}
	return end, err
}

// clearWay makes st forget an end at which a segment was found, and removes the segment if it is empty: none is written
// so, but a folder may be left with one when its machine loses power.
func (s *Store) clearWay(ctx context.Context, p layout.Place, st *stream, offset int64) error {
	st.tail = nil
	o, err := s.objects.stat(ctx, p.SegmentKey(offset))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || o.Size > 0 {
		return err
	}
	return s.objects.delete(ctx, o.Key)
}

// repeated judges an append that is not at the end of v: all of it may be there.
func (s *Store) repeated(ctx context.Context, p layout.Place, v layout.View, offset int64, b []byte) (int64, error) {
	if offset == v.End && len(b) == 0 {
		return v.End, nil
	}
	if offset < 0 || offset >= v.End || int64(len(b)) > v.End-offset || len(b) == 0 {
		return v.End, &OffsetError{Offset: offset, End: v.End}
	}
	r := s.newReader(ctx, p, v, offset, offset+int64(len(b)))
	there := make([]byte, len(b))
	_, err := io.ReadFull(r, there)
	if err := errors.Join(err, r.Close()); err != nil {
		return 0, fmt.Errorf("comparing it with what is there: %w", err)
	}
	if !bytes.Equal(there, b) {
		return v.End, &OffsetError{Offset: offset, End: v.End, Differs: true}
	}
	return v.End, nil
}

// remember keeps what the next append needs of a view. A part that has not begun is looked at again.
func (st *stream) remember(v layout.View) {
	st.tail, st.next = nil, 0
	if v.Base != "" {
		st.tail = &tail{base: v.Base, begin: v.Begin, end: v.End, segments: len(v.Chain)}
	}
}
