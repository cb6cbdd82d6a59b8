package command

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/compare"
	"github.com/dbt-operator/dbt-operator/internal/cli/kept"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
	"github.com/dbt-operator/dbt-operator/internal/cli/view"
	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// lineageFile is the artifact that has the whole lineage, and the SQL.
const lineageFile = "lineage.json"

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
			cluster, namespace, err := a.cluster()
			if err != nil {
				return err
			}
			run, err := cluster.Run(c.Context(), key(namespace, args[0]))
			if err != nil {
				return err
			}
			found := a.failed(c.Context(), cluster, run, sql)
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

// failed returns the nodes that failed, as far as they are known; what cannot be read is noted.
func (a *app) failed(ctx context.Context, cluster *kube.Cluster, run *v1alpha1.DbtRun, sql bool) []view.Failure {
	found := view.Failures(run.Status.Failures)
	all := int32(len(found)) //nolint:gosec // there are ten
	if n := run.Status.FailedNodes; n != nil {
		all = max(all, *n)
	}
	sql = sql && len(found) > 0
	if all <= int32(len(found)) && !sql { //nolint:gosec // there are ten
		return found
	}
	r, err := a.reader(ctx, cluster, run.Namespace)
	if err != nil {
		a.note("shown is what the run's status has (%d of %d, without SQL): %s", len(found), all, err)
		return found
	}
	if all > int32(len(found)) { //nolint:gosec // there are ten
		if state, err := r.Journal(ctx, key(run.Namespace, run.Name)); err != nil {
			a.note("shown are %d of %d nodes that failed, those in the run's status: %s", len(found), all, err)
		} else {
			found = failedOf(state)
		}
	}
	if sql {
		if err := addSQL(ctx, r, run, found); err != nil {
			a.note("the SQL is not shown: %s", err)
		}
	}
	return found
}

// failedOf returns the nodes of a journal that failed, sorted.
func failedOf(state *journal.State) []view.Failure {
	var out []view.Failure
	for id, n := range compare.Nodes(state) {
		if dbt.NodeFailed(n.Status) || n.Status == journal.StatusInterrupted {
			out = append(out, view.Failure{ID: id, Type: n.ResourceType, Status: n.Status, Message: n.Message, Path: n.Path})
		}
	}
	slices.SortFunc(out, func(a, b view.Failure) int { return compareStrings(a.ID, b.ID) })
	return out
}

func addSQL(ctx context.Context, r *kept.Reader, run *v1alpha1.DbtRun, to []view.Failure) error {
	if !slices.ContainsFunc(run.Status.Artifacts, func(a v1alpha1.Artifact) bool { return a.Name == lineageFile }) {
		return fmt.Errorf("%s of the run is not kept", lineageFile)
	}
	in, err := r.Artifact(ctx, key(run.Namespace, run.Name), lineageFile)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	index := map[string]int{}
	for i := range to {
		index[to[i].ID] = i
	}
	_, err = dbt.ReadLineage(in, func(n dbt.LineageNode) error {
		if i, ok := index[n.ID]; ok && n.SQL != nil {
			to[i].SQL, to[i].Compiled = n.SQL.Code, n.SQL.Compiled
		}
		return nil
	})
	return err
}
