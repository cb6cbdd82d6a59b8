package command

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// versions are those of what works together.
type versions struct {
	Plugin string `json:"plugin"`
	Go     string `json:"go"`
	API    string `json:"api"`
	// Server and Operator are empty if they were not asked, or do not say.
	Server   string `json:"server,omitempty"`
	Operator string `json:"operator,omitempty"`
}

func (a *app) version() *cobra.Command {
	var format string
	var client bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this plugin, the API server and the operator",
		Example: examples(
			"# All of them", "kubectl dbt version",
			"# Without asking a cluster", "kubectl dbt version --client"),
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			v := versions{Plugin: a.Version, Go: runtime.Version(), API: v1alpha1.GroupVersion.String()}
			if !client {
				cluster, _, err := a.cluster()
				if err != nil {
					return err
				}
				if v.Server, _, err = cluster.Version(c.Context()); err != nil {
					return fmt.Errorf("%w; --client asks no cluster", err)
				}
				operator, err := cluster.Operator(c.Context(), a.operator)
				if err != nil {
					a.note("the operator's version is not known: %s", err)
				}
				v.Operator = operator.Image
			}
			return a.data(format, v, v.text)
		},
	}
	formats(c, &format)
	c.Flags().BoolVar(&client, "client", false, "Of this plugin alone.")
	return c
}

func (v versions) text() string {
	out := fmt.Sprintf("kubectl dbt  %s (%s, API %s)\n", v.Plugin, v.Go, v.API)
	if v.Server != "" {
		out += fmt.Sprintf("API server   %s\n", v.Server)
	}
	if v.Operator != "" {
		out += fmt.Sprintf("operator     %s\n", v.Operator)
	}
	return out
}
