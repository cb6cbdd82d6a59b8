package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/graph"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
)

func compareStrings(a, b string) int { return strings.Compare(a, b) }

// Formats of lineage.
const (
	asTree    = "tree"
	asDot     = "dot"
	asMermaid = "mermaid"
)

func (a *app) lineage() *cobra.Command {
	var format string
	var whole, tests bool
	c := &cobra.Command{
		Use:   "lineage RUN [NODE]",
		Short: "Show what depends on what: as a tree, for Graphviz, for Mermaid, as JSON",
		Long: "Shows the lineage graph of a run; with NODE what that node depends on, and what depends on it. The run's status has as\n" +
			"much of it as fits; when that is not all, the whole is read from what the operator keeps.",
		Example: examples(
			"# The whole project, sources at the left", "kubectl dbt lineage shop-x7k2p",
			"# What a model stands on, and what stands on it", "kubectl dbt lineage shop-x7k2p orders",
			"# A picture", "kubectl dbt lineage shop-x7k2p -o dot | dot -Tsvg >lineage.svg",
			"# With tests, for a page on GitHub", "kubectl dbt lineage shop-x7k2p --tests -o mermaid"),
		Args: cobra.RangeArgs(1, 2), ValidArgsFunction: a.names(kube.Runs, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf("--output", format, asTree, asDot, asMermaid, asJSON); err != nil {
				return err
			}
			cluster, namespace, err := a.cluster()
			if err != nil {
				return err
			}
			run, err := cluster.Run(c.Context(), key(namespace, args[0]))
			if err != nil {
				return err
			}
			g, err := a.graphOf(c.Context(), cluster, run, whole, tests)
			if err != nil {
				return err
			}
			if len(args) == 2 {
				if g, err = g.Around(args[1]); err != nil {
					return err
				}
			}
			return a.sayGraph(g, format)
		},
	}
	c.Flags().StringVarP(&format, "output", "o", asTree, "Output format: tree, dot (Graphviz), mermaid or json.")
	c.Flags().BoolVar(&whole, "whole", false, "Read it from what the operator keeps, even if the run's status has all that it says it has.")
	c.Flags().BoolVar(&tests, "tests", false, "With data tests and unit tests, which the run's status does not have.")
	fixed(c, "output", asTree, asDot, asMermaid, asJSON)
	return c
}

// graphOf returns the graph of a run. What must be read from what is kept is an error if it cannot; what had better be, a
// note.
func (a *app) graphOf(ctx context.Context, cluster *kube.Cluster, run *v1alpha1.DbtRun, whole, tests bool) (graph.Graph, error) {
	g := graph.OfStatus(run.Status.Lineage)
	stored := slices.ContainsFunc(run.Status.Artifacts, func(f v1alpha1.Artifact) bool { return f.Name == lineageFile })
	if !whole && !tests && (len(g.Nodes) > 0 && !g.Truncated || !stored) {
		if len(g.Nodes) == 0 {
			return g, fmt.Errorf("DbtRun %q has no lineage: dbt wrote no manifest, or it has not ended yet (%s)", run.Name, run.Status.Phase)
		}
		return g, nil
	}
	all, err := a.wholeGraph(ctx, cluster, run, tests)
	if err != nil && !whole && !tests && len(g.Nodes) > 0 {
		a.note("shown is as much of the lineage as the run's status holds: %s", err)
		return g, nil
	}
	return all, err
}

func (a *app) wholeGraph(ctx context.Context, cluster *kube.Cluster, run *v1alpha1.DbtRun, tests bool) (graph.Graph, error) {
	r, err := a.reader(ctx, cluster, run.Namespace)
	if err != nil {
		return graph.Graph{}, err
	}
	in, err := r.Artifact(ctx, key(run.Namespace, run.Name), lineageFile)
	if err != nil {
		return graph.Graph{}, err
	}
	g, err := graph.Read(in, tests)
	return g, errors.Join(err, in.Close())
}

func (a *app) sayGraph(g graph.Graph, format string) error {
	if g.Truncated && format != asJSON {
		a.note("this is not all of it")
	}
	switch format {
	case asDot:
		return g.Dot(a.Out)
	case asMermaid:
		return g.Mermaid(a.Out)
	case asJSON:
		return a.data(asJSON, g, nil)
	}
	return g.Tree(a.Out)
}
