package command

import (
	"github.com/spf13/cobra"

	"github.com/dbt-operator/dbt-operator/internal/cli/graph"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
)

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
			cluster, run, err := a.sent(c.Context(), args[0])
			if err != nil {
				return err
			}
			g, err := a.results(cluster).Lineage(c.Context(), run, whole, tests)
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
