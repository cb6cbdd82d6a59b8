package logs

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/filelogreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/service/telemetry"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
)

const config = "../../examples/logging/opentelemetry-collector.yaml"

// patience bounds every wait of these tests. Nothing is expected to take long; a machine may be slow.
const patience = 60 * time.Second

// record is a log record, as far as it is the same each time.
type record struct {
	Resource, Attributes map[string]any
	Time                 time.Time
	Severity, Level      string
	Body                 any
}

// backend receives logs by OTLP over HTTP.
type backend struct {
	*httptest.Server
	mu      sync.Mutex
	got     []record
	changed chan struct{}
	// failed has why the collector ended, when that was before it was told to.
	failed chan error
}

func newBackend(t *testing.T) *backend {
	b := &backend{changed: make(chan struct{}, 1), failed: make(chan error, 1)}
	b.Server = httptest.NewServer(http.HandlerFunc(b.receive))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) receive(w http.ResponseWriter, r *http.Request) {
	in, err := decode(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, of := range in.Logs().ResourceLogs().All() {
		for _, scope := range of.ScopeLogs().All() {
			for _, l := range scope.LogRecords().All() {
				b.got = append(b.got, record{
					Resource: plain(of.Resource().Attributes()), Attributes: plain(l.Attributes()), Time: l.Timestamp().AsTime(),
					Severity: l.SeverityNumber().String(), Level: l.SeverityText(), Body: l.Body().AsRaw(),
				})
			}
		}
	}
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

func decode(r *http.Request) (plogotlp.ExportRequest, error) {
	in := plogotlp.NewExportRequest()
	if r.URL.Path != "/v1/logs" || r.Header.Get("Content-Encoding") != "gzip" {
		return in, fmt.Errorf("not a request for logs, packed by gzip: %s %v", r.URL.Path, r.Header)
	}
	unpacked, err := gzip.NewReader(r.Body)
	if err != nil {
		return in, err
	}
	body, err := io.ReadAll(unpacked)
	if err != nil {
		return in, err
	}
	return in, in.UnmarshalProto(body)
}

// plain returns attributes without what names a place of the test or the collector's own reading.
func plain(m pcommon.Map) map[string]any {
	m.Remove("log.file.path")
	return m.AsRaw()
}

// take returns the next n records in the order of their files.
func (b *backend) take(t *testing.T, n int) []record {
	t.Helper()
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		if len(b.got) >= n {
			out := b.got
			b.got = nil
			b.mu.Unlock()
			if len(out) > n {
				t.Fatalf("%d records came, want %d; the last: %+v", len(out), n, out[len(out)-1])
			}
			return out
		}
		came := len(b.got)
		b.mu.Unlock()
		select {
		case <-b.changed:
		case err := <-b.failed:
			t.Fatalf("the collector ended: %v", err)
		case <-deadline:
			t.Fatalf("%d records came in %s, want %d", came, patience, n)
		}
	}
}

// collect runs a collector of the example's configuration until stop is called.
func collect(t *testing.T, to *backend) (stop func()) {
	t.Helper()
	c, err := otelcol.NewCollector(otelcol.CollectorSettings{
		BuildInfo: component.NewDefaultBuildInfo(), Factories: func() (otelcol.Factories, error) { return factories(t) }, DisableGracefulShutdown: true, SkipSettingGRPCLogger: true,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			URIs:              []string{"file:" + config},
			ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory(), envprovider.NewFactory()},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.Run(context.WithoutCancel(t.Context())); err != nil {
			to.failed <- err
		}
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			c.Shutdown()
			<-ended
		})
	}
	t.Cleanup(stop)
	return stop
}

// factories are what the example's configuration names, of the contrib distribution; what the collector has to complain of is
// the test's to tell.
func factories(t *testing.T) (otelcol.Factories, error) {
	var f otelcol.Factories
	var err error
	if f.Receivers, err = otelcol.MakeFactoryMap[receiver.Factory](filelogreceiver.NewFactory()); err != nil {
		return f, err
	}
	if f.Exporters, err = otelcol.MakeFactoryMap[exporter.Factory](otlphttpexporter.NewFactory()); err != nil {
		return f, err
	}
	f.Extensions, err = otelcol.MakeFactoryMap[extension.Factory](filestorage.NewFactory())
	f.Telemetry = telemetry.NewFactory(func() component.Config { return &struct{}{} }, telemetry.WithCreateLogger(
		func(context.Context, telemetry.LoggerSettings, component.Config) (*zap.Logger, component.ShutdownFunc, error) {
			return zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel)), nil, nil
		}))
	return f, err
}
