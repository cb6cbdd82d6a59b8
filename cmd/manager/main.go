// Command manager runs the operator's controllers.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	goruntime "runtime"
	"strings"
	"time"
	_ "time/tzdata" // schedules name time zones, and the image has none

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/controller/dbtproject"
	"github.com/dbt-operator/dbt-operator/internal/controller/dbtrun"
	"github.com/dbt-operator/dbt-operator/internal/controller/dbtschedule"
	runmetrics "github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
)

// version is set by the linker.
var version = "dev"

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "manager: %v\n", err)
		os.Exit(1)
	}
}

// options are the manager's flags.
type options struct {
	metricsAddress string
	probeAddress   string
	leaderElect    bool
	namespaces     string
	selector       string
	pprofAddress   string
	runnerImage    string
	delivery       string
	workers        int
	schedulers     int
	qps            float64
	gracePeriod    time.Duration
	collector      collectorOptions
	lineage        lineageOptions
	tracing        tracingOptions
}

func (o *options) bind(fs *flag.FlagSet) {
	fs.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443",
		"Address of the metrics, served by HTTPS to whoever may get the non-resource URL /metrics. 0 turns them off.")
	fs.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "Address of /healthz and /readyz.")
	fs.BoolVar(&o.leaderElect, "leader-elect", false, "Let one of several replicas work at a time. The lease is given back at a graceful stop.")
	fs.StringVar(&o.namespaces, "namespaces", "", "Namespaces to work in, separated by commas. Empty: all.")
	fs.StringVar(&o.selector, "watch-label-selector", "",
		"Label selector, as kubectl's -l has it, of the DbtRuns and DbtSchedules that this manager works on; other managers work on the others (docs/scale.md). Empty: all.")
	fs.StringVar(&o.pprofAddress, "pprof-bind-address", "0", "Address of Go's profiles under /debug/pprof, served to anyone who reaches it: 127.0.0.1:6060, say. 0 turns them off.")
	fs.StringVar(&o.runnerImage, "runner-image", os.Getenv("RUNNER_IMAGE"),
		"Image that holds the runner, normally the operator's own. Default: the environment variable RUNNER_IMAGE.")
	fs.StringVar(&o.delivery, "runner-delivery", string(runjob.DeliverByInitContainer),
		"How the runner reaches dbt's container: image-volume (Kubernetes 1.36 and containerd 2.1 or later; saves about 1.4 s a run) or init-container.")
	fs.IntVar(&o.workers, "workers", 16, "DbtRuns reconciled at a time.")
	fs.IntVar(&o.schedulers, "schedule-workers", 64, "DbtSchedules reconciled at a time. More of them than --workers have runs made before runs are carried out, when there is more of both than can be.")
	fs.Float64Var(&o.qps, "kube-api-qps", -1, "Requests to the API server a second. -1: no limit of its own, API priority and fairness decides.")
	fs.DurationVar(&o.gracePeriod, "graceful-shutdown-timeout", 20*time.Second, "How long work in progress may take at a stop.")
	o.collector.bind(fs)
	o.lineage.bind(fs)
	o.tracing.bind(fs)
}

func (o *options) validate() error {
	if o.runnerImage == "" {
		return fmt.Errorf("--runner-image is empty: name the image that holds the runner, or set RUNNER_IMAGE")
	}
	switch runjob.Delivery(o.delivery) {
	case runjob.DeliverByImageVolume, runjob.DeliverByInitContainer:
	default:
		return fmt.Errorf("--runner-delivery is %q: must be %s or %s", o.delivery, runjob.DeliverByImageVolume, runjob.DeliverByInitContainer)
	}
	if _, err := controller.ParseShard(o.selector); err != nil {
		return fmt.Errorf("--watch-label-selector: %w", err)
	}
	if o.workers < 1 {
		return fmt.Errorf("--workers is %d: must be at least 1", o.workers)
	}
	if o.schedulers < 1 {
		return fmt.Errorf("--schedule-workers is %d: must be at least 1", o.schedulers)
	}
	if err := o.collector.validate(); err != nil {
		return err
	}
	if err := o.lineage.validate(o.collector.store != ""); err != nil {
		return err
	}
	return o.tracing.validate(o.collector.store != "")
}

func (o *options) namespaceList() []string {
	var out []string
	for ns := range strings.SplitSeq(o.namespaces, ",") {
		if ns = strings.TrimSpace(ns); ns != "" {
			out = append(out, ns)
		}
	}
	return out
}

// scope is what the manager works on. The flags are valid.
func (o *options) scope() controller.Scope {
	shard, err := controller.ParseShard(o.selector)
	utilruntime.Must(err)
	return controller.Scope{Namespaces: o.namespaceList(), Shard: shard, Keeps: o.collector.store != ""}
}

// mutexSamples is of how many waits for a lock one is in the profile of mutexes.
const mutexSamples = 10

func run() error {
	var o options
	o.bind(flag.CommandLine)
	logs := zap.Options{}
	logs.BindFlags(flag.CommandLine)
	flag.Parse()
	if err := o.validate(); err != nil {
		return err
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&logs)))
	if o.pprofAddress != "0" {
		goruntime.SetMutexProfileFraction(mutexSamples)
	}
	ctx := ctrl.SetupSignalHandler()
	scope := o.scope()
	mgr, err := newManager(ctx, o, scope)
	if err != nil {
		return err
	}
	ctrl.Log.Info("starting", "version", version, "namespaces", scope.Namespaces, "shard", o.selector, "runnerDelivery", o.delivery)
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("running the manager: %w", err)
	}
	return nil
}

func newManager(ctx context.Context, o options, scope controller.Scope) (manager.Manager, error) {
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the API server: %w", err)
	}
	config.QPS = float32(o.qps)
	config.Burst = 2 * max(1, int(o.qps))
	// The first list of many runs is large. Packing it would take the API server longer than sending it within a cluster.
	config.DisableCompression = true
	config.UserAgent = "dbt-operator/" + version

	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("making the cache's client: %w", err)
	}
	cached := controller.CacheOptions(scope, time.Now)
	cached.HTTPClient = &http.Client{Transport: controller.ReadAhead(transport)}
	mgr, err := ctrl.NewManager(config, manager.Options{
		Scheme: scheme,
		Cache:  cached,
		Metrics: metricsserver.Options{
			BindAddress: o.metricsAddress, SecureServing: true, FilterProvider: filters.WithAuthenticationAndAuthorization,
		},
		HealthProbeBindAddress:        o.probeAddress,
		PprofBindAddress:              o.pprofAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              scope.Shard.Name("dbt-operator"),
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &o.gracePeriod,
	})
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	if err := addControllers(ctx, mgr, o, scope); err != nil {
		return nil, err
	}
	if err := mgr.Add(tidy{mgr.GetCache()}); err != nil {
		return nil, fmt.Errorf("adding what gives memory back: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, fmt.Errorf("adding the health check: %w", err)
	}
	if err := mgr.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return nil, fmt.Errorf("adding the readiness check: %w", err)
	}
	return mgr, nil
}

func addControllers(ctx context.Context, mgr manager.Manager, o options, scope controller.Scope) error {
	clk := clock.RealClock{}
	runmetrics.NewBuild(metrics.Registry, version)
	// The collector wakes the controller, which reads from the collector.
	var runs *dbtrun.Reconciler
	kept, counts, err := openStore(ctx, o.collector, metrics.Registry)
	if err != nil {
		return err
	}
	results, err := addCollector(ctx, mgr, o.collector, kept, counts, scope.Namespaces, func(run types.NamespacedName) { runs.Wake(run) })
	if err != nil {
		return err
	}
	runs = dbtrun.New(clk, mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder("dbt-operator"),
		runmetrics.NewRuns(metrics.Registry, clk.Now),
		runjob.Options{OperatorImage: o.runnerImage, Delivery: runjob.Delivery(o.delivery)}, results, scope.Shard)
	if err := runs.SetupWithManager(ctx, mgr, o.workers); err != nil {
		return fmt.Errorf("setting up the DbtRun controller: %w", err)
	}
	if err := addLineage(mgr, o.lineage, kept); err != nil {
		return err
	}
	if err := addTracing(ctx, mgr, o.tracing, kept); err != nil {
		return err
	}
	if err := dbtproject.New(clk, mgr.GetClient(), scope).SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the DbtProject controller: %w", err)
	}
	schedules := dbtschedule.New(clk, mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder("dbt-operator"), runmetrics.NewSchedules(metrics.Registry, clk.Now))
	if err := schedules.SetupWithManager(ctx, mgr, o.schedulers); err != nil {
		return fmt.Errorf("setting up the DbtSchedule controller: %w", err)
	}
	return nil
}
