package live

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// Standing is what an attempt finds when it begins.
type Standing struct {
	// Source is the revision that an earlier attempt pinned, empty when none did.
	Source string
	// Earlier is the number of other attempts that have a journal.
	Earlier int
	// Offsets are where the attempt's own streams end, those that have begun.
	Offsets map[string]int64
	// EndedBy is the UID of the pod that said last that it ended, empty when none did.
	EndedBy string
	// Outcome is how, as long as no other attempt has begun since.
	Outcome journal.Outcome
}

// Standing returns what an attempt finds when it begins.
func (r *Runs) Standing(ctx context.Context, a Attempt) (Standing, error) {
	c, release, err := r.view(ctx, a.Run)
	if err != nil {
		return Standing{}, err
	}
	defer release()
	s := Standing{Source: c.state.Source(), EndedBy: c.ended}
	for _, p := range c.journals {
		if p.uid != a.UID {
			s.Earlier++
		}
	}
	for stream, parts := range map[string][]*part{journal.StreamJournal: c.journals, journal.StreamLog: c.logs} {
		if n := size(parts, a.UID); n > 0 {
			if s.Offsets == nil {
				s.Offsets = map[string]int64{}
			}
			s.Offsets[stream] = n
		}
	}
	if newest := last(c.journals); newest != nil && newest.uid == c.ended {
		attempts := c.state.Attempts()
		if n := len(attempts); n > 0 {
			s.Outcome = attempts[n-1].Outcome
		}
	}
	return s, nil
}

// view returns what is known of a run, which does not change before release is called.
func (r *Runs) view(ctx context.Context, id Run) (c *content, release func(), err error) {
	u, done := r.use(id)
	u.named(id)
	if err := u.ready(ctx); err != nil {
		done()
		return nil, nil, err
	}
	u.mu.Lock()
	if u.content == nil {
		u.mu.Unlock()
		done()
		return nil, nil, ErrDeleted
	}
	return u.content, func() {
		u.mu.Unlock()
		done()
	}, nil
}

// parts returns the UIDs of a stream's parts, in the order in which they began.
func (r *Runs) parts(ctx context.Context, id Run, stream string) ([]string, error) {
	c, release, err := r.view(ctx, id)
	if err != nil {
		return nil, err
	}
	defer release()
	parts := c.journals
	if stream == journal.StreamLog {
		parts = c.logs
	}
	uids := make([]string, len(parts))
	for i, p := range parts {
		uids[i] = p.uid
	}
	return uids, nil
}

// WriteJournal writes the journals of a run's attempts to w as lines, oldest first; with others set, those of all but this
// pod's UID.
func (r *Runs) WriteJournal(ctx context.Context, id Run, others string, w io.Writer) error {
	uids, err := r.parts(ctx, id, journal.StreamJournal)
	if err != nil {
		return err
	}
	for _, uid := range uids {
		if uid == others {
			continue
		}
		out := &endsLine{w: w}
		if err := r.copyPart(ctx, id, journal.StreamJournal, uid, out); err != nil {
			return err
		}
		if err := out.end(); err != nil {
			return err
		}
	}
	return nil
}

// maxLogText bounds the text of one attempt's log, in bytes: compressed bytes of a hostile pod can stand for very many.
const maxLogText = 8 << 30

// WriteLog writes the text of the logs of a run's attempts to w, oldest first. pod is the name of the only one that is
// wanted, empty for all; ErrNotFound if it has no log. What is torn is written as far as it goes.
func (r *Runs) WriteLog(ctx context.Context, id Run, pod string, w io.Writer) error {
	uids, err := r.logsOf(ctx, id, pod)
	if err != nil {
		return err
	}
	for _, uid := range uids {
		if err := r.writeLog(ctx, id, uid, w); err != nil {
			return err
		}
	}
	return nil
}

func (r *Runs) logsOf(ctx context.Context, id Run, pod string) ([]string, error) {
	uids, err := r.parts(ctx, id, journal.StreamLog)
	if err != nil || pod == "" {
		return uids, err
	}
	c, release, err := r.view(ctx, id)
	if err != nil {
		return nil, err
	}
	defer release()
	for _, uid := range uids {
		if a := c.meta.attempt(uid); a != nil && a.Pod == pod {
			return []string{uid}, nil
		}
	}
	return nil, fmt.Errorf("%w: no log of pod %.253q is kept", store.ErrNotFound, pod)
}

func (r *Runs) writeLog(ctx context.Context, id Run, uid string, w io.Writer) error {
	in, err := r.config.Store.Read(ctx, id.key(), journal.StreamLog, uid)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		r.failed("read", err)
		return err
	}
	defer func() { _ = in.Close() }()
	src := &remembers{in: in}
	out := &endsLine{w: w}
	zip, err := gzip.NewReader(bufio.NewReaderSize(src, 64<<10))
	if err == nil {
		_, err = io.Copy(out, io.LimitReader(zip, maxLogText))
	}
	switch {
	case out.failed != nil:
		return out.failed
	case src.failed != nil:
		r.failed("read", src.failed)
		return src.failed
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF):
		// What follows in it cannot be read; what other attempts wrote can.
		_, _ = fmt.Fprintf(out, "\n[the rest of this pod's log cannot be read: %v]", err)
	}
	return out.end()
}

func (r *Runs) copyPart(ctx context.Context, id Run, stream, uid string, w io.Writer) error {
	in, err := r.config.Store.Read(ctx, id.key(), stream, uid)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		r.failed("read", err)
		return err
	}
	defer func() { _ = in.Close() }()
	src := &remembers{in: in}
	_, err = io.Copy(w, src)
	if src.failed != nil {
		r.failed("read", src.failed)
	}
	return err
}

// remembers keeps an error of what it reads, so that it is not taken for one of who reads.
type remembers struct {
	in     io.Reader
	failed error
}

func (r *remembers) Read(b []byte) (int, error) {
	n, err := r.in.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", store.ErrStore, err)
		r.failed = err
	}
	return n, err
}

// endsLine writes to w and can end the last line.
type endsLine struct {
	w      io.Writer
	open   bool
	failed error
}

func (e *endsLine) Write(b []byte) (int, error) {
	if len(b) > 0 {
		e.open = b[len(b)-1] != '\n'
	}
	n, err := e.w.Write(b)
	if err != nil {
		e.failed = err
	}
	return n, err
}

func (e *endsLine) end() error {
	if !e.open {
		return nil
	}
	_, err := e.Write([]byte("\n"))
	return err
}

// Meta returns the small document of a run, an empty one if there is none, without holding the run in memory for it.
func (r *Runs) Meta(ctx context.Context, namespace, uid string) (Meta, error) {
	ctx, cancel := context.WithTimeout(ctx, r.config.Limits.Timeout)
	defer cancel()
	b, err := r.config.Store.Meta(ctx, store.Run{Namespace: namespace, UID: uid})
	if errors.Is(err, store.ErrNotFound) {
		return decodeMeta(nil), nil
	}
	if err != nil {
		r.failed("read", err)
		return Meta{}, err
	}
	return decodeMeta(b), nil
}
