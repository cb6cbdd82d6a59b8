package command

import (
	"context"
	"fmt"
	"io"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/dbt-operator/dbt-operator/internal/cli/agent"
	"github.com/dbt-operator/dbt-operator/internal/cli/kept"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
)

func (a *app) mcp() *cobra.Command {
	var allowRuns bool
	c := &cobra.Command{
		Use:   "mcp",
		Short: "Serve the Model Context Protocol to an agent, with your rights",
		Long: "Serves the Model Context Protocol (MCP) on the standard input and output: a program that a language model drives can then\n" +
			"read projects, runs, failures, logs, lineage and schedules, as you could. It can change nothing, unless --allow-runs is\n" +
			"given: then it can start, retry, cancel and trigger runs in your name, of projects that you may run. Such runs carry the\n" +
			"agent's name in the annotation dbtoperator.dev/agent. It is started by the agent, which is told so in its configuration.",
		Example: examples(
			"# What an agent's configuration names, to read alone", "kubectl dbt mcp",
			"# In another context than the current one", "kubectl dbt mcp --context staging --namespace analytics",
			"# The agent may run dbt as well", "kubectl dbt mcp --allow-runs"),
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			server := agent.New(agent.Config{
				Open: func() (*kube.Cluster, string, error) { return a.anew().cluster() },
				Kept: func(ctx context.Context, cluster *kube.Cluster, namespace string) (*kept.Reader, error) {
					return a.anew().reader(ctx, cluster, namespace)
				},
				Clock: a.Clock, Version: a.Version, AllowRuns: allowRuns,
			})
			if a.Width() > 0 {
				a.note("this speaks to an agent, not to people: see `kubectl dbt mcp --help`")
			}
			err := server.Run(c.Context(), &sdk.IOTransport{Reader: io.NopCloser(a.In), Writer: open{a.Out}})
			if err != nil && c.Context().Err() == nil {
				return fmt.Errorf("serving the agent: %w", err)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&allowRuns, "allow-runs", false, "Let the agent start, retry, cancel and trigger runs in your name. Without it, it has no tools for that.")
	return c
}

// anew returns an app that reads the kubeconfig again: a login may have been renewed since it was read.
func (a *app) anew() *app {
	now := *a
	f := a.flags
	now.flags = genericclioptions.NewConfigFlags(false)
	n := now.flags
	n.CacheDir, n.KubeConfig, n.ClusterName, n.AuthInfoName, n.Context = f.CacheDir, f.KubeConfig, f.ClusterName, f.AuthInfoName, f.Context
	n.Namespace, n.APIServer, n.TLSServerName, n.Insecure, n.CertFile = f.Namespace, f.APIServer, f.TLSServerName, f.Insecure, f.CertFile
	n.KeyFile, n.CAFile, n.BearerToken, n.Impersonate, n.ImpersonateUID = f.KeyFile, f.CAFile, f.BearerToken, f.Impersonate, f.ImpersonateUID
	n.ImpersonateGroup, n.ImpersonateUserExtra, n.Username, n.Password = f.ImpersonateGroup, f.ImpersonateUserExtra, f.Username, f.Password
	n.Timeout, n.DisableCompression, n.ProxyURL, n.WrapConfigFn = f.Timeout, f.DisableCompression, f.ProxyURL, f.WrapConfigFn
	return &now
}

// open is a writer that stays open.
type open struct{ io.Writer }

func (open) Close() error { return nil }
