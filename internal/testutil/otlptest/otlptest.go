// Package otlptest receives traces by OTLP, as a collector or a backend does. It is imported by tests only.
package otlptest

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// Receiver is a receiver of traces, by gRPC and by HTTP.
type Receiver struct {
	collectorpb.UnimplementedTraceServiceServer
	// GRPC is HOST:PORT, HTTP a URL without a path.
	GRPC, HTTP string

	mu      sync.Mutex
	spans   map[string]*Span
	headers []string
	came    int
}

// Span is a span with what is said of all spans of its request.
type Span struct {
	*tracepb.Span
	Resource map[string]string
}

// Attribute returns an attribute as text, empty when there is none.
func (s *Span) Attribute(key string) string { return values(s.GetAttributes())[key] }

// New returns a receiver that listens until the test ends.
func New(t testing.TB) *Receiver {
	t.Helper()
	r := &Receiver{spans: map[string]*Span{}}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rpc := grpc.NewServer()
	collectorpb.RegisterTraceServiceServer(rpc, r)
	ended := make(chan error, 1)
	go func() { ended <- rpc.Serve(listener) }()
	web := httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(func() {
		rpc.Stop()
		web.Close()
		if err := <-ended; err != nil {
			t.Errorf("the receiver: %v", err)
		}
	})
	r.GRPC, r.HTTP = listener.Addr().String(), web.URL
	return r
}

// Export takes spans by gRPC.
func (r *Receiver) Export(ctx context.Context, in *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	head, _ := metadata.FromIncomingContext(ctx)
	r.take(in, head.Get("x-tenant"))
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

func (r *Receiver) serve(w http.ResponseWriter, req *http.Request) {
	in, err := decode(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.take(in, req.Header.Values("X-Tenant"))
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func decode(req *http.Request) (*collectorpb.ExportTraceServiceRequest, error) {
	if req.Method != http.MethodPost || req.URL.Path != "/v1/traces" || req.Header.Get("Content-Type") != "application/x-protobuf" {
		return nil, fmt.Errorf("not a request for traces: %s %s %v", req.Method, req.URL.Path, req.Header)
	}
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(req.Body)
		if err != nil {
			return nil, err
		}
		body = unpacked
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	in := &collectorpb.ExportTraceServiceRequest{}
	return in, proto.Unmarshal(b, in)
}

func (r *Receiver) take(in *collectorpb.ExportTraceServiceRequest, tenant []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.headers = tenant
	for _, of := range in.GetResourceSpans() {
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				r.spans[string(s.GetTraceId())+string(s.GetSpanId())] = &Span{Span: s, Resource: values(of.GetResource().GetAttributes())}
				r.came++
			}
		}
	}
}

func values(attributes []*commonpb.KeyValue) map[string]string {
	out := map[string]string{}
	for _, a := range attributes {
		switch v := a.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			out[a.GetKey()] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			out[a.GetKey()] = fmt.Sprint(v.IntValue)
		case *commonpb.AnyValue_BoolValue:
			out[a.GetKey()] = fmt.Sprint(v.BoolValue)
		default:
			out[a.GetKey()] = a.GetValue().String()
		}
	}
	return out
}

// Spans returns the spans that came, each once, as a backend has them.
func (r *Receiver) Spans() []*Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*Span
	for _, s := range r.spans {
		out = append(out, s)
	}
	return out
}

// Came returns how many spans came, those that came again included.
func (r *Receiver) Came() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.came
}

// Tenant returns the header X-Tenant of the last request.
func (r *Receiver) Tenant() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.headers
}
