package send

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/dbt-operator/dbt-operator/internal/tracing"
)

// batchSize is how many spans go into one request: of 2 KiB at most in most cases, well below what receivers take.
const batchSize = 512

// send sends the spans of a run in batches, so that a large run takes no more memory than its journal. A trace that nobody
// wants costs no reading of the journal.
func (s *Sender) send(ctx context.Context, known Known) (Result, error) {
	recorded := &recorder{}
	tracer := s.tracer(recorded)
	root := s.root(known.Run)
	if !root.IsSampled() {
		return Unsampled, nil
	}
	timeline, err := s.timeline(ctx, known)
	if err != nil {
		return Failed, err
	}
	for span := range tracing.Spans(known.Run, timeline) {
		of := within(root, span.Parent)
		if span.ID == root.SpanID() {
			of = parent(known.Run)
		}
		record(identified(of, known.Run, span), tracer, span)
		if len(recorded.spans) == batchSize {
			if err := s.export(ctx, recorded.take()); err != nil {
				return Failed, err
			}
		}
	}
	return Sent, s.export(ctx, recorded.take())
}

// root returns the context of a run's own span: in which trace it is, and whether it is sampled.
func (s *Sender) root(r tracing.Run) trace.SpanContext {
	tracer := s.tracer(&recorder{})
	for span := range tracing.Spans(r, nil) {
		return record(identified(parent(r), r, span), tracer, span)
	}
	return trace.SpanContext{}
}

// identified returns a context in which a span gets its own ID.
func identified(ctx context.Context, r tracing.Run, s tracing.Span) context.Context {
	return context.WithValue(ctx, wanted{}, ids{tracing.TraceID(r.UID), s.ID})
}

// parent returns the context that a run's own span begins in.
func parent(r tracing.Run) context.Context {
	if p, ok := r.Parent(); ok {
		return trace.ContextWithRemoteSpanContext(context.Background(), p)
	}
	return context.Background()
}

// within returns the context of a span that is part of another of the same trace.
func within(root trace.SpanContext, span trace.SpanID) context.Context {
	return trace.ContextWithSpanContext(context.Background(), root.WithSpanID(span))
}

// record has the tracer make a span.
func record(ctx context.Context, tracer trace.Tracer, s tracing.Span) trace.SpanContext {
	_, span := tracer.Start(ctx, s.Name, trace.WithSpanKind(s.Kind), trace.WithTimestamp(s.Start), trace.WithAttributes(s.Attributes...))
	for _, e := range s.Events {
		span.AddEvent(e.Name, trace.WithTimestamp(e.Time))
	}
	if s.Failed {
		span.SetStatus(codes.Error, s.Message)
	}
	span.End(trace.WithTimestamp(s.End))
	return span.SpanContext()
}

// tracer returns one of OpenTelemetry's own, whose sampler is that of its variables (OTEL_TRACES_SAMPLER): by default it does as
// the caller's span does, and takes all that has no caller.
func (s *Sender) tracer(to sdktrace.SpanProcessor) trace.Tracer {
	options := []sdktrace.TracerProviderOption{sdktrace.WithIDGenerator(given{}), sdktrace.WithSpanProcessor(to)}
	if s.config.Resource != nil {
		options = append(options, sdktrace.WithResource(s.config.Resource))
	}
	return sdktrace.NewTracerProvider(options...).Tracer(scope)
}

// scope names who makes the spans.
const scope = "github.com/dbt-operator/dbt-operator"

// wanted is the key of the ids that a span is to have, in the context that it is started with.
type wanted struct{}

type ids struct {
	trace trace.TraceID
	span  trace.SpanID
}

// given is an IDGenerator that gives a span the IDs that it is to have.
type given struct{}

// NewIDs returns those of a span without a caller.
func (given) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	of, _ := ctx.Value(wanted{}).(ids)
	return of.trace, of.span
}

// NewSpanID returns that of a span of a trace.
func (given) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	of, _ := ctx.Value(wanted{}).(ids)
	return of.span
}

// recorder is a SpanProcessor that keeps spans until they are taken.
type recorder struct{ spans []sdktrace.ReadOnlySpan }

func (r *recorder) take() []sdktrace.ReadOnlySpan {
	out := r.spans
	r.spans = nil
	return out
}

// OnStart does nothing.
func (*recorder) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd keeps a span.
func (r *recorder) OnEnd(s sdktrace.ReadOnlySpan) { r.spans = append(r.spans, s) }

// Shutdown does nothing.
func (*recorder) Shutdown(context.Context) error { return nil }

// ForceFlush does nothing.
func (*recorder) ForceFlush(context.Context) error { return nil }
