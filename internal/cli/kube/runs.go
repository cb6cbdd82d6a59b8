package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Filter says which DbtRuns are wanted. What is empty keeps all.
type Filter struct {
	// Namespace is empty for all namespaces.
	Namespace string
	Project   string
	Phase     v1alpha1.Phase
	Requester string
	// Selector is of labels, as kubectl takes it.
	Selector string
}

// Run returns a DbtRun.
func (c *Cluster) Run(ctx context.Context, key types.NamespacedName) (*v1alpha1.DbtRun, error) {
	run := &v1alpha1.DbtRun{}
	if err := c.client.Get(ctx, key, run); err != nil {
		return nil, Explain(err, onOwn("get", Runs, key.Namespace, key.Name))
	}
	typed(run)
	return run, nil
}

// Runs returns the DbtRuns that a filter keeps, the newest first.
func (c *Cluster) Runs(ctx context.Context, f Filter) ([]v1alpha1.DbtRun, error) {
	options, err := f.options()
	if err != nil {
		return nil, err
	}
	var out []v1alpha1.DbtRun
	err = pages(ctx, c, Runs, f.Namespace, func(list *v1alpha1.DbtRunList) {
		for _, run := range list.Items {
			if f.keeps(&run) {
				typed(&run)
				out = append(out, run)
			}
		}
	}, options...)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(out, func(a, b v1alpha1.DbtRun) int {
		if n := b.CreationTimestamp.Compare(a.CreationTimestamp.Time); n != 0 {
			return n
		}
		return compareKeys(&a, &b)
	})
	return out, nil
}

func (f Filter) options() ([]client.ListOption, error) {
	var options []client.ListOption
	fields := client.MatchingFields{}
	if f.Phase != "" {
		fields["status.phase"] = string(f.Phase)
	}
	if f.Project != "" && f.Project != v1alpha1.InlineProject {
		fields["spec.projectRef.name"] = f.Project
	}
	if len(fields) > 0 {
		options = append(options, fields)
	}
	if f.Selector != "" {
		selector, err := labels.Parse(f.Selector)
		if err != nil {
			return nil, fmt.Errorf("--selector: found %q: %w", f.Selector, err)
		}
		options = append(options, client.MatchingLabelsSelector{Selector: selector})
	}
	return options, nil
}

// keeps does what the API server cannot.
func (f Filter) keeps(run *v1alpha1.DbtRun) bool {
	by := run.Spec.RequestedBy
	return (f.Requester == "" || by != nil && by.Username == f.Requester) &&
		(f.Project != v1alpha1.InlineProject || run.Spec.Project != nil)
}

// Create creates a DbtRun, which is changed to what the API server made of it. With dry set nothing is kept. Where several
// managers divide the projects, the run goes to that of its project.
func (c *Cluster) Create(ctx context.Context, run *v1alpha1.DbtRun, dry bool) error {
	c.shard(ctx, run)
	var options []client.CreateOption
	if dry {
		options = append(options, client.DryRunAll)
	}
	name := run.Name
	if err := c.client.Create(ctx, run, options...); err != nil {
		return Explain(err, onOwn("create", Runs, run.Namespace, name))
	}
	typed(run)
	return nil
}

// shard gives a run the label by which managers divide the work, if its project has one and the run has not. A project that
// cannot be read is left to the API server, which knows better what is wrong with the run.
func (c *Cluster) shard(ctx context.Context, run *v1alpha1.DbtRun) {
	if _, has := run.Labels[v1alpha1.LabelShard]; has || run.Spec.ProjectRef == nil {
		return
	}
	project := &v1alpha1.DbtProject{}
	if err := c.client.Get(ctx, types.NamespacedName{Namespace: run.Namespace, Name: run.Spec.ProjectRef.Name}, project); err != nil {
		return
	}
	if shard, has := project.Labels[v1alpha1.LabelShard]; has {
		metav1.SetMetaDataLabel(&run.ObjectMeta, v1alpha1.LabelShard, shard)
	}
}

// Cancel asks a DbtRun to stop, and returns it as it is then.
func (c *Cluster) Cancel(ctx context.Context, key types.NamespacedName, dry bool) (*v1alpha1.DbtRun, error) {
	run := &v1alpha1.DbtRun{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"cancel": true}})
	if err != nil {
		return nil, err
	}
	if err := c.client.Patch(ctx, run, client.RawPatch(types.MergePatchType, patch), patchOptions(dry)...); err != nil {
		return nil, Explain(err, onOwn("patch", Runs, key.Namespace, key.Name))
	}
	typed(run)
	return run, nil
}

func patchOptions(dry bool) []client.PatchOption {
	if dry {
		return []client.PatchOption{client.DryRunAll}
	}
	return nil
}

// typed sets the kind, which is lost on the way, for whoever prints it.
func typed(object client.Object) {
	kind := ""
	switch object.(type) {
	case *v1alpha1.DbtRun:
		kind = "DbtRun"
	case *v1alpha1.DbtSchedule:
		kind = "DbtSchedule"
	case *v1alpha1.DbtProject:
		kind = "DbtProject"
	}
	object.GetObjectKind().SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
}
