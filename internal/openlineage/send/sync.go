package send

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/openlineage"
	"github.com/dbt-operator/dbt-operator/internal/outbox"
)

// Known is what is known of a run now.
type Known struct {
	Run openlineage.Run
	// Journal opens the journal of all attempts, oldest first, as lines; nil when there is none. It is read only for a
	// run that has ended.
	Journal func(context.Context) (io.ReadCloser, error)
	// Lineage opens lineage.json, nil when there is none. It may be opened several times.
	Lineage func(context.Context) (io.ReadCloser, error)
}

// Source tells what is known of runs.
type Source interface {
	// Known returns what is known of a run, or outbox.ErrGone. Run.End is to be set only once the run has ended and the journal
	// and the lineage document are as complete as they will be.
	Known(context.Context, outbox.Key) (Known, error)
}

// mark says how far the events of a run got.
type mark struct {
	Version int `json:"version"`
	// Sent is the number of events that the endpoint has taken or refused for good, from the first.
	Sent int `json:"sent"`
	// Digest is the SHA-256 of those, in hexadecimal: if the run's events have become others, all are sent again.
	Digest string `json:"digest,omitempty"`
	// Done says that nothing is due any more, whatever becomes known; Dropped that it was given up before all was sent.
	Done    bool `json:"done,omitempty"`
	Dropped bool `json:"dropped,omitempty"`
}

const markVersion = 1

// markEvery is after how many events the mark is kept: so many are sent twice at most after a restart.
const markEvery = 50

// Sync sends the events of a run that are due, and keeps how far it got. An error says why it could not send all; the
// run is to be synced again then. It is for one run at a time; runs may be synced beside each other.
func (s *Sender) Sync(ctx context.Context, key outbox.Key) error {
	m, err := s.mark(ctx, key)
	if err != nil || m.Done {
		return err
	}
	known, err := s.config.Source.Known(ctx, key)
	if errors.Is(err, outbox.ErrGone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at run %s: %w", key, err)
	}
	p := &pass{sender: s, key: key, mark: m, known: known}
	err = p.run(ctx)
	if err != nil && s.tooLate(known.Run) {
		p.mark.Done, p.mark.Dropped = true, true
		s.config.Count(Dropped, 1)
		return p.keep(ctx)
	}
	return err
}

// tooLate reports whether a run ended so long ago that its events are given up.
func (s *Sender) tooLate(r openlineage.Run) bool {
	return !r.End.IsZero() && s.config.Now().Sub(r.End) > s.config.GiveUpAfter
}

func (s *Sender) mark(ctx context.Context, key outbox.Key) (mark, error) {
	raw, err := s.config.Marks.Get(ctx, key)
	if err != nil {
		return mark{}, fmt.Errorf("reading how far the events of run %s got: %w", key, err)
	}
	var m mark
	if len(raw) == 0 || json.Unmarshal(raw, &m) != nil || m.Version != markVersion || m.Sent < 0 {
		return mark{}, nil
	}
	return m, nil
}

// pass is one try to send what is due of a run.
type pass struct {
	sender *Sender
	key    outbox.Key
	known  Known
	mark   mark
	kept   int // what of mark.Sent is kept
}

func (p *pass) run(ctx context.Context) error {
	input := openlineage.Input{Run: p.known.Run}
	if ended := !p.known.Run.End.IsZero(); ended {
		var err error
		if input.History, err = p.history(ctx); err != nil {
			return err
		}
		if p.known.Lineage != nil {
			input.Lineage = func() (io.ReadCloser, error) { return p.known.Lineage(ctx) }
		}
	}
	fresh, err := p.post(ctx, input, p.mark.Sent, p.mark.Digest)
	if errors.Is(err, errOthers) {
		p.mark.Sent, p.mark.Digest, p.kept = 0, "", 0
		fresh, err = p.post(ctx, input, 0, "")
	}
	p.mark.Done = err == nil && !p.known.Run.End.IsZero()
	if fresh || p.mark.Done {
		return errors.Join(err, p.keep(ctx))
	}
	return err
}

func (p *pass) history(ctx context.Context) (*openlineage.History, error) {
	h := openlineage.NewHistory()
	if p.known.Journal == nil {
		return h, nil
	}
	r, err := p.known.Journal(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening the journal of run %s: %w", p.key, err)
	}
	defer func() { _ = r.Close() }()
	if _, err := journal.DecodeEntries(r, func(e journal.Entry) error { h.Apply(e); return nil }); err != nil {
		return nil, fmt.Errorf("reading the journal of run %s: %w", p.key, err)
	}
	return h, nil
}

// errOthers: the events that were sent are not those that the run has now.
var errOthers = errors.New("the run's events have changed")

// post sends the events behind the first skip, whose digest is known, and reports whether it sent any.
func (p *pass) post(ctx context.Context, in openlineage.Input, skip int, digest string) (fresh bool, err error) {
	hash := sha256.New()
	n := 0
	for e, err := range openlineage.Events(p.sender.config.Options, in) {
		if err != nil {
			return fresh, fmt.Errorf("making the events of run %s: %w", p.key, err)
		}
		body, err := json.Marshal(e)
		if err != nil {
			return fresh, fmt.Errorf("encoding an event of run %s: %w", p.key, err)
		}
		if n >= skip {
			if err := p.sender.post(ctx, body); err != nil {
				return fresh, err
			}
			fresh = true
		}
		n++
		_, _ = hash.Write(body)
		sum := hex.EncodeToString(hash.Sum(nil))
		switch {
		case n == skip && sum != digest:
			return fresh, errOthers
		case n > skip:
			p.mark.Sent, p.mark.Digest = n, sum
			if n-p.kept >= markEvery {
				if err := p.keep(ctx); err != nil {
					return fresh, err
				}
			}
		}
	}
	if n < skip {
		return fresh, errOthers
	}
	return fresh, nil
}

// keep keeps the mark. It has a little time of its own: what was sent should be known also when ctx is done.
func (p *pass) keep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	p.mark.Version = markVersion
	raw, err := json.Marshal(p.mark)
	if err != nil {
		return err
	}
	if err := p.sender.config.Marks.Set(ctx, p.key, raw); err != nil {
		return fmt.Errorf("keeping how far the events of run %s got: %w", p.key, err)
	}
	p.kept = p.mark.Sent
	return nil
}

const keepTimeout = 5 * time.Second
