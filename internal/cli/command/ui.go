package command

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/kept"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
	"github.com/dbt-operator/dbt-operator/internal/cli/ui"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

func (a *app) ui() *cobra.Command {
	var at *port
	var everywhere bool
	c := &cobra.Command{
		Use:   "ui",
		Short: "Show runs, timelines, lineage, failures, logs and schedules in the browser",
		Long: "Serves pages on a port of this machine's loopback address until it is stopped. They show what your kubeconfig may read, as it\n" +
			"changes. The address has a token that no other page or user of this machine knows; nothing is loaded from elsewhere.",
		Example: examples(
			"# Runs and schedules of this namespace", "kubectl dbt ui",
			"# Of all namespaces, on a port of your own", "kubectl dbt ui -A --port 8090"),
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := at.validate(); err != nil {
				return err
			}
			cluster, namespace, err := a.cluster()
			if err != nil {
				return err
			}
			if everywhere {
				namespace = ""
			}
			return a.serveUI(c.Context(), cluster, namespace, *at)
		},
	}
	c.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "Of all namespaces.")
	at = a.ports(c)
	return c
}

func (a *app) serveUI(ctx context.Context, cluster *kube.Cluster, namespace string, at port) error {
	// What cannot be shown at all had better be said here.
	if _, err := cluster.Runs(ctx, kube.Filter{Namespace: namespace}); err != nil {
		return err
	}
	server, err := ui.New(ui.Config{
		Source: &source{app: a, cluster: cluster}, Namespace: namespace, Context: a.context(), Version: a.Version, Clock: a.Clock,
	})
	if err != nil {
		return err
	}
	l, err := at.listen(ctx)
	if err != nil {
		return err
	}
	if err := a.say(fmt.Sprintf("Open %s (stop with Ctrl-C)\n", server.URL(l.Addr()))); err != nil {
		return err
	}
	return server.Serve(ctx, l)
}

// context returns the name of the kubeconfig's context, empty if there is none.
func (a *app) context() string {
	if name := a.flags.Context; name != nil && *name != "" {
		return *name
	}
	raw, err := a.flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return "" // it is a name on a page
	}
	return raw.CurrentContext
}

// source is the API server and the collector, as the pages see them.
type source struct {
	*app
	cluster *kube.Cluster
}

func (s *source) Run(ctx context.Context, of types.NamespacedName) (*v1alpha1.DbtRun, error) {
	return s.cluster.Run(ctx, of)
}

func (s *source) Runs(ctx context.Context, namespace string) ([]v1alpha1.DbtRun, error) {
	return s.cluster.Runs(ctx, kube.Filter{Namespace: namespace})
}

func (s *source) Schedules(ctx context.Context, namespace string) ([]v1alpha1.DbtSchedule, error) {
	return s.cluster.Schedules(ctx, namespace)
}

func (s *source) Follow(ctx context.Context, namespace string, all func([]v1alpha1.DbtRun) error, changed, gone func(*v1alpha1.DbtRun) error) error {
	return s.cluster.FollowRuns(ctx, namespace, kube.Watcher{All: all, Changed: changed, Gone: gone})
}

func (s *source) Journal(ctx context.Context, of types.NamespacedName) (*journal.State, error) {
	r, err := s.reader(ctx, s.cluster, of.Namespace)
	if err != nil {
		return nil, err
	}
	return r.Journal(ctx, of)
}

func (s *source) Artifact(ctx context.Context, of types.NamespacedName, name string) (io.ReadCloser, error) {
	r, err := s.reader(ctx, s.cluster, of.Namespace)
	if err != nil {
		return nil, err
	}
	return r.Artifact(ctx, of, name)
}

// Log returns what is kept of the log; what the pods printed that are still there, where it is not.
func (s *source) Log(ctx context.Context, run *v1alpha1.DbtRun) (io.ReadCloser, error) {
	in, keptErr := s.keptLog(ctx, run)
	if keptErr == nil {
		return in, nil
	}
	pods, err := s.cluster.Pods(ctx, run)
	if err != nil {
		return nil, keptErr
	}
	var logs readers
	for i := range pods {
		if !kube.Started(&pods[i]) {
			continue
		}
		in, err := s.cluster.PodLog(ctx, run.Namespace, pods[i].Name, false)
		if err != nil {
			return nil, errors.Join(keptErr, err, logs.Close())
		}
		logs = append(logs, in)
	}
	if len(logs) == 0 {
		return nil, keptErr
	}
	return logs.all(), nil
}

func (s *source) keptLog(ctx context.Context, run *v1alpha1.DbtRun) (io.ReadCloser, error) {
	r, err := s.reader(ctx, s.cluster, run.Namespace)
	if err != nil {
		return nil, err
	}
	in, err := r.Log(ctx, key(run.Namespace, run.Name), "")
	if errors.Is(err, kept.ErrNotKept) && !run.Status.Phase.Finished() {
		return nil, fmt.Errorf("the run has no log yet: %w", err)
	}
	return in, err
}

// readers are read one after the other.
type readers []io.ReadCloser

func (r readers) all() io.ReadCloser {
	in := make([]io.Reader, 0, len(r))
	for _, each := range r {
		in = append(in, each)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(in...), r}
}

// Close implements io.Closer.
func (r readers) Close() error {
	var errs []error
	for _, each := range r {
		errs = append(errs, each.Close())
	}
	return errors.Join(errs...)
}
