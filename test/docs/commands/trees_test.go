package commands

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	helmcmd "helm.sh/helm/v4/pkg/cmd"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	kubectlcmd "k8s.io/kubectl/pkg/cmd"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	"github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/command"
	"github.com/dbt-operator/dbt-operator/test/docs/pages"
)

var streams = genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard}

// parse has a tree of commands read a command line as far as it does before it runs anything. Of a command that stands in
// the text, what is missing is not.
func parse(root *cobra.Command, args []string, span bool) (*cobra.Command, string) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	c, rest, err := root.Find(args)
	if err != nil {
		return nil, first(err)
	}
	c.InitDefaultHelpFlag()
	c.InitDefaultVersionFlag()
	if err := c.ParseFlags(rest); err != nil && !(span && strings.HasPrefix(err.Error(), "flag needs an argument")) {
		return nil, first(err)
	}
	words := c.Flags().Args()
	if len(words) > 0 && c.HasSubCommands() && (c.Parent() == nil || c.RunE == nil && c.Run == nil) {
		return nil, "unknown command \"" + words[0] + "\" for \"" + c.CommandPath() + "\""
	}
	if span {
		return c, ""
	}
	if err := c.ValidateArgs(words); err != nil {
		return nil, first(err)
	}
	if err := c.ValidateRequiredFlags(); err != nil {
		return nil, first(err)
	}
	return c, ""
}

// first returns the first line of an error: behind it trees say what they would take.
func first(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// kubectl checks calls of kubectl and of the plugin: commands and flags are there, and so are kinds, conditions and files.
func kubectl(r *pages.Repository) checker {
	return func(page string, call pages.Call) string {
		if len(call.Words) > 1 && call.Words[1] == "dbt" {
			_, wrong := parse(command.Root(command.Env{IOStreams: streams, Clock: clock.RealClock{}}), call.Words[2:], call.Span)
			return wrong
		}
		tree := kubectlcmd.NewKubectlCommand(kubectlcmd.KubectlOptions{IOStreams: streams, ConfigFlags: genericclioptions.NewConfigFlags(true)})
		c, wrong := parse(tree, call.Words[1:], call.Span)
		if wrong != "" || call.Span {
			return wrong
		}
		for _, look := range []func() string{
			func() string { return files(r, page, c) },
			func() string { return kinds(c) },
			func() string { return condition(c) },
			func() string { return patch(c) },
		} {
			if wrong := look(); wrong != "" {
				return wrong
			}
		}
		return ""
	}
}

// files says which file that a call reads is not there.
func files(r *pages.Repository, page string, c *cobra.Command) string {
	var names []string
	if c.Flags().Lookup("filename") != nil {
		names, _ = c.Flags().GetStringSlice("filename")
	}
	if f := c.Flags().Lookup("patch-file"); f != nil && f.Value.String() != "" {
		names = append(names, f.Value.String())
	}
	for _, name := range names {
		if name == "-" || slices.Contains(readers[page], name) {
			continue
		}
		if _, ok := find(r, page, name); !ok {
			return "there is no file " + name
		}
	}
	if f := c.Flags().Lookup("kustomize"); f != nil && f.Value.String() != "" && !slices.Contains(readers[page], f.Value.String()) {
		if _, ok := find(r, page, filepath.Join(f.Value.String(), "kustomization.yaml")); !ok {
			return "there is no kustomization in " + f.Value.String()
		}
	}
	return ""
}

// spokenOf are the kinds that pages name, as kubectl takes them.
var spokenOf = []string{
	"dbtproject", "dbtprojects", "dbtrun", "dbtruns", "dbtschedule", "dbtschedules",
	"crd", "cronjob", "deployment", "event", "events", "job", "jobs", "lease", "namespace", "pod", "pods", "pvc", "secret", "secrets", "configmap",
}

// kinds says which kind a call names that pages do not speak of.
func kinds(c *cobra.Command) string {
	if !slices.Contains([]string{"get", "describe", "delete", "wait", "patch", "label", "annotate", "logs", "edit"}, c.Name()) || c.Flags().NArg() == 0 {
		return ""
	}
	for kind := range strings.SplitSeq(c.Flags().Arg(0), ",") {
		kind, _, named := strings.Cut(kind, "/")
		if kind, _, _ = strings.Cut(kind, "."); c.Name() == "logs" && !named {
			continue // the name of a pod
		}
		if !slices.Contains(spokenOf, kind) {
			return kind + " is no kind that pages speak of"
		}
	}
	return ""
}

// condition says which condition a call waits for that the kinds do not have.
func condition(c *cobra.Command) string {
	f := c.Flags().Lookup("for")
	if c.Name() != "wait" || f == nil {
		return ""
	}
	name, ok := strings.CutPrefix(strings.Trim(f.Value.String(), "[]"), "condition=")
	name, _, _ = strings.Cut(name, "=")
	if ok && !slices.Contains([]string{
		v1alpha1.ConditionSucceeded, v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled,
		v1alpha1.ConditionLastRunSucceeded, v1alpha1.ConditionAuthorized, v1alpha1.ConditionResultsAvailable,
	}, name) {
		return "the kinds have no condition " + name
	}
	return ""
}

// patch says why what a call patches with cannot be read.
func patch(c *cobra.Command) string {
	f := c.Flags().Lookup("patch")
	if c.Name() != "patch" || f == nil {
		return ""
	}
	var any any
	if err := yaml.Unmarshal([]byte(f.Value.String()), &any); err != nil {
		return "the patch is no YAML: " + err.Error()
	}
	return ""
}

// helm checks calls of Helm: commands and flags are there, and a chart of the repository takes the values.
func helm(r *pages.Repository) checker {
	return func(page string, call pages.Call) string {
		args := call.Words[1:]
		c, wrong := parse(helmTree(args), args, call.Span)
		if wrong != "" || call.Span || c.Name() != "install" && c.Name() != "upgrade" {
			return wrong
		}
		at := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "charts/") })
		if at < 0 {
			return ""
		}
		chart, ok := find(r, page, args[at])
		if !ok {
			return "there is no chart " + args[at]
		}
		rendered := slices.Clone(args)
		rendered[0], rendered[at] = "template", filepath.Join(r.Root, chart)
		rendered = append(rendered, "--kube-version", "1.37.0")
		tree := helmTree(rendered)
		tree.SetArgs(rendered)
		if err := tree.Execute(); err != nil {
			return err.Error()
		}
		return ""
	}
}

func helmTree(args []string) *cobra.Command {
	tree, err := helmcmd.NewRootCmd(io.Discard, args, func(bool) {})
	if err != nil {
		panic(err)
	}
	tree.SetOut(io.Discard)
	tree.SetErr(io.Discard)
	return tree
}

// Helm and kubectl look for plugins and settings of the machine; here there are none.
func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "docs-commands-")
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"} {
		if err := os.Setenv(name, home); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	_ = os.RemoveAll(home)
	os.Exit(code)
}
