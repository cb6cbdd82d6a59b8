package command

import (
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/intent"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
)

const watchHelp = "Watch the run until its end. The exit code is then its own: 0 succeeded, 1 nodes failed, 2 failed otherwise, 3 cancelled, 4 not known."

func (a *app) run() *cobra.Command {
	var w intent.Wish
	var watch bool
	var out *change
	c := &cobra.Command{
		Use:   "run PROJECT [VERB [ARGS]]",
		Short: "Run dbt from a DbtProject",
		Long: "Creates a DbtRun of a DbtProject. Without VERB it is `dbt build`. What stands behind -- goes to dbt as it is.\n" +
			"Running a project needs the right to create DbtRuns, and the verb \"use\" on the project.",
		Example: examples(
			"# Build everything", "kubectl dbt run shop",
			"# Test some models, and watch", "kubectl dbt run shop test --select tag:nightly+ --watch",
			"# Several commands, in order", "kubectl dbt run shop -c 'dbt seed' -c 'dbt run --select staging'",
			"# Variables and another target", "kubectl dbt run shop --target ci --vars '{start_date: \"2026-11-01\"}'",
			"# Flags of dbt that this command does not know stand behind --", "kubectl dbt run shop -- build --fail-fast --threads 2",
			"# The manifest, to keep in git", "kubectl dbt run shop build --name nightly --dry-run=client -o yaml"),
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.projectThenVerb,
		RunE: func(c *cobra.Command, args []string) error {
			w.Project, w.Words = args[0], args[1:]
			return a.create(c, out, watch, func(_ *kube.Cluster, namespace string) (*v1alpha1.DbtRun, error) {
				w.Namespace = namespace
				return intent.Run(w)
			})
		},
	}
	f := c.Flags()
	f.StringArrayVarP(&w.Commands, "command", "c", nil, "A whole dbt command line, in place of VERB; several are run in order, and the first that fails stops the rest.")
	f.StringArrayVar(&w.Select, "select", nil, "Nodes to select, as dbt takes them.")
	f.StringArrayVar(&w.Exclude, "exclude", nil, "Nodes to leave out, as dbt takes them.")
	f.BoolVar(&w.FullRefresh, "full-refresh", false, "Build incremental models anew.")
	f.StringVar(&w.Vars, "vars", "", "dbt's variables: a JSON or YAML object. They go into spec.vars and count for each command.")
	f.StringVar(&w.Target, "target", "", "dbt's target. Default: the project's.")
	f.StringVar(&w.Revision, "revision", "", "Git ref or commit to run in place of the project's, such as refs/pull/12/head.")
	f.StringVar(&w.Name, "name", "", "Name of the DbtRun. Default: the project's, and what the API server adds to it.")
	f.DurationVar(&w.Timeout, "timeout", 0, "Time after which the run is stopped, such as 2h. Default: the project's.")
	f.DurationVar(&w.TTL, "ttl", 0, "Time after its end at which the run is deleted, such as 24h. Default: the project's.")
	f.BoolVarP(&watch, "watch", "w", false, watchHelp)
	for _, flag := range []string{"command", "select", "exclude", "vars", "target", "revision", "name", "timeout", "ttl"} {
		a.complete(c, flag, nil)
	}
	out = changes(c, "created")
	return c
}

func (a *app) retry() *cobra.Command {
	var name string
	var watch bool
	var out *change
	c := &cobra.Command{
		Use:   "retry RUN",
		Short: "Go on from a run that failed, with what is left of it",
		Long: "Creates a DbtRun that goes on from another (spec.resumeFrom): commands that ended well there are not run again, and of\n" +
			"the first that did not only the nodes that failed, were skipped or never ran. The source is fetched anew, so that what\n" +
			"was mended counts. It needs the operator's collector, which keeps what the run did.",
		Example: examples(
			"# Go on, and watch", "kubectl dbt retry shop-x7k2p --watch",
			"# Under a name of your own", "kubectl dbt retry shop-x7k2p --name shop-again"),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.names(kube.Runs, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.create(c, out, watch, func(cluster *kube.Cluster, namespace string) (*v1alpha1.DbtRun, error) {
				of, err := cluster.Run(c.Context(), key(namespace, args[0]))
				if err != nil {
					return nil, err
				}
				return intent.Retry(of, name)
			})
		},
	}
	c.Flags().StringVar(&name, "name", "", "Name of the new DbtRun. Default: that of the other, and what the API server adds to it.")
	c.Flags().BoolVarP(&watch, "watch", "w", false, watchHelp)
	a.complete(c, "name", nil)
	out = changes(c, "created")
	return c
}

func (a *app) trigger() *cobra.Command {
	var name string
	var watch bool
	var out *change
	c := &cobra.Command{
		Use:   "trigger SCHEDULE",
		Short: "Make a run of a schedule's template now",
		Long: "Creates a DbtRun of a DbtSchedule's template, with its labels and annotations. It is yours: it carries your name, not the\n" +
			"author's. It is beside the schedule: no tick counts as run by it, no history limit deletes it, and dbt sees no\n" +
			"DBT_SCHEDULED_TIME.",
		Example: examples(
			"# Now rather than at six", "kubectl dbt trigger shop-nightly",
			"# And watch", "kubectl dbt trigger shop-nightly --watch"),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.names(kube.Schedules, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.create(c, out, watch, func(cluster *kube.Cluster, namespace string) (*v1alpha1.DbtRun, error) {
				s, err := cluster.Schedule(c.Context(), key(namespace, args[0]))
				if err != nil {
					return nil, err
				}
				return intent.Trigger(s, name), nil
			})
		},
	}
	c.Flags().StringVar(&name, "name", "", "Name of the DbtRun. Default: the schedule's, and what the API server adds to it.")
	c.Flags().BoolVarP(&watch, "watch", "w", false, watchHelp)
	a.complete(c, "name", nil)
	out = changes(c, "created")
	return c
}

// create creates the run that build makes, and watches it if that is wanted.
func (a *app) create(c *cobra.Command, out *change, watch bool, build func(*kube.Cluster, string) (*v1alpha1.DbtRun, error)) error {
	cluster, run, err := a.created(c, out, build)
	switch {
	case err != nil && watch:
		return &exit{ExitUnknown, err}
	case err != nil || !watch || out.dry != dryNone:
		return err
	}
	return a.watch(c.Context(), cluster, key(run.Namespace, run.Name))
}

func (a *app) created(c *cobra.Command, out *change, build func(*kube.Cluster, string) (*v1alpha1.DbtRun, error)) (*kube.Cluster, *v1alpha1.DbtRun, error) {
	if err := out.validate(); err != nil {
		return nil, nil, err
	}
	cluster, namespace, err := a.cluster()
	if err != nil {
		return nil, nil, err
	}
	run, err := build(cluster, namespace)
	if err != nil {
		return nil, nil, err
	}
	if out.dry != dryClient {
		if err := cluster.Create(c.Context(), run, out.dry == dryServer); err != nil {
			return nil, nil, err
		}
	} else if run.Name == "" && out.print.OutputFormat != nil && *out.print.OutputFormat == "" {
		run.Name = run.GenerateName + "…"
	}
	return cluster, run, out.say(a, run)
}

func (a *app) cancel() *cobra.Command {
	var watch bool
	var out *change
	c := &cobra.Command{
		Use:   "cancel RUN...",
		Short: "Stop runs: dbt cancels its queries, then the run ends as Cancelled",
		Long: "Sets spec.cancel of DbtRuns. dbt is told to stop and cancels its queries in the warehouse, then the run ends as\n" +
			"Cancelled. It cannot be taken back. A run that is over stays as it is.",
		Example: examples(
			"# Stop a run", "kubectl dbt cancel shop-x7k2p",
			"# Stop it and wait until it has", "kubectl dbt cancel shop-x7k2p --watch"),
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.unfinished,
		RunE: func(c *cobra.Command, args []string) error {
			if err := out.validate(); err != nil {
				return err
			}
			cluster, namespace, err := a.cluster()
			if err != nil {
				return err
			}
			for _, name := range args {
				if err := a.cancelOne(c, cluster, out, namespace, name); err != nil {
					return err
				}
			}
			if !watch || out.dry != dryNone {
				return nil
			}
			for _, name := range args {
				var e *exit
				if err := a.watch(c.Context(), cluster, key(namespace, name)); err != nil && (!errors.As(err, &e) || e.code != ExitCancelled) {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "Watch each run until its end. The exit code is 0 if all ended as Cancelled or Succeeded.")
	out = changes(c, "asked to stop")
	return c
}

func (a *app) cancelOne(c *cobra.Command, cluster *kube.Cluster, out *change, namespace, name string) error {
	if out.dry == dryClient {
		run, err := cluster.Run(c.Context(), key(namespace, name))
		if err != nil {
			return err
		}
		run.Spec.Cancel = ptr.To(true)
		return out.say(a, run)
	}
	run, err := cluster.Cancel(c.Context(), key(namespace, name), out.dry == dryServer)
	if err != nil {
		return err
	}
	if run.Status.Phase.Finished() {
		a.note("DbtRun %q is over (%s): cancel changes nothing of it", name, run.Status.Phase)
	}
	return out.say(a, run)
}

// unfinished completes names of runs that are not over, each once.
func (a *app) unfinished(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	cluster, namespace, err := a.cluster()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	runs, err := cluster.Runs(c.Context(), kube.Filter{Namespace: namespace})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for i := range runs {
		if !runs[i].Status.Phase.Finished() && !slices.Contains(args, runs[i].Name) {
			out = append(out, runs[i].Name)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) backfill() *cobra.Command {
	var r intent.Range
	var remove bool
	var out *change
	c := &cobra.Command{
		Use:   "backfill SCHEDULE --from DAY --to DAY",
		Short: "Make a schedule's runs for ticks of the past",
		Long: "Sets spec.backfill of a DbtSchedule: each tick from --from to --to, both included, has a run, oldest first, beside the\n" +
			"schedule's own. --stop removes it: no further runs are made, those under way go on.\n" +
			"It changes the schedule's spec, so that you are its author from then on: its runs carry your name and need your rights.",
		Example: examples(
			"# All of October, in the schedule's time zone; with the project's concurrency policy Allow, two runs side by side", "kubectl dbt backfill shop-nightly --from 2026-10-01 --to 2026-10-31 --max-active 2",
			"# By exact times, and go on when a run fails", "kubectl dbt backfill shop-nightly --from 2026-10-01T06:00:00Z --to 2026-10-02T06:00:00Z --on-failure Continue",
			"# Make no further ones", "kubectl dbt backfill shop-nightly --stop"),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.names(kube.Schedules, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.setBackfill(c, out, args[0], func(s *v1alpha1.DbtSchedule) (*v1alpha1.Backfill, error) {
				if remove {
					return nil, nil
				}
				return intent.Backfill(s, r)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&r.From, "from", "", "First day, such as 2026-10-01, or time, such as 2026-10-01T06:00:00Z.")
	f.StringVar(&r.To, "to", "", "Last day, all of it, or time.")
	f.Int32Var(&r.MaxActive, "max-active", 1, "How many runs may be under way at a time, 1 to 50.")
	f.StringVar(&r.OnFailure, "on-failure", string(v1alpha1.BackfillStop), "What becomes of the rest when a run fails: Stop or Continue.")
	f.BoolVar(&r.EventTimeWindow, "event-time-window", false, "Give build and run the tick's interval as --event-time-start and --event-time-end, for microbatch models.")
	f.BoolVar(&remove, "stop", false, "Remove the backfill that there is.")
	c.MarkFlagsRequiredTogether("from", "to")
	c.MarkFlagsOneRequired("from", "stop")
	for _, flag := range []string{"from", "to", "max-active", "on-failure", "event-time-window"} {
		c.MarkFlagsMutuallyExclusive(flag, "stop")
	}
	for _, flag := range []string{"from", "to", "max-active"} {
		a.complete(c, flag, nil)
	}
	fixed(c, "on-failure", string(v1alpha1.BackfillStop), string(v1alpha1.BackfillContinue))
	out = changes(c, "backfill set")
	return c
}

func (a *app) setBackfill(c *cobra.Command, out *change, name string, to func(*v1alpha1.DbtSchedule) (*v1alpha1.Backfill, error)) error {
	if err := out.validate(); err != nil {
		return err
	}
	cluster, namespace, err := a.cluster()
	if err != nil {
		return err
	}
	s, err := cluster.Schedule(c.Context(), key(namespace, name))
	if err != nil {
		return err
	}
	b, err := to(s)
	if err != nil {
		return err
	}
	before := s.Spec.RequestedBy
	if out.dry == dryClient {
		s.Spec.Backfill = b
	} else if s, err = cluster.SetBackfill(c.Context(), s, b, out.dry == dryServer); err != nil {
		return err
	}
	if now := s.Spec.RequestedBy; before != nil && now != nil && before.Username != now.Username {
		a.note("DbtSchedule %q was %s's and is yours from now on: its runs carry your name, and need your rights", name, before.Username)
	}
	if b == nil {
		out.print.NamePrintFlags.Operation = "backfill removed"
	} else if out.dry != dryClient {
		a.note("ticks from %s to %s have a run each; `kubectl get dbtschedule %s -o jsonpath='{.status.backfill}'` says how far it is",
			b.From.UTC().Format(time.RFC3339), b.To.UTC().Format(time.RFC3339), name)
	}
	return out.say(a, s)
}
