package live

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// Append adds b to a stream of an attempt at offset and returns where the stream ends now, in bytes. With over set the
// run's end is recorded: of a journal nothing new is taken then, only what is there already.
//
// Errors are those of store.Append, and ErrSuperseded, ErrOver, ErrForeign, ErrDeleted, ErrBusy.
func (r *Runs) Append(ctx context.Context, a Attempt, stream string, offset int64, b []byte, over bool) (int64, error) {
	u, release := r.use(a.Run)
	defer release()
	u.named(a.Run)
	var end int64
	var atOnce bool
	err := u.write(ctx, func(ctx context.Context, c *content) error {
		w := &writing{run: u, content: c, attempt: a}
		var err error
		end, err = w.append(ctx, stream, offset, b, over)
		atOnce = w.atOnce
		if err == nil && w.changed {
			// Nobody waits for the document below to hear of it.
			u.touch(atOnce)
		}
		if err == nil && w.ends {
			w.noteEnd(ctx)
		}
		return err
	})
	return end, err
}

// writing is one append, by who has the turn.
type writing struct {
	*run
	content *content
	attempt Attempt
	// changed says that something new is known; atOnce and ends of what kind it is.
	changed, atOnce, ends bool
}

func (w *writing) append(ctx context.Context, stream string, offset int64, b []byte, over bool) (int64, error) {
	if err := w.check(stream, offset, len(b), over); err != nil {
		return 0, err
	}
	if len(b) > 0 {
		if err := w.enter(ctx); err != nil {
			return 0, err
		}
	}
	end, err := w.runs.config.Store.Append(ctx, w.key, stream, w.attempt.UID, offset, b)
	var elsewhere *store.OffsetError
	switch {
	case errors.As(err, &elsewhere):
		if elsewhere.End != size(w.parts(stream), w.attempt.UID) {
			w.doubt()
		}
		if elsewhere.Differs {
			return end, fmt.Errorf("%w: pod %s sent other bytes for offset %d of its %s before; it must ask where the stream ends before it goes on", ErrForeign, w.attempt.Pod, offset, stream)
		}
		return end, err
	case err != nil:
		w.doubt()
		w.runs.failed("append", err)
		return end, err
	}
	return end, w.accept(ctx, stream, offset, end, b)
}

func (w *writing) parts(stream string) []*part {
	if stream == journal.StreamLog {
		return w.content.logs
	}
	return w.content.journals
}

// check says why an append must not be tried.
func (w *writing) check(stream string, offset int64, n int, over bool) error {
	limit := w.runs.config.Limits.Journal
	if stream == journal.StreamLog {
		limit = w.runs.config.Limits.Log
	}
	if offset > limit-int64(n) {
		return fmt.Errorf("%w: the %s of pod %s would have %d bytes, at most %d are kept", store.ErrTooLarge, stream, w.attempt.Pod, offset+int64(n), limit)
	}
	if stream != journal.StreamJournal || offset+int64(n) <= size(w.content.journals, w.attempt.UID) {
		// A repetition of what is there is always welcome: its reply may have been lost.
		return nil
	}
	if over {
		return fmt.Errorf("%w: nothing is added to its journal any more", ErrOver)
	}
	if newest := last(w.content.journals); newest != nil && newest.uid != w.attempt.UID && find(w.content.journals, w.attempt.UID) != nil {
		return fmt.Errorf("%w: pod %s may not go on with its journal", ErrSuperseded, w.attempt.Pod)
	}
	return nil
}

// enter makes the attempt known before it writes anything.
func (w *writing) enter(ctx context.Context) error {
	meta, changed := w.content.meta.with(w.attempt, w.runs.config.Clock.Now())
	if !changed {
		return nil
	}
	if err := w.put(ctx, meta); err != nil {
		return err
	}
	w.changed = true
	return nil
}

func (u *run) put(ctx context.Context, meta Meta) error {
	if err := u.runs.config.Store.PutMeta(ctx, u.key, meta.encode()); err != nil {
		u.runs.failed("meta", err)
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.content != nil {
		u.content.meta = meta
	}
	return nil
}

// accept folds in what the store has accepted. The store may have accepted it before, from another process or for a request
// whose reply was lost here: then all is read anew.
func (w *writing) accept(ctx context.Context, stream string, offset, end int64, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	parts := w.parts(stream)
	known := size(parts, w.attempt.UID)
	switch {
	case end == known:
		return nil
	case offset != known || end != offset+int64(len(b)), !w.first(ctx, stream), !w.fold(stream, b):
		w.doubt()
		c, err := w.read(ctx)
		if err != nil {
			// It is kept; whoever asks next will read it.
			w.changed, w.atOnce = true, true
			return nil
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.run.content, w.content, w.stale = c, c, false
		w.changed, w.atOnce, w.ends = true, true, c.ended == w.attempt.UID
		return nil
	}
	w.changed = true
	return nil
}

// first reports whether what is known of other attempts' journals is surely all there is. When an attempt begins another
// process may have written the end of the one before, which left no trace here.
func (w *writing) first(ctx context.Context, stream string) bool {
	if stream != journal.StreamJournal || find(w.content.journals, w.attempt.UID) != nil {
		return true
	}
	parts, err := w.runs.config.Store.Parts(ctx, w.key, stream)
	return err == nil && len(parts) == 1
}

// fold takes in bytes at the end of what is known. It returns false when all must be folded anew.
func (w *writing) fold(stream string, b []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, uid := w.content, w.attempt.UID
	if stream == journal.StreamLog {
		p := find(c.logs, uid)
		if p == nil {
			p = &part{uid: uid}
			c.logs, c.tail = append(c.logs, p), tail{}
		}
		p.size += int64(len(b))
		if p == last(c.logs) {
			c.tail.add(b)
		}
		return true
	}
	p := find(c.journals, uid)
	if p == nil {
		p = &part{uid: uid}
		c.journals = append(c.journals, p)
	}
	if p != last(c.journals) {
		return false
	}
	p.size += int64(len(b))
	each := func(e journal.Entry) {
		w.atOnce = c.apply(p, e) || w.atOnce
		w.ends = w.ends || e.Kind == journal.KindEnd
	}
	return p.lines.feed(b, each) && p.lines.settle(each)
}

// noteEnd writes down when the run ended, as far as its pod can tell. Who sweeps the store looks at the DbtRun as well: a
// failure here is no harm.
func (w *writing) noteEnd(ctx context.Context) {
	meta := w.content.meta
	meta.Ended = w.runs.config.Clock.Now()
	_ = w.put(ctx, meta) // counted there
}

// Done notes that an attempt has nothing more to send.
func (r *Runs) Done(ctx context.Context, a Attempt) error {
	u, release := r.use(a.Run)
	defer release()
	u.named(a.Run)
	return u.write(ctx, func(ctx context.Context, c *content) error {
		now := r.config.Clock.Now()
		meta, _ := c.meta.with(a, now)
		meta.attempt(a.UID).Done = true
		if meta.Ended.IsZero() && c.ended == a.UID {
			meta.Ended = now
		}
		if err := u.put(ctx, meta); err != nil {
			return err
		}
		u.touch(true)
		r.background(func() { r.compact(u.key, a.UID) })
		return nil
	})
}

// compactTime bounds the work that makes one object of a part's many.
const compactTime = 2 * time.Minute

func (r *Runs) compact(key store.Run, part string) {
	ctx, cancel := context.WithTimeout(r.ctx, compactTime)
	defer cancel()
	for _, stream := range []string{journal.StreamJournal, journal.StreamLog} {
		if err := r.config.Store.Compact(ctx, key, stream, part); err != nil {
			r.failed("compact", err)
		}
	}
}
