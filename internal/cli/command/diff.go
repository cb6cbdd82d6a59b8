package command

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/dbt-operator/dbt-operator/internal/cli/compare"
	"github.com/dbt-operator/dbt-operator/internal/cli/docsite"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
)

func (a *app) diff() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "diff RUN RUN",
		Short: "Compare two runs: revision, results, nodes and their times",
		Long: "Shows what two runs differ in. Nodes are compared by their results, and by times that differ by half and by more than a\n" +
			"second; they are read from what the operator keeps of both.",
		Example: examples(
			"# What is different today", "kubectl dbt diff shop-x7k2p shop-9wk4z",
			"# For a program", "kubectl dbt diff shop-x7k2p shop-9wk4z -o json"),
		Args: cobra.ExactArgs(2), ValidArgsFunction: a.names(kube.Runs, 2),
		RunE: func(c *cobra.Command, args []string) error {
			cluster, namespace, err := a.cluster()
			if err != nil {
				return err
			}
			var sides [2]compare.Side
			for i, name := range args {
				if sides[i].Run, err = cluster.Run(c.Context(), key(namespace, name)); err != nil {
					return err
				}
			}
			why := a.readNodes(c.Context(), cluster, &sides)
			d := compare.Runs(sides[0], sides[1])
			if why != nil {
				d.Partial = why.Error()
			}
			return a.data(format, d, func() string { return a.style().Diff(d) })
		},
	}
	formats(c, &format)
	return c
}

// readNodes adds what the journals of both runs say of nodes.
func (a *app) readNodes(ctx context.Context, cluster *kube.Cluster, sides *[2]compare.Side) error {
	r, err := a.reader(ctx, cluster, sides[0].Run.Namespace)
	if err != nil {
		return err
	}
	for i := range sides {
		state, err := r.Journal(ctx, key(sides[i].Run.Namespace, sides[i].Run.Name))
		if err != nil {
			return err
		}
		sides[i].Nodes = compare.Nodes(state)
	}
	return nil
}

func (a *app) docs() *cobra.Command {
	var at *port
	c := &cobra.Command{
		Use:   "docs RUN",
		Short: "Serve dbt's own docs site of a run, on this machine",
		Long: "Serves the pages that `dbt docs generate` made in a run, from what the operator keeps, on a port of this machine's loopback\n" +
			"address, until it is stopped. The pages may talk to nobody but this command.",
		Example: examples(
			"# Make docs, and look at them", "kubectl dbt run shop docs generate --name shop-docs --watch && kubectl dbt docs shop-docs",
			"# On a port of your own", "kubectl dbt docs shop-docs --port 8090"),
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.names(kube.Runs, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := at.validate(); err != nil {
				return err
			}
			cluster, run, err := a.sent(c.Context(), args[0])
			if err != nil {
				return err
			}
			names := make([]string, 0, len(run.Status.Artifacts))
			for _, artifact := range run.Status.Artifacts {
				names = append(names, artifact.Name)
			}
			r, err := a.reader(c.Context(), cluster, run.Namespace)
			if err != nil {
				return err
			}
			site, err := docsite.New(run.Name, names, func(ctx context.Context, name string) (io.ReadCloser, error) {
				return r.Artifact(ctx, key(run.Namespace, run.Name), name)
			})
			if err != nil {
				return err
			}
			return a.serve(c.Context(), site, run.Name, *at)
		},
	}
	at = a.ports(c)
	return c
}

func (a *app) serve(ctx context.Context, site *docsite.Site, run string, at port) error {
	l, err := at.listen(ctx)
	if err != nil {
		return err
	}
	if err := a.say(fmt.Sprintf("Docs of DbtRun %s: http://%s/ (stop with Ctrl-C)\n", run, l.Addr())); err != nil {
		return err
	}
	return site.Serve(ctx, l)
}
