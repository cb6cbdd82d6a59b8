package command

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dbt-operator/dbt-operator/internal/cli/doctor"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
)

func (a *app) doctor() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check the cluster, the operator and your rights, and say how to mend what is wrong",
		Long: "Checks the API server's version, the CRDs, the admission policies (by a dry run that they must refuse), your rights in the\n" +
			"namespace, the operator's Deployment, what it keeps, and the clocks. Each line is ok, warn or fail; the exit code is 1 if\n" +
			"one failed. Nothing is changed.",
		Example: examples(
			"# Everything, for this namespace", "kubectl dbt doctor",
			"# As somebody else, if you may impersonate them", "kubectl dbt doctor -n team-a --as ada@example.com",
			"# For a program", "kubectl dbt doctor -o json"),
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			cluster, namespace, err := a.cluster()
			if err != nil {
				return err
			}
			checks := a.examine(c.Context(), cluster, namespace)
			if err := a.data(format, checks, func() string { return a.style().Checks(checks) }); err != nil {
				return err
			}
			if doctor.Failed(checks) {
				return &exit{1, nil}
			}
			return nil
		},
	}
	formats(c, &format)
	return c
}

// examine asks one thing after the other. If the API server does not answer, nothing else is asked.
func (a *app) examine(ctx context.Context, cluster *kube.Cluster, namespace string) []doctor.Check {
	version, at, err := cluster.Version(ctx)
	here := a.Clock.Now()
	checks := []doctor.Check{doctor.Server(version, err)}
	if err != nil {
		return checks
	}
	checks = append(checks, doctor.Clocks(here, at))
	served, err := cluster.Served(ctx)
	kinds := doctor.Kinds(served, err)
	checks = append(checks, kinds)
	if kinds.State != doctor.Fail {
		for _, kind := range []string{"DbtProject", "DbtRun", "DbtSchedule"} {
			fields, err := cluster.Fields(ctx, kind)
			checks = append(checks, doctor.Fields(kind, fields, err))
		}
		forged, err := cluster.Forge(ctx, namespace)
		checks = append(checks, doctor.Policies(forged, err))
	}
	operator, err := cluster.Operator(ctx, a.operator)
	checks = append(checks, doctor.Operator(operator, a.operator, err))
	if kinds.State != doctor.Fail {
		checks = append(checks, doctor.Store(operator, a.tryStore(ctx, cluster, namespace)))
		checks = append(checks, a.rights(ctx, cluster, namespace)...)
	}
	return checks
}

const (
	// maxProjects is of how many projects it is asked whether they may be run.
	maxProjects = 20
	storeTime   = 20 * time.Second
)

// tryStore reads what is kept of the newest run, or of one that is not there.
func (a *app) tryStore(ctx context.Context, cluster *kube.Cluster, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	name := "doctor-probe"
	if runs, err := cluster.Runs(ctx, kube.Filter{Namespace: namespace}); err == nil && len(runs) > 0 {
		name = runs[0].Name
	}
	r, err := a.reader(ctx, cluster, namespace)
	if err != nil {
		return err
	}
	_, err = r.Report(ctx, key(namespace, name))
	return err
}

func (a *app) rights(ctx context.Context, cluster *kube.Cluster, namespace string) []doctor.Check {
	projects, err := cluster.Names(ctx, kube.Projects, namespace)
	var out []doctor.Check
	if err != nil {
		out = append(out, doctor.Check{State: doctor.Warn, Name: "projects", Found: err.Error(), Mend: "without it, names of projects are not completed, and it is not told which you may run"})
	}
	if more := len(projects) - maxProjects; more > 0 {
		out = append(out, doctor.Check{State: doctor.OK, Name: "projects", Found: fmt.Sprintf("there are %d; whether you may run them is told of the first %d", len(projects), maxProjects)})
		projects = projects[:maxProjects]
	}
	for _, need := range doctor.Needs(namespace, a.operator, projects) {
		may, err := cluster.May(ctx, need.Right)
		out = append(out, doctor.Right(need, may, err))
	}
	return out
}
