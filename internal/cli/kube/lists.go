package kube

import (
	"context"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Projects returns the DbtProjects of a namespace, of all if it is empty, by namespace and name.
func (c *Cluster) Projects(ctx context.Context, namespace string) ([]v1alpha1.DbtProject, error) {
	var out []v1alpha1.DbtProject
	for next := ""; ; {
		var list v1alpha1.DbtProjectList
		if err := c.client.List(ctx, &list, client.InNamespace(namespace), client.Limit(page), client.Continue(next)); err != nil {
			return nil, Explain(err, onOwn("list", Projects, namespace, ""))
		}
		out = append(out, list.Items...)
		if next = list.Continue; next == "" {
			break
		}
	}
	slices.SortFunc(out, func(a, b v1alpha1.DbtProject) int { return compareKeys(&a, &b) })
	return out, nil
}

// Schedules returns the DbtSchedules of a namespace, of all if it is empty, by namespace and name.
func (c *Cluster) Schedules(ctx context.Context, namespace string) ([]v1alpha1.DbtSchedule, error) {
	var out []v1alpha1.DbtSchedule
	for next := ""; ; {
		var list v1alpha1.DbtScheduleList
		if err := c.client.List(ctx, &list, client.InNamespace(namespace), client.Limit(page), client.Continue(next)); err != nil {
			return nil, Explain(err, onOwn("list", Schedules, namespace, ""))
		}
		out = append(out, list.Items...)
		if next = list.Continue; next == "" {
			break
		}
	}
	slices.SortFunc(out, func(a, b v1alpha1.DbtSchedule) int { return compareKeys(&a, &b) })
	return out, nil
}

func compareKeys(a, b client.Object) int {
	return strings.Compare(a.GetNamespace()+"/"+a.GetName(), b.GetNamespace()+"/"+b.GetName())
}
