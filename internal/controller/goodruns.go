package controller

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/lastgood"
)

// IndexGoodRuns finds the good runs of a DbtProject, by its name.
const IndexGoodRuns = "dbtoperator.dev/good-runs"

// GoodRunKeys are the keys of a run in IndexGoodRuns.
func GoodRunKeys(object client.Object) []string {
	run, ok := object.(*v1alpha1.DbtRun)
	if !ok || !lastgood.Good(run) {
		return nil
	}
	return []string{run.Spec.ProjectRef.Name}
}

// GoodRuns lists the good runs of a DbtProject's name by the index. They are the cache's own: nobody may change them.
func GoodRuns(ctx context.Context, c client.Reader, project client.ObjectKey) ([]v1alpha1.DbtRun, error) {
	var runs v1alpha1.DbtRunList
	err := c.List(ctx, &runs, client.InNamespace(project.Namespace), client.MatchingFields{IndexGoodRuns: project.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("listing the good runs of DbtProject %s: %w", project, err)
	}
	return runs.Items, nil
}
