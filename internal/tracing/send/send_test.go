package send_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/outbox"
	"github.com/dbt-operator/dbt-operator/internal/tracing"
	"github.com/dbt-operator/dbt-operator/internal/tracing/send"
)

const (
	trace    = "4bf92f3577b34da6a3ce929d0e0e4736"
	caller   = "00f067aa0ba902b7"
	sampled  = "00-" + trace + "-" + caller + "-01"
	unwanted = "00-" + trace + "-" + caller + "-00"
)

var (
	ended = time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC)
	key   = outbox.Key{Namespace: "shop", Name: "nightly", UID: "5b0c5a1e-6f0a-4a0e-9d4c-2f6f1a2b3c4d"}
)

// exporter keeps what it gets, in place of one of OTLP.
type exporter struct {
	mu      sync.Mutex
	batches []int
	spans   []sdktrace.ReadOnlySpan
	// answer returns what the nth request comes to, from 0; nil takes all.
	answer func(ctx context.Context, n int) error
}

func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.batches = append(e.batches, len(spans))
	if e.answer != nil {
		if err := e.answer(ctx, len(e.batches)-1); err != nil {
			return err
		}
	}
	e.spans = append(e.spans, spans...)
	return nil
}

func (*exporter) Shutdown(context.Context) error { return nil }

// tree returns a line for each span that was taken: its trace, what it is part of, and its name.
func (e *exporter) tree() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	names := map[string]string{}
	for _, s := range e.spans {
		names[s.SpanContext().SpanID().String()] = s.Name()
	}
	var out []string
	for _, s := range e.spans {
		of := s.Parent().SpanID().String()
		if name, ok := names[of]; ok {
			of = name
		}
		out = append(out, fmt.Sprintf("%s: %s in %s", s.SpanContext().TraceID(), s.Name(), of))
	}
	return out
}

// world is a run, its journal and the note on it: what outlives the process.
type world struct {
	run    tracing.Run
	nodes  int
	err    error
	opened int
	note   []byte
	counts []send.Result
}

func newWorld() *world {
	return &world{nodes: 1, run: tracing.Run{
		Namespace: "shop", Name: "nightly", UID: key.UID, Project: "shop", Created: ended.Add(-time.Hour), End: ended, Outcome: tracing.Succeeded,
	}}
}

func (w *world) Known(context.Context, outbox.Key) (send.Known, error) {
	return send.Known{Run: w.run, Journal: func(context.Context) (io.ReadCloser, error) {
		w.opened++
		entries := []journal.Entry{{Kind: journal.KindBegin, Pod: "a", At: 1}, {Kind: journal.KindCommand, Line: "dbt build", At: 2}}
		for i := range w.nodes {
			entries = append(entries, journal.Entry{Kind: journal.KindResult, Node: &journal.Node{ID: fmt.Sprintf("model.shop.m%d", i), Status: "success"}})
		}
		var b bytes.Buffer
		for _, e := range entries {
			b.Write(journal.EncodeEntry(e))
		}
		return io.NopCloser(&b), nil
	}}, w.err
}

func (w *world) Get(context.Context, outbox.Key) ([]byte, error) { return w.note, nil }

func (w *world) Set(_ context.Context, _ outbox.Key, b []byte) error {
	w.note = b
	return nil
}

func sender(w *world, e *exporter, change func(*send.Config)) *send.Sender {
	c := send.Config{
		Exporter: e, Source: w, Notes: w, Now: func() time.Time { return ended.Add(time.Minute) },
		After: func(time.Duration) <-chan time.Time { return nil }, Count: func(r send.Result) { w.counts = append(w.counts, r) },
	}
	if change != nil {
		change(&c)
	}
	return send.New(c)
}

func TestTraceIsJoinedToTheCallers(t *testing.T) {
	own := tracing.TraceID(key.UID).String()
	for name, c := range map[string]struct {
		reason, parent, trace, in string
		count                     send.Result
	}{
		"Alone":     {"a run without a caller begins a trace", "", own, "0000000000000000", send.Sent},
		"Joined":    {"a caller's trace goes on", sampled, trace, caller, send.Sent},
		"Malformed": {"what is no span is ignored", "hello", own, "0000000000000000", send.Sent},
		"Unwanted":  {"the caller wants no trace", unwanted, "", "", send.Unsampled},
	} {
		t.Run(name, func(t *testing.T) {
			w, e := newWorld(), &exporter{}
			w.run.TraceParent = c.parent
			if err := sender(w, e, nil).Sync(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			var want []string
			if c.trace != "" {
				want = []string{
					c.trace + ": DbtRun shop in " + c.in, c.trace + ": attempt 1 in DbtRun shop", c.trace + ": dbt build in attempt 1",
					c.trace + ": model.shop.m0 in dbt build",
				}
			}
			if diff := cmp.Diff(want, e.tree()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
			if !slices.Equal(w.counts, []send.Result{c.count}) {
				t.Errorf("%s: counted %v", c.reason, w.counts)
			}
			if c.count == send.Unsampled && w.opened > 0 {
				t.Error("a journal was read for a trace that nobody wants")
			}
		})
	}
}

// The sampler is OpenTelemetry's own, chosen by its variable.
func TestSampler(t *testing.T) {
	for name, c := range map[string]struct {
		sampler, argument, parent string
		want                      send.Result
	}{
		"Off":        {"always_off", "", "", send.Unsampled},
		"NoneOfAll":  {"parentbased_traceidratio", "0", "", send.Unsampled},
		"ButCallers": {"parentbased_traceidratio", "0", sampled, send.Sent},
		"All":        {"parentbased_traceidratio", "1", "", send.Sent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_TRACES_SAMPLER", c.sampler)
			t.Setenv("OTEL_TRACES_SAMPLER_ARG", c.argument)
			w := newWorld()
			w.run.TraceParent = c.parent
			if err := sender(w, &exporter{}, nil).Sync(t.Context(), key); err != nil || !slices.Equal(w.counts, []send.Result{c.want}) {
				t.Errorf("counted %v, %v, want %s", w.counts, err, c.want)
			}
		})
	}
}

// What was sent is not sent again, by no operator; after a failure all is, with the same IDs.
func TestSentOnce(t *testing.T) {
	w := newWorld()
	w.nodes = 1500
	e := &exporter{answer: func(_ context.Context, n int) error {
		if n == 1 {
			return &url.Error{Op: "Post", URL: "https://key@example.com", Err: errors.New("no route")}
		}
		return nil
	}}
	err := sender(w, e, nil).Sync(t.Context(), key)
	if err == nil || err.Error() != "sending the trace of run shop/nightly: no route" {
		t.Fatalf("got %v, want the failure without the address", err)
	}
	if w.note != nil || len(e.spans) != 512 {
		t.Fatalf("%d spans were taken, noted is %s", len(e.spans), w.note)
	}
	first := e.tree()
	e.spans = nil
	for range 2 {
		if err := sender(w, e, nil).Sync(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if want := []int{512, 512, 512, 512, 479}; !slices.Equal(e.batches, want) {
		t.Errorf("requests of %v spans, want %v", e.batches, want)
	}
	if diff := cmp.Diff(first, e.tree()[:512]); diff != "" {
		t.Errorf("sent again (-first +second):\n%s", diff)
	}
	if !slices.Equal(w.counts, []send.Result{send.Sent}) || string(w.note) != `{"version":1,"result":"sent"}` {
		t.Errorf("counted %v, noted %s", w.counts, w.note)
	}
}

func TestNothingIsDue(t *testing.T) {
	for name, change := range map[string]func(*world){
		"going on": func(w *world) { w.run.End = time.Time{} },
		"gone":     func(w *world) { w.err = outbox.ErrGone },
		"done":     func(w *world) { w.note = []byte(`{"version":1,"result":"dropped"}`) },
	} {
		w, e := newWorld(), &exporter{}
		change(w)
		if err := sender(w, e, nil).Sync(t.Context(), key); err != nil || len(e.batches)+len(w.counts)+w.opened > 0 {
			t.Errorf("%s: %v, %v, %v", name, err, e.batches, w.counts)
		}
	}
}

// A receiver that takes nothing, or says nothing, is asked no more after a day.
func TestGivenUp(t *testing.T) {
	w := newWorld()
	e := &exporter{answer: func(ctx context.Context, _ int) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	now := ended.Add(23 * time.Hour)
	s := sender(w, e, func(c *send.Config) {
		c.Timeout, c.Now = time.Millisecond, func() time.Time { return now }
	})
	if err := s.Sync(t.Context(), key); !errors.Is(err, context.DeadlineExceeded) || w.note != nil {
		t.Fatalf("got %v, want a time-out; noted %s", err, w.note)
	}
	now = ended.Add(25 * time.Hour)
	if err := s.Sync(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(w.counts, []send.Result{send.Dropped}) || string(w.note) != `{"version":1,"result":"dropped"}` {
		t.Errorf("counted %v, noted %s", w.counts, w.note)
	}
}

// However long the receiver is away, so many runs wait and no more, and nobody waits to say that there is one.
func TestQueueIsBounded(t *testing.T) {
	w := newWorld()
	s := sender(w, &exporter{}, func(c *send.Config) { c.MaxRuns = 2 })
	for i := range 5 {
		s.Poke(outbox.Key{Name: fmt.Sprint(i)})
	}
	if s.Waiting() != 2 || !slices.Equal(w.counts, []send.Result{send.Dropped, send.Dropped, send.Dropped}) {
		t.Errorf("%d wait, counted %v", s.Waiting(), w.counts)
	}
}

func TestProtocol(t *testing.T) {
	for name, c := range map[string]struct {
		general, traces, want, err string
	}{
		"Default": {"", "", "http/protobuf", ""},
		"GRPC":    {"grpc", "", "grpc", ""},
		"Traces":  {"http/json", "grpc", "grpc", ""},
		"JSON":    {"http/json", "", "", `OTEL_EXPORTER_OTLP_PROTOCOL is "http/json": must be grpc or http/protobuf`},
		"Typo":    {"grpc", "gRPC", "", `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is "gRPC": must be grpc or http/protobuf`},
	} {
		got, err := send.Protocol(func(name string) string {
			return map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": c.general, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": c.traces}[name]
		})
		if got != c.want || err == nil && c.err != "" || err != nil && err.Error() != c.err {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}
