package command

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
	"github.com/dbt-operator/dbt-operator/internal/cli/view"
)

func (a *app) list() *cobra.Command {
	var f kube.Filter
	var phase string
	var failed, everywhere bool
	var out *read
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List runs, the newest first",
		Example: examples(
			"# Runs of this namespace", "kubectl dbt list",
			"# Those of one project that failed, with who asked and why it ended so", "kubectl dbt list --project shop --failed -o wide",
			"# What ada has under way anywhere", "kubectl dbt list -A --phase Running --requester ada@example.com",
			"# By label", "kubectl dbt list -l dbtoperator.dev/schedule=shop-nightly"),
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			if phase != "" && !slices.Contains(phases, phase) {
				return oneOf("--phase", phase, phases...)
			}
			if f.Phase = v1alpha1.Phase(phase); failed {
				f.Phase = v1alpha1.PhaseFailed
			}
			cluster, namespace, err := a.cluster()
			if err != nil {
				return err
			}
			if f.Namespace = namespace; everywhere {
				f.Namespace = ""
			}
			runs, err := cluster.Runs(c.Context(), f)
			if err != nil {
				return err
			}
			return a.sayRuns(out, runs, f.Namespace)
		},
	}
	c.Flags().StringVar(&f.Project, "project", "", `Of this DbtProject; "(inline)" for runs that hold their own.`)
	c.Flags().StringVar(&phase, "phase", "", "In this phase: Pending, Queued, Running, Succeeded, Failed or Cancelled.")
	c.Flags().BoolVar(&failed, "failed", false, "That failed: short for --phase Failed.")
	c.Flags().StringVar(&f.Requester, "requester", "", "That this user asked for, by the name the API server knows them by.")
	c.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "In all namespaces.")
	c.Flags().StringVarP(&f.Selector, "selector", "l", "", "With these labels, as kubectl takes them.")
	c.MarkFlagsMutuallyExclusive("phase", "failed")
	a.complete(c, "project", a.names(kube.Projects, 1))
	a.complete(c, "requester", nil)
	a.complete(c, "selector", nil)
	fixed(c, "phase", phases...)
	out = reads(c)
	return c
}

func (a *app) sayRuns(out *read, runs []v1alpha1.DbtRun, namespace string) error {
	if out.forPeople() {
		if len(runs) == 0 {
			where := "in any namespace"
			if namespace != "" {
				where = fmt.Sprintf("in namespace %q", namespace)
			}
			_, err := fmt.Fprintf(a.ErrOut, "No such DbtRuns found %s.\n", where)
			return err
		}
		return a.say(a.style().Runs(runs, view.Columns{Namespace: namespace == "", Wide: out.format() == wide}, a.Clock.Now()))
	}
	if out.format() == "name" {
		// The printer takes one at a time.
		for i := range runs {
			if err := out.say(a, &runs[i]); err != nil {
				return err
			}
		}
		return nil
	}
	list := &v1alpha1.DbtRunList{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "DbtRunList"}, Items: runs}
	return out.say(a, list)
}

func (a *app) show() *cobra.Command {
	var out *read
	c := &cobra.Command{
		Use:   "show RUN",
		Short: "Show one page about a run: who asked for what, what became of it, and why",
		Example: examples(
			"# Everything about a run on one page", "kubectl dbt show shop-x7k2p",
			"# As the API has it", "kubectl dbt show shop-x7k2p -o yaml"),
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.names(kube.Runs, 1),
		RunE: func(c *cobra.Command, args []string) error {
			_, run, err := a.named(c.Context(), args[0])
			if err != nil {
				return err
			}
			if out.forPeople() {
				return a.say(a.style().Run(run, a.Clock.Now()))
			}
			return out.say(a, run)
		},
	}
	out = reads(c)
	return c
}
