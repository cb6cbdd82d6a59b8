package command

import (
	"context"

	"github.com/spf13/cobra"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
)

type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// names completes up to most names of a resource, each once.
func (a *app) names(resource string, most int) completion {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.namesOf(c.Context(), resource), cobra.ShellCompDirectiveNoFileComp
	}
}

// namesOf returns nothing if the API server does not answer: a shell is no place for messages.
func (a *app) namesOf(ctx context.Context, resource string) []string {
	c, namespace, err := a.cluster()
	if err != nil {
		return nil
	}
	found, err := c.Names(ctx, resource, namespace)
	if err != nil {
		return nil
	}
	return found
}

// verbs are what can stand behind a project's name.
var verbs = []string{
	"build", "run", "test", "seed", "snapshot", "compile", "docs", "source", "run-operation", "retry", "deps", "parse", "ls", "list", "show", "clone", "debug",
}

func (a *app) projectThenVerb(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch {
	case len(args) == 0:
		return a.namesOf(c.Context(), kube.Projects), cobra.ShellCompDirectiveNoFileComp
	case len(args) == 1:
		return verbs, cobra.ShellCompDirectiveNoFileComp
	case len(args) == 2 && args[1] == "docs":
		return []string{"generate"}, cobra.ShellCompDirectiveNoFileComp
	case len(args) == 2 && args[1] == "source":
		return []string{"freshness"}, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

var phases = []string{
	string(v1alpha1.PhasePending), string(v1alpha1.PhaseQueued), string(v1alpha1.PhaseRunning),
	string(v1alpha1.PhaseSucceeded), string(v1alpha1.PhaseFailed), string(v1alpha1.PhaseCancelled),
}

// complete completes the values of a flag; with none, nothing is completed, not even file names.
func (a *app) complete(c *cobra.Command, flag string, values completion) {
	if values == nil {
		values = cobra.NoFileCompletions
	}
	// Only a flag that is not there, or is completed twice, is an error: a mistake of this program, which its tests find.
	if err := c.RegisterFlagCompletionFunc(flag, values); err != nil {
		panic(err)
	}
}

func fixed(c *cobra.Command, flag string, values ...string) {
	if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}
