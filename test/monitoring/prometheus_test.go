package monitoring

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/dbt-operator/dbt-operator/internal/testutil/metricstest"
)

const interval = 30 * time.Second

var start = time.Date(2026, 11, 25, 6, 0, 0, 0, time.UTC)

// prom is a Prometheus that scrapes an operator, by a clock of its own.
type prom struct {
	*testing.T
	*metricstest.Operator
	now      time.Time
	expiry   time.Time
	registry *prometheus.Registry
	db       *tsdb.DB
	engine   *promql.Engine
	// down is whether nothing answers.
	down bool
}

func newProm(t *testing.T) *prom {
	t.Helper()
	options := tsdb.DefaultOptions()
	options.MinBlockDuration = (48 * time.Hour).Milliseconds()
	options.MaxBlockDuration = options.MinBlockDuration
	db, err := tsdb.Open(t.TempDir(), nil, nil, options, tsdb.NewDBStats())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	p := &prom{T: t, now: start, expiry: start.Add(60 * 24 * time.Hour), registry: prometheus.NewRegistry(), db: db}
	p.engine = promql.NewEngine(promql.EngineOpts{MaxSamples: 1e7, Timeout: time.Minute, Parser: parser.NewParser(parser.Options{})})
	t.Cleanup(func() { _ = p.engine.Close() })
	p.Operator = metricstest.New(p.registry, func() time.Time { return p.now }, func() time.Time { return p.expiry })
	return p
}

// scrape lets time pass, and keeps what the operator and controller-runtime give meanwhile.
func (p *prom) scrape(d time.Duration, then ...func(now time.Time)) {
	p.Helper()
	for end := p.now.Add(d); p.now.Before(end); p.now = p.now.Add(interval) {
		if !p.down {
			p.keep()
		}
		for _, f := range then {
			f(p.now)
		}
	}
}

func (p *prom) keep() {
	p.Helper()
	families, err := prometheus.Gatherers{p.registry, metrics.Registry}.Gather()
	if err != nil {
		p.Fatal(err)
	}
	samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.TimeFromUnixNano(p.now.UnixNano())}, families...)
	if err != nil {
		p.Fatal(err)
	}
	into := p.db.Appender(p.Context())
	for _, s := range samples {
		of := map[string]string{"job": "metrics", "instance": "10.0.0.7:8443"}
		for name, value := range s.Metric {
			of[string(name)] = string(value)
		}
		if _, err := into.Append(0, labels.FromMap(of), int64(s.Timestamp), float64(s.Value)); err != nil {
			p.Fatal(err)
		}
	}
	if err := into.Commit(); err != nil {
		p.Fatal(err)
	}
}

// query returns how many series an expression gives now.
func (p *prom) query(ctx context.Context, expr string) (int, error) {
	q, err := p.engine.NewInstantQuery(ctx, storage.Queryable(p.db), nil, expr, p.now)
	if err != nil {
		return 0, err
	}
	defer q.Close()
	result := q.Exec(ctx)
	if result.Err != nil {
		return 0, result.Err
	}
	vector, err := result.Vector()
	return len(vector), err
}

// reconcileOnce has controller-runtime reconcile something without success, for its metrics of controllers and queues.
func reconcileOnce(t *testing.T) {
	t.Helper()
	log.SetLogger(logr.Discard())
	ctx, cancel := context.WithCancel(t.Context())
	done, ended := make(chan struct{}), make(chan error)
	skip := true
	c, err := controller.NewUnmanaged("dbtrun", controller.Options{
		SkipNameValidation: &skip,
		Reconciler: reconcile.Func(func(context.Context, ctrl.Request) (ctrl.Result, error) {
			select {
			case done <- struct{}{}:
			case <-ctx.Done():
			}
			return ctrl.Result{}, errors.New("made to fail")
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Watch(source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		q.Add(ctrl.Request{})
		return nil
	})); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- c.Start(ctx) }()
	// The second time, the first has been counted.
	<-done
	<-done
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
