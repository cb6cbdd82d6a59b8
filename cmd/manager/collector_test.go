package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/dbt-operator/dbt-operator/internal/store"
)

// heard returns a context with a log, and the log's lines.
func heard(t *testing.T) (context.Context, <-chan string) {
	lines := make(chan string, 1000)
	log := funcr.New(func(prefix, args string) { lines <- prefix + " " + args }, funcr.Options{})
	return ctrl.LoggerInto(t.Context(), log), lines
}

// wantLine looks at the first line of a log.
func wantLine(t *testing.T, lines <-chan string, want string) {
	t.Helper()
	select {
	case line := <-lines:
		if !strings.Contains(line, want) {
			t.Errorf("the log says %s, want %q", line, want)
		}
	default:
		t.Errorf("the log is empty, want %q", want)
	}
}

// counted returns the value of a counter.
func counted(t *testing.T, r *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetValue() == label }) {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("there is no %s of %s", name, label)
	return 0
}

// Nobody is told of a compaction that an append started but the log and a counter.
func TestCompactionThatFailsIsHeard(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	registry := prometheus.NewRegistry()
	ctx, lines := heard(t)
	kept, _, err := openStore(ctx, collectorOptions{store: "file://" + dir}, registry)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	run, end := store.Run{Namespace: "shop", UID: "uid-1"}, int64(0)
	write := func() {
		if end, err = kept.Append(t.Context(), run, "journal", "pod-1", end, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	write()
	bases, err := filepath.Glob(filepath.Join(dir, "runs", "shop", "uid-1", "streams", "journal", "pod-1", "*.base"))
	if err != nil || len(bases) != 1 {
		t.Fatalf("%v, %v; want one base", bases, err)
	}
	if err := os.WriteFile(bases[0], []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	// As many as are never left to the background alone.
	for range 200 {
		write()
	}
	wantLine(t, lines, "compacting")
	if n := counted(t, registry, "dbtoperator_collector_store_errors_total", "compact"); n == 0 {
		t.Error("the failure was not counted")
	}
}

// clients is as much of a manager as the certificates need.
type clients struct {
	manager.Manager
	client client.Client
}

func (c clients) GetAPIReader() client.Reader { return c.client }
func (c clients) GetClient() client.Client    { return c.client }

func TestCertificateThatIsMadeIsHeard(t *testing.T) {
	t.Parallel()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	ctx, lines := heard(t)
	o := collectorOptions{namespace: "dbt-operator-system", secret: "cert"}
	if _, err := o.certificates(ctx, clients{client: fake.NewClientBuilder().WithScheme(scheme).Build()}); err != nil {
		t.Fatal(err)
	}
	wantLine(t, lines, "the collector's certificate was renewed")
}
