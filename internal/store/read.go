package store

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

// Read returns all bytes of a part, in order, up to where it ends now. It is ErrNotFound for a part that has not begun.
// ctx holds for reading, too. The caller closes the reader.
func (s *Store) Read(ctx context.Context, run Run, stream, part string) (io.ReadCloser, error) {
	p := layout.Place{Run: run, Stream: stream, Part: part}
	if err := p.Check(); err != nil {
		return nil, err
	}
	v, err := s.look(ctx, p)
	if err != nil {
		return nil, failed(err, "reading %s", p)
	}
	if v.Base == "" {
		return nil, fmt.Errorf("reading %s: %w", p, ErrNotFound)
	}
	return s.newReader(ctx, p, v, 0, v.End), nil
}

// reader reads a part object by object, and goes on where it was when they are compacted meanwhile.
type reader struct {
	// ctx is here as an io.Reader can take it from nowhere else; Read says that it holds for reading.
	ctx   context.Context
	store *Store
	place layout.Place
	view  layout.View
	// pos and end are the offsets still to be read.
	pos, end int64
	// body is open at pos and holds the bytes up to bodyEnd; nil between objects.
	body    io.ReadCloser
	bodyEnd int64
}

func (s *Store) newReader(ctx context.Context, p layout.Place, v layout.View, from, to int64) *reader {
	return &reader{ctx: ctx, store: s, place: p, view: v, pos: from, end: to}
}

func (r *reader) Read(b []byte) (int, error) {
	if r.pos == r.end {
		return 0, io.EOF
	}
	if len(b) == 0 {
		return 0, nil
	}
	n, err := r.read(b)
	if err != nil {
		return n, failed(err, "reading %s at offset %d", r.place, r.pos)
	}
	return n, nil
}

func (r *reader) read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.body == nil {
		if err := r.open(); err != nil {
			return 0, err
		}
	}
	upTo := min(r.bodyEnd, r.end)
	n, err := r.body.Read(b[:min(int64(len(b)), upTo-r.pos)])
	r.pos += int64(n)
	if r.pos == upTo {
		return n, r.Close()
	}
	if errors.Is(err, io.EOF) {
		return n, fmt.Errorf("an object ends early: %w", io.ErrUnexpectedEOF)
	}
	return n, err
}

// open opens the object that holds pos.
func (r *reader) open() error {
	for range looks {
		key, from, to := r.view.Piece(r.pos)
		body, err := r.store.objects.get(r.ctx, key, r.pos-from)
		if err == nil && key != r.view.Base {
			// Once a base is gone, a segment of that name may be a stray one. One that was open before is not.
			var there bool
			if there, err = r.store.there(r.ctx, r.view.Base); err == nil && !there {
				err = ErrNotFound
			}
			if err != nil {
				err = errors.Join(err, body.Close())
			}
		}
		if err == nil {
			r.body, r.bodyEnd = body, to
			return nil
		}
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		if r.view, err = r.store.look(r.ctx, r.place); err != nil {
			return err
		}
		if r.view.End < r.end {
			return fmt.Errorf("it is %w: deleted meanwhile", ErrNotFound)
		}
	}
	return errMoved
}

func (r *reader) Close() error {
	if r.body == nil {
		return nil
	}
	body := r.body
	r.body = nil
	return body.Close()
}
