package send_test

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/testutil/otlptest"
	"github.com/dbt-operator/dbt-operator/internal/tracing/send"
)

// The variables say where traces go, by which protocol and with which headers, and what is said of the service.
func TestExporterDoesAsTheVariablesSay(t *testing.T) {
	for name, c := range map[string]struct {
		protocol string
		variable func(*otlptest.Receiver) (name, value string)
	}{
		"HTTP": {"", func(r *otlptest.Receiver) (string, string) { return "OTEL_EXPORTER_OTLP_ENDPOINT", r.HTTP }},
		"GRPC": {"grpc", func(r *otlptest.Receiver) (string, string) { return "OTEL_EXPORTER_OTLP_ENDPOINT", "http://" + r.GRPC }},
		"OfTraces": {"", func(r *otlptest.Receiver) (string, string) {
			return "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", r.HTTP + "/v1/traces"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := otlptest.New(t)
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", c.protocol)
			t.Setenv(c.variable(r))
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=team%20a")
			t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod")
			protocol, err := send.Protocol(os.Getenv)
			if err != nil {
				t.Fatal(err)
			}
			exporter, err := send.NewExporter(t.Context(), protocol)
			if err != nil {
				t.Fatal(err)
			}
			resource, err := send.Resource(t.Context(), "v1.2.3")
			if err != nil {
				t.Fatal(err)
			}
			s := sender(newWorld(), nil, func(c *send.Config) { c.Exporter, c.Resource = exporter, resource })
			if err := s.Sync(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			if err := exporter.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if len(r.Spans()) != 4 || !slices.Equal(r.Tenant(), []string{"team a"}) {
				t.Fatalf("%d spans of tenant %q", len(r.Spans()), r.Tenant())
			}
			want := map[string]string{"service.name": "dbt", "service.version": "v1.2.3", "deployment.environment.name": "prod"}
			if diff := cmp.Diff(want, r.Spans()[0].Resource); diff != "" {
				t.Errorf("said of all spans (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServiceHasAnotherName(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "warehouse")
	r, err := send.Resource(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	if name, _ := r.Set().Value("service.name"); name.AsString() != "warehouse" {
		t.Errorf("it is called %q", name.AsString())
	}
}
