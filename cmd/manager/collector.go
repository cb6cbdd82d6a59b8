package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/dbt-operator/dbt-operator/internal/collector"
	"github.com/dbt-operator/dbt-operator/internal/collector/cert"
	"github.com/dbt-operator/dbt-operator/internal/controller/dbtrun"
	operatormetrics "github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// collectorOptions are the flags of what runs report to, and of what is kept of them.
type collectorOptions struct {
	store     string
	address   string
	url       string
	secret    string
	certDir   string
	namespace string
	retention collector.Retention
}

func (o *collectorOptions) bind(fs *flag.FlagSet) {
	fs.StringVar(&o.store, "store", "",
		"URL of where journals, logs and artifacts of runs are kept: file:///path, s3://bucket?region=…, gs://bucket, azblob://container. Empty: nothing is kept, and there is no live progress and no resuming.")
	fs.StringVar(&o.address, "collector-bind-address", ":9443", "Address of the collector, served by HTTPS to the pods of runs, and to people who may read them.")
	fs.StringVar(&o.url, "collector-url", "", "URL by which the pods of runs reach the collector. Default: https://collector.NAMESPACE.svc:9443, with the operator's own namespace.")
	fs.StringVar(&o.certDir, "collector-cert-dir", "", "Folder with tls.crt, tls.key and ca.crt for the collector, read again when they change. Default: the operator makes a certificate and keeps it in a Secret.")
	fs.StringVar(&o.secret, "collector-secret", "dbt-operator-collector", "Name of the Secret, in the operator's own namespace, in which it keeps the collector's certificate.")
	fs.StringVar(&o.namespace, "operator-namespace", os.Getenv("POD_NAMESPACE"), "The operator's own namespace. Default: the environment variable POD_NAMESPACE.")
	fs.DurationVar(&o.retention.Age, "retention-age", 30*24*time.Hour, "How long what ended runs left is kept. 0: as long as their DbtRun is there.")
	fs.IntVar(&o.retention.Count, "retention-count", 0, "Of how many ended runs per project what they left is kept, the newest. 0: of all.")
}

func (o *collectorOptions) validate() error {
	switch {
	case o.store == "":
		return nil
	case o.namespace == "" && (o.url == "" || o.certDir == ""):
		return fmt.Errorf("--operator-namespace is empty: name the operator's own namespace, or set POD_NAMESPACE")
	case o.retention.Age < 0:
		return fmt.Errorf("--retention-age is %s: must not be negative", o.retention.Age)
	case o.retention.Count < 0:
		return fmt.Errorf("--retention-count is %d: must not be negative", o.retention.Count)
	}
	if u, err := url.Parse(o.endpoint()); err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return fmt.Errorf("--collector-url is %q: must be a URL such as https://collector.dbt-operator-system.svc:9443", o.url)
	}
	return nil
}

func (o *collectorOptions) endpoint() string {
	if o.url != "" {
		return strings.TrimSuffix(o.url, "/")
	}
	return "https://collector." + o.namespace + ".svc:9443"
}

// certificates are what the collector serves with and what pods are to trust.
type certificates interface {
	manager.Runnable
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Bundle() string
}

// expiry returns until when the certificate that is served is valid, the zero time when there is none.
func expiry(c certificates) time.Time {
	serving, err := c.GetCertificate(nil)
	if err != nil || serving == nil || serving.Leaf == nil {
		return time.Time{}
	}
	return serving.Leaf.NotAfter
}

func (o *collectorOptions) certificates(ctx context.Context, mgr manager.Manager) (certificates, error) {
	if o.certDir != "" {
		return cert.NewFolder(o.certDir)
	}
	u, err := url.Parse(o.endpoint())
	if err != nil {
		return nil, err
	}
	keeper, err := cert.NewKeeper(cert.Config{
		Clock: clock.RealClock{}, Reader: mgr.GetAPIReader(), Writer: mgr.GetClient(),
		Secret: types.NamespacedName{Namespace: o.namespace, Name: o.secret}, Names: []string{u.Hostname()},
		Log: ctrl.LoggerFrom(ctx).WithName("collector"),
	})
	if err != nil {
		return nil, err
	}
	return keeper, keeper.Ensure(ctx)
}

// results is what the DbtRun controller knows of the collector.
type results struct {
	*collector.Collector
	deletions *collector.Deletions
	url       string
	bundle    func() string
}

func (r *results) Endpoint() *plan.Collector {
	return &plan.Collector{URL: r.url, CA: r.bundle()}
}

func (r *results) Deleted(run types.NamespacedName, uid types.UID) {
	r.deletions.Add(run, uid)
}

// openStore opens the store and tries it, and returns the collector's metrics with it; nil when nothing is kept.
func openStore(ctx context.Context, o collectorOptions, registry metrics.RegistererGatherer) (*store.Store, *operatormetrics.Collector, error) {
	if o.store == "" {
		return nil, nil, nil
	}
	counts := operatormetrics.NewCollector(registry)
	log := ctrl.LoggerFrom(ctx).WithName("collector")
	// Nobody else is told of what fails in the background.
	kept, err := store.Open(ctx, o.store, store.OnError(func(err error) {
		counts.StoreFailed("compact")
		log.Error(err, "the collector's store failed", "operation", "compact")
	}))
	if err != nil {
		return nil, nil, fmt.Errorf("opening --store: %w", err)
	}
	if err := kept.Check(ctx); err != nil {
		return nil, nil, fmt.Errorf("trying --store: %w", err)
	}
	return kept, counts, nil
}

// addCollector adds the collector to mgr, and returns what the DbtRun controller is to know of it; nil when nothing is
// kept. notify is called when a run went on.
func addCollector(ctx context.Context, mgr manager.Manager, o collectorOptions, kept *store.Store, counts *operatormetrics.Collector, namespaces []string, notify func(types.NamespacedName)) (dbtrun.Results, error) {
	if kept == nil {
		return nil, nil
	}
	certificates, err := o.certificates(ctx, mgr)
	if err != nil {
		return nil, fmt.Errorf("the collector's certificate: %w", err)
	}
	operatormetrics.NewCertificate(metrics.Registry, func() time.Time { return expiry(certificates) })
	log := ctrl.LoggerFrom(ctx).WithName("collector")
	c, err := collector.New(collector.Config{
		Address: o.address, Clock: clock.RealClock{}, Store: kept,
		Cache: mgr.GetClient(), Direct: mgr.GetAPIReader(), Reviews: mgr.GetClient(), Elected: mgr.Elected(),
		Certificate: certificates.GetCertificate, Notify: notify, Namespaces: namespaces,
		Retention: o.retention, Metrics: counts, Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("making the collector: %w", err)
	}
	r := &results{Collector: c, deletions: collector.NewDeletions(c.DeleteGone, log), url: o.endpoint(), bundle: certificates.Bundle}
	for _, each := range []manager.Runnable{c, c.Sweeper(), certificates, r.deletions} {
		if err := mgr.Add(each); err != nil {
			return nil, fmt.Errorf("adding the collector: %w", err)
		}
	}
	return r, nil
}
