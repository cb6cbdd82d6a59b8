package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"go.opentelemetry.io/otel"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/dbt-operator/dbt-operator/internal/controller/follow"
	tracingcontroller "github.com/dbt-operator/dbt-operator/internal/controller/tracing"
	operatormetrics "github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/outbox"
	"github.com/dbt-operator/dbt-operator/internal/store"
	"github.com/dbt-operator/dbt-operator/internal/tracing/send"
)

// tracingOptions are the flags of the traces of runs.
type tracingOptions struct{ on bool }

func (o *tracingOptions) bind(fs *flag.FlagSet) {
	fs.BoolVar(&o.on, "tracing", false, "Send a trace of each run that ended by OTLP, as the environment variables OTEL_EXPORTER_OTLP_* say (docs/tracing.md).")
}

func (o *tracingOptions) validate(hasStore bool) error {
	if !o.on {
		return nil
	}
	if !hasStore {
		return errors.New("--tracing needs --store: traces are made of the journals that are kept there")
	}
	_, err := send.Protocol(os.Getenv)
	return err
}

// addTracing adds the sender of traces to mgr.
func addTracing(ctx context.Context, mgr manager.Manager, o tracingOptions, kept *store.Store) error {
	if !o.on {
		return nil
	}
	protocol, err := send.Protocol(os.Getenv)
	if err != nil {
		return err
	}
	exporter, err := send.NewExporter(ctx, protocol)
	if err != nil {
		return fmt.Errorf("making the exporter of traces: %w", err)
	}
	resource, err := send.Resource(ctx, version)
	if err != nil {
		return err
	}
	clk, log := clock.RealClock{}, ctrl.Log.WithName("tracing")
	// What a receiver took in part, and settings that OpenTelemetry's library cannot read.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Error(err, "tracing") }))
	otel.SetLogger(log)
	known, counts := tracingcontroller.NewKnown(mgr.GetClient(), kept), operatormetrics.NewTracing(metrics.Registry)
	sender := send.New(send.Config{
		Exporter: exporter, Resource: resource, Source: known, Notes: known, Now: clk.Now, After: clk.After,
		Count: func(result send.Result) { counts.Trace(string(result)) },
		Log:   func(run outbox.Key, err error) { log.Error(err, "sending the trace of a run", "run", run.String()) },
	})
	// The leader alone sends: a manager.Runnable that does not say otherwise waits for the lease.
	if err := mgr.Add(manager.RunnableFunc(sender.Start)); err != nil {
		return fmt.Errorf("adding the sender of traces: %w", err)
	}
	return follow.New(tracingcontroller.Name, clk, mgr.GetClient(), sender).SetupWithManager(mgr)
}
