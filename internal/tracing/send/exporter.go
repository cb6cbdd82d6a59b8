package send

import (
	"cmp"
	"context"
	"fmt"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Protocols of OTLP, as OTEL_EXPORTER_OTLP_PROTOCOL names them.
const (
	protocolGRPC = "grpc"
	protocolHTTP = "http/protobuf"
)

// Protocol returns the protocol that the variables choose, or an error that says what is wrong with them.
func Protocol(getenv func(string) string) (string, error) {
	const general, traces = "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	name := general
	if getenv(traces) != "" {
		name = traces
	}
	switch p := cmp.Or(getenv(name), protocolHTTP); p {
	case protocolGRPC, protocolHTTP:
		return p, nil
	default:
		return "", fmt.Errorf("%s is %q: must be %s or %s", name, p, protocolGRPC, protocolHTTP)
	}
}

// NewExporter returns an exporter of OTLP. Endpoint, headers, certificates, compression and time-out are those of the variables
// OTEL_EXPORTER_OTLP_*, which OpenTelemetry's library reads by itself. It connects when it is first used.
func NewExporter(ctx context.Context, protocol string) (*otlptrace.Exporter, error) {
	if protocol == protocolGRPC {
		return otlptracegrpc.New(ctx, otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: false}))
	}
	return otlptracehttp.New(ctx, otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: false}))
}

// Resource returns what is said of all spans: the service's name, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say
// another, and what else those say.
func Resource(ctx context.Context, version string) (*resource.Resource, error) {
	r, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName("dbt"), semconv.ServiceVersion(version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("reading OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return r, nil
}
