package send

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/outbox"
	"github.com/dbt-operator/dbt-operator/internal/tracing"
)

// Result is what became of a run's trace or of a try to send it, for metrics.
type Result string

// Results.
const (
	// Sent: the receiver took all of it.
	Sent Result = "sent"
	// Unsampled: the caller, or the sampler, wants none.
	Unsampled Result = "unsampled"
	// Failed: a try failed and will be made again.
	Failed Result = "failed"
	// Dropped: it was given up, or there was no room for one more run.
	Dropped Result = "dropped"
)

// Known is what is known of a run now.
type Known struct {
	Run tracing.Run
	// Journal opens the journal of all attempts, oldest first, as lines; nil when there is none. It is read only for a run that
	// has ended.
	Journal func(context.Context) (io.ReadCloser, error)
}

// Source tells what is known of runs.
type Source interface {
	// Known returns what is known of a run, or outbox.ErrGone. Run.End is to be set only once the run has ended and its journal
	// is as complete as it will be.
	Known(context.Context, outbox.Key) (Known, error)
}

// Config is what a Sender is made of. Exporter, Source, Notes, Now and After are needed.
type Config struct {
	// Exporter sends spans; it must not try again by itself.
	Exporter sdktrace.SpanExporter
	// Resource is said of all spans; nil says what OpenTelemetry's own default does.
	Resource *resource.Resource
	Source   Source
	Notes    outbox.Notes
	Now      func() time.Time
	// After returns a channel that something is sent on when a time has passed, as time.After does.
	After func(time.Duration) <-chan time.Time
	// Count is told what became of a run's trace; it must not block.
	Count func(Result)
	// Log is told why a try failed; it must not block.
	Log func(run outbox.Key, err error)

	// Timeout of one request, beside the exporter's own; default 30 s.
	Timeout time.Duration
	// MaxRuns wait at most; default that of the queue.
	MaxRuns int
	// GiveUpAfter is how long after a run's end its trace is still tried to be sent; default 24 h.
	GiveUpAfter time.Duration
}

// Sender sends the traces of runs that ended. Its methods are safe for concurrent use.
type Sender struct {
	*outbox.Queue
	config Config
}

// workers send so many traces at a time. Each may hold a journal in memory.
const workers = 2

// New returns a sender; it sends nothing until it is started.
func New(c Config) *Sender {
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	if c.GiveUpAfter <= 0 {
		c.GiveUpAfter = 24 * time.Hour
	}
	if c.Count == nil {
		c.Count = func(Result) {}
	}
	s := &Sender{config: c}
	s.Queue = outbox.New(outbox.Config{
		Sync: s.Sync, Now: c.Now, After: c.After, Log: c.Log, Workers: workers, MaxRuns: c.MaxRuns,
		Failed: func() { c.Count(Failed) }, Dropped: func() { c.Count(Dropped) },
	})
	return s
}

// note says that nothing is due any more of a run.
type note struct {
	Version int    `json:"version"`
	Result  Result `json:"result"`
}

const noteVersion = 1

// Sync sends the trace of a run that has ended, unless that was done. An error says why it could not; the run is to be synced
// again then, and all of the trace is sent again, with the same IDs.
func (s *Sender) Sync(ctx context.Context, key outbox.Key) error {
	known, err := s.config.Source.Known(ctx, key)
	if errors.Is(err, outbox.ErrGone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at run %s: %w", key, err)
	}
	if known.Run.End.IsZero() {
		return nil
	}
	if done, err := s.done(ctx, key); err != nil || done {
		return err
	}
	result, err := s.send(ctx, known)
	switch {
	case err != nil && s.config.Now().Sub(known.Run.End) > s.config.GiveUpAfter:
		result = Dropped
	case err != nil:
		return fmt.Errorf("sending the trace of run %s: %w", key, err)
	}
	s.config.Count(result)
	return s.keep(ctx, key, note{Version: noteVersion, Result: result})
}

func (s *Sender) done(ctx context.Context, key outbox.Key) (bool, error) {
	raw, err := s.config.Notes.Get(ctx, key)
	if err != nil {
		return false, fmt.Errorf("reading whether the trace of run %s was sent: %w", key, err)
	}
	var n note
	return len(raw) > 0 && json.Unmarshal(raw, &n) == nil && n.Version == noteVersion && n.Result != "", nil
}

const keepTimeout = 5 * time.Second

// keep keeps the note. It has a little time of its own: what was sent should be known also when ctx is done.
func (s *Sender) keep(ctx context.Context, key outbox.Key, n note) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	raw, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := s.config.Notes.Set(ctx, key, raw); err != nil {
		return fmt.Errorf("keeping that the trace of run %s is done: %w", key, err)
	}
	return nil
}

func (s *Sender) timeline(ctx context.Context, known Known) (*journal.Timeline, error) {
	t := journal.NewTimeline()
	if known.Journal == nil {
		return t, nil
	}
	r, err := known.Journal(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	defer func() { _ = r.Close() }()
	if _, err := journal.DecodeEntries(r, func(e journal.Entry) error { t.Apply(e); return nil }); err != nil {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	return t, nil
}

// export sends some spans in one request.
func (s *Sender) export(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if len(spans) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	err := s.config.Exporter.ExportSpans(ctx, spans)
	var about *url.Error
	if errors.As(err, &about) {
		return about.Err // without the address, which may hold a key
	}
	return err
}
