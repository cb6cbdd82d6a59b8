package main

import (
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/dbt-operator/dbt-operator/internal/controller/follow"
	lineagecontroller "github.com/dbt-operator/dbt-operator/internal/controller/openlineage"
	operatormetrics "github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/openlineage"
	"github.com/dbt-operator/dbt-operator/internal/openlineage/send"
	"github.com/dbt-operator/dbt-operator/internal/outbox"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// lineageOptions are the flags of the OpenLineage events of runs.
type lineageOptions struct {
	url       string
	tokenFile string
	events    openlineage.Options
}

func (o *lineageOptions) bind(fs *flag.FlagSet) {
	fs.StringVar(&o.url, "openlineage-url", "", "URL of an OpenLineage endpoint to which events of runs and their nodes are posted. One without a path gets /api/v1/lineage. Empty: none are.")
	fs.StringVar(&o.tokenFile, "openlineage-token-file", "", "File with the bearer token for --openlineage-url, read anew for each request. Empty: none is sent.")
	fs.StringVar(&o.events.Cluster, "openlineage-cluster", openlineage.DefaultCluster, "Name of this cluster, with which the job namespaces of events begin.")
	fs.StringVar(&o.events.DatasetNamespace, "openlineage-dataset-namespace", "", "Namespace of datasets in events, such as postgres://warehouse.example.com:5432. Empty: one made of the adapter's name.")
}

func (o *lineageOptions) validate(hasStore bool) error {
	if o.url == "" {
		return nil
	}
	if u, err := url.Parse(o.url); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return fmt.Errorf("--openlineage-url is %q: must be a URL such as https://lineage.example.com", o.url)
	}
	if !hasStore {
		return errors.New("--openlineage-url needs --store: events are made of the journals that are kept there")
	}
	return nil
}

// token returns the bearer token now.
func (o *lineageOptions) token() (string, error) {
	b, err := os.ReadFile(o.tokenFile)
	return strings.TrimSpace(string(b)), err
}

// addLineage adds the sender of OpenLineage events to mgr.
func addLineage(mgr manager.Manager, o lineageOptions, kept *store.Store) error {
	if o.url == "" {
		return nil
	}
	u, err := url.Parse(o.url)
	if err != nil {
		return fmt.Errorf("reading --openlineage-url: %w", err)
	}
	clk, log := clock.RealClock{}, ctrl.Log.WithName("openlineage")
	known, counts := lineagecontroller.NewKnown(mgr.GetClient(), kept), operatormetrics.NewOpenLineage(metrics.Registry)
	c := send.Config{
		URL: u, Options: o.events, Source: known, Marks: known, Now: clk.Now, After: clk.After,
		Count: func(result send.Result, n int) { counts.Events(string(result), n) },
		Log:   func(run outbox.Key, err error) { log.Error(err, "sending events of a run", "run", run.String()) },
	}
	if o.tokenFile != "" {
		c.Token = o.token
	}
	sender := send.New(c)
	// The leader alone sends: a manager.Runnable that does not say otherwise waits for the lease.
	if err := mgr.Add(manager.RunnableFunc(sender.Start)); err != nil {
		return fmt.Errorf("adding the OpenLineage sender: %w", err)
	}
	return follow.New(lineagecontroller.Name, clk, mgr.GetClient(), sender).SetupWithManager(mgr)
}
