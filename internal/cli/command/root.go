package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/kept"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
	"github.com/dbt-operator/dbt-operator/internal/cli/result"
	"github.com/dbt-operator/dbt-operator/internal/cli/view"
)

// Env is what a process has.
type Env struct {
	genericiooptions.IOStreams
	Clock clock.WithTicker
	// Version is this program's.
	Version string
	// Width is the terminal's that Out is, 0 if it is none.
	Width func() int
	// Colour says that colours are wanted where there is a terminal.
	Colour bool
}

// Exit codes of commands that watch a run, in dbt's own sense as far as that goes.
const (
	ExitNodesFailed = 1 // dbt ran, and nodes failed
	ExitFailed      = 2 // the run failed otherwise
	ExitCancelled   = 3
	ExitUnknown     = 4 // it is not known how the run ended, or it was not begun
	exitInterrupted = 130
)

// exit is an error with an exit code. A nil err says nothing.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// Execute runs a command line and returns the exit code.
func Execute(ctx context.Context, env Env, args []string) int {
	root := Root(env)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code := 1
	var e *exit
	if errors.As(err, &e) {
		code = e.code
	}
	if ctx.Err() != nil && code == 1 {
		return exitInterrupted
	}
	if message := err.Error(); message != "" {
		_, _ = fmt.Fprintln(env.ErrOut, "error: "+message)
	}
	return code
}

// app is what all commands share.
type app struct {
	Env
	flags    *genericclioptions.ConfigFlags
	operator string
	account  string
}

// Root returns the whole command.
func Root(env Env) *cobra.Command {
	a := &app{Env: env, flags: genericclioptions.NewConfigFlags(true)}
	root := &cobra.Command{
		Use:   "kubectl-dbt",
		Short: "Run dbt on Kubernetes, and see what became of it",
		Long: "kubectl dbt starts, follows, explains and repeats runs of dbt that dbt-operator carries out.\n" +
			"It acts with the rights of your kubeconfig, and says which one is lacking.",
		Example: examples(
			"# Build a project and watch it", "kubectl dbt run shop --watch",
			"# What failed, and why", "kubectl dbt failures shop-x7k2p",
			"# Go on from there once it is mended", "kubectl dbt retry shop-x7k2p --watch"),
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl dbt"},
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.ErrOut)
	a.flags.AddFlags(root.PersistentFlags())
	root.PersistentFlags().StringVar(&a.operator, "operator-namespace", kept.DefaultNamespace, "Namespace that dbt-operator is installed in.")
	root.PersistentFlags().StringVar(&a.account, "collector-account", "",
		"ServiceAccount of the run's namespace to read kept logs and artifacts as, for those whose kubeconfig has no token. It must be allowed to get the DbtRun, and you to create tokens of it.")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if c.Name() == "run" && strings.HasPrefix(err.Error(), "unknown") {
			return fmt.Errorf("%w: flags of dbt that this command does not know stand behind --, as in kubectl dbt run shop -- build --fail-fast", err)
		}
		return fmt.Errorf("%w: see %s --help", err, c.CommandPath())
	})
	root.SetUsageTemplate(usage)
	a.complete(root, "namespace", nil)
	groups := []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Run dbt:", []*cobra.Command{a.run(), a.retry(), a.cancel(), a.trigger(), a.backfill()}},
		{"See what became of it:", []*cobra.Command{a.list(), a.show(), a.logs(), a.failures(), a.lineage(), a.diff(), a.docs(), a.ui()}},
		{"Let an agent do it:", []*cobra.Command{a.mcp()}},
		{"Help:", []*cobra.Command{a.doctor(), a.version(), options()}},
	}
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.title
			root.AddCommand(c)
		}
	}
	root.SetHelpCommandGroupID("Help:")
	root.SetCompletionCommandGroupID("Help:")
	return root
}

// usage is cobra's own, without the flags that every command has: `kubectl dbt options` lists them.
const usage = `Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}{{$cmds := .Commands}}{{range $group := .Groups}}

{{.Title}}{{range $cmds}}{{if (and (eq .GroupID $group.ID) (or .IsAvailableCommand (eq .Name "help")))}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}{{end}}{{if and .HasParent .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}

"kubectl dbt options" lists the flags that every command has.{{if .HasAvailableSubCommands}}
"kubectl dbt COMMAND --help" says more about a command.{{end}}
`

func options() *cobra.Command {
	return &cobra.Command{
		Use: "options", Short: "List the flags that every command has", Args: cobra.NoArgs,
		Example: examples("# Which flags every command has", "kubectl dbt options"),
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(c.OutOrStdout(), "Flags of every command:\n\n%s", c.Root().PersistentFlags().FlagUsages())
			return err
		},
	}
}

// examples returns pairs of what an example does and the command.
func examples(lines ...string) string {
	var out strings.Builder
	for i, line := range lines {
		if i > 0 && i%2 == 0 {
			out.WriteString("\n")
		}
		out.WriteString("  " + line)
		if i < len(lines)-1 {
			out.WriteString("\n")
		}
	}
	return out.String()
}

// cluster returns the API server, and the namespace that is meant.
func (a *app) cluster() (*kube.Cluster, string, error) {
	cfg, err := a.flags.ToRESTConfig()
	if err != nil {
		return nil, "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	namespace, _, err := a.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	// A person waits: what the API server can bear it says itself.
	cfg.QPS, cfg.Burst = -1, 0
	c, err := kube.New(cfg, a.Clock)
	return c, namespace, err
}

// named returns the DbtRun that is named, and the API server that it is of.
func (a *app) named(ctx context.Context, name string) (*kube.Cluster, *v1alpha1.DbtRun, error) {
	cluster, namespace, err := a.cluster()
	if err != nil {
		return nil, nil, err
	}
	run, err := cluster.Run(ctx, key(namespace, name))
	return cluster, run, err
}

// sending is how long is waited for what the pod of a run that is over still sends.
const sending = time.Minute

// sent returns a run as named does; of one that is over, when its pod has sent what is kept of it. That goes on for some seconds
// after the end that a watch sees.
func (a *app) sent(ctx context.Context, name string) (*kube.Cluster, *v1alpha1.DbtRun, error) {
	cluster, run, err := a.named(ctx, name)
	if err != nil || !uploading(run) {
		return cluster, run, err
	}
	a.note("the pod of DbtRun %q is still sending what is kept of it: waiting", name)
	bounded, cancel := context.WithTimeout(ctx, sending)
	defer cancel()
	err = cluster.Follow(bounded, key(run.Namespace, run.Name), func(now *v1alpha1.DbtRun) (bool, error) {
		run = now
		return !uploading(run), nil
	})
	if bounded.Err() != nil && ctx.Err() == nil {
		a.note("it is still sending after %s: this is what is there", sending)
		return cluster, run, nil
	}
	return cluster, run, err
}

func uploading(run *v1alpha1.DbtRun) bool {
	c := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionResultsAvailable)
	return c != nil && c.Reason == v1alpha1.ReasonUploading
}

// reader returns what reads the collector, for runs of a namespace.
func (a *app) reader(ctx context.Context, c *kube.Cluster, namespace string) (*kept.Reader, error) {
	cfg, err := a.flags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	token := ""
	if a.account != "" {
		if token, err = c.Token(ctx, namespace, a.account); err != nil {
			return nil, err
		}
	}
	return kept.New(kept.Config{Rest: cfg, Namespace: a.operator, Token: token, Clock: a.Clock})
}

// results returns what reads the results of runs; what is not as it should be goes to stderr.
func (a *app) results(c *kube.Cluster) result.Source {
	return result.Source{
		Kept: func(ctx context.Context, namespace string) (*kept.Reader, error) { return a.reader(ctx, c, namespace) },
		Note: a.note,
	}
}

func (a *app) style() view.Style {
	width := a.Width()
	return view.Style{Colour: a.Colour && width > 0, Width: width}
}

func (a *app) say(text string) error {
	_, err := fmt.Fprint(a.Out, text)
	return err
}

// note tells on stderr what is not as it should be, and does not keep the rest from being shown.
func (a *app) note(format string, args ...any) {
	_, _ = fmt.Fprintf(a.ErrOut, "note: "+format+"\n", args...)
}

func key(namespace, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}
