package kube

import (
	"context"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// page is how many objects are asked for at a time.
const page = 500

// pages reads a list page by page, each into a list of its own, and hands it to take.
func pages[T any, L interface {
	*T
	client.ObjectList
}](ctx context.Context, c *Cluster, resource, namespace string, take func(L), options ...client.ListOption) error {
	for next := ""; ; {
		list := L(new(T))
		of := slices.Concat(options, []client.ListOption{client.InNamespace(namespace), client.Limit(page), client.Continue(next)})
		if err := c.client.List(ctx, list, of...); err != nil {
			return Explain(err, onOwn("list", resource, namespace, ""))
		}
		take(list)
		if next = list.GetContinue(); next == "" {
			return nil
		}
	}
}

// Projects returns the DbtProjects of a namespace, of all if it is empty, by namespace and name.
func (c *Cluster) Projects(ctx context.Context, namespace string) ([]v1alpha1.DbtProject, error) {
	var out []v1alpha1.DbtProject
	err := pages(ctx, c, Projects, namespace, func(list *v1alpha1.DbtProjectList) { out = append(out, list.Items...) })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b v1alpha1.DbtProject) int { return compareKeys(&a, &b) })
	return out, nil
}

// Schedules returns the DbtSchedules of a namespace, of all if it is empty, by namespace and name.
func (c *Cluster) Schedules(ctx context.Context, namespace string) ([]v1alpha1.DbtSchedule, error) {
	var out []v1alpha1.DbtSchedule
	err := pages(ctx, c, Schedules, namespace, func(list *v1alpha1.DbtScheduleList) { out = append(out, list.Items...) })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b v1alpha1.DbtSchedule) int { return compareKeys(&a, &b) })
	return out, nil
}

func compareKeys(a, b client.Object) int {
	return strings.Compare(a.GetNamespace()+"/"+a.GetName(), b.GetNamespace()+"/"+b.GetName())
}
