package command

import (
	"fmt"

	"github.com/spf13/cobra"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
	"github.com/dbt-operator/dbt-operator/internal/cli/view"
)

func (a *app) failures() *cobra.Command {
	var format string
	var sql bool
	c := &cobra.Command{
		Use:   "failures RUN",
		Short: "Show the nodes that failed: message, file, and the SQL that went to the warehouse",
		Long: "Shows the nodes of a run that did not end well. The run's status has ten of them; where there are more they are read from\n" +
			"what the operator keeps, as is the SQL.",
		Example: examples(
			"# What failed, and why", "kubectl dbt failures shop-x7k2p",
			"# Without the SQL", "kubectl dbt failures shop-x7k2p --sql=false",
			"# For a program", "kubectl dbt failures shop-x7k2p -o json"),
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.names(kube.Runs, 1),
		RunE: func(c *cobra.Command, args []string) error {
			cluster, run, err := a.sent(c.Context(), args[0])
			if err != nil {
				return err
			}
			found := a.results(cluster).Failures(c.Context(), run, sql)
			if len(found) == 0 && format == asText {
				text := fmt.Sprintf("No node of DbtRun %s failed.\n", run.Name)
				if view.Phase(run) == v1alpha1.PhaseFailed {
					text = fmt.Sprintf("DbtRun %s failed before any node did: %s\n", run.Name, run.Status.Message)
				}
				return a.say(text)
			}
			return a.data(format, found, func() string { return a.style().Failures(found) })
		},
	}
	formats(c, &format)
	c.Flags().BoolVar(&sql, "sql", true, "Show the SQL of each, where it is kept.")
	return c
}
