package dbtrun

import (
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/lifecycle"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
)

// gatherGroup finds what the other runs of the concurrency group do. A run that may begin first takes the group and
// then looks, so that of two that look at once only one sees it free; see release in act.
func (r *Reconciler) gatherGroup(ctx context.Context, seen *observed) error {
	if seen.Resolved == nil || seen.Resolved.Group == "" {
		return nil
	}
	run := seen.Run
	seen.group = groupID{run.Namespace, runjob.GroupLabel(seen.Resolved.Group)}
	if seen.Job != nil {
		seen.group.label = seen.Job.Labels[v1alpha1.LabelGroup]
	}
	peers, err := r.waiting(ctx, run, seen.Resolved.Group)
	if err != nil {
		return err
	}
	for _, p := range peers {
		switch {
		case p.UID == run.UID:
		case p.replaces(run) && (seen.Job == nil || p.Status.Phase == v1alpha1.PhaseQueued):
			// One that is not recorded as waiting for this run may yet turn out to be none that can be carried out.
			seen.Group.ReplacedBy = p.Name
		case older(p.DbtRun, run):
			seen.Group.Ahead = append(seen.Group.Ahead, p.Name)
		}
	}
	slices.Sort(seen.Group.Ahead)
	if seen.Job != nil || seen.Resolved.Policy == v1alpha1.ConcurrencyAllow {
		return nil
	}
	return r.gatherActive(ctx, seen)
}

// gatherActive takes the group and lists who is active in it.
func (r *Reconciler) gatherActive(ctx context.Context, seen *observed) error {
	run := seen.Run
	me := holder{run: client.ObjectKeyFromObject(run), uid: run.UID}
	other, taken := r.groups.take(seen.group, me)
	if !taken {
		settled, err := r.settled(ctx, other)
		if err != nil {
			return err
		}
		if settled {
			r.groups.release(seen.group, other.uid)
			other, taken = r.groups.take(seen.group, me)
		}
	}
	active := map[string]bool{}
	if !taken {
		active[other.run.Name] = true
	}
	var jobs batchv1.JobList
	var pods corev1.PodList
	in := []client.ListOption{client.InNamespace(run.Namespace), client.MatchingFields{indexActiveGroup: seen.group.label}}
	if err := r.client.List(ctx, &jobs, in...); err != nil {
		return fmt.Errorf("listing the Jobs of the concurrency group of DbtRun %s/%s: %w", run.Namespace, run.Name, err)
	}
	if err := r.client.List(ctx, &pods, in...); err != nil {
		return fmt.Errorf("listing the pods of the concurrency group of DbtRun %s/%s: %w", run.Namespace, run.Name, err)
	}
	for i := range jobs.Items {
		active[ownerRun(&jobs.Items[i])] = true
	}
	for i := range pods.Items {
		if pods.Items[i].Labels[v1alpha1.LabelRunUID] != string(run.UID) {
			active[pods.Items[i].Annotations[v1alpha1.AnnotationRun]] = true
		}
	}
	for name := range active {
		seen.Group.Active = append(seen.Group.Active, name)
		seen.others = append(seen.others, types.NamespacedName{Namespace: run.Namespace, Name: name})
	}
	slices.Sort(seen.Group.Active)
	return nil
}

// settled reports whether the group no longer depends on a holder: the cache shows the Job it created, or the Job is
// not there at all, or has succeeded and is in no cache any more; or the holder itself is gone, before it could create one.
func (r *Reconciler) settled(ctx context.Context, h holder) (bool, error) {
	if h.job == "" {
		run := &v1alpha1.DbtRun{}
		err := r.client.Get(ctx, h.run, run)
		return apierrors.IsNotFound(err) || err == nil && run.UID != h.uid, client.IgnoreNotFound(err)
	}
	key := types.NamespacedName{Namespace: h.run.Namespace, Name: h.job}
	if err := r.client.Get(ctx, key, &batchv1.Job{}); !apierrors.IsNotFound(err) {
		return err == nil, err
	}
	job := &batchv1.Job{}
	err := r.direct.Get(ctx, key, job)
	return apierrors.IsNotFound(err) || err == nil && lifecycle.JobSucceeded(job), client.IgnoreNotFound(err)
}

// peer is another run of the namespace that waits.
type peer struct {
	*v1alpha1.DbtRun
	policy v1alpha1.ConcurrencyPolicy
}

// replaces reports whether the peer is newer than run and cancels it.
func (p peer) replaces(run *v1alpha1.DbtRun) bool {
	return p.policy == v1alpha1.ConcurrencyReplace && older(run, p.DbtRun) && (p.Spec.Cancel == nil || !*p.Spec.Cancel)
}

// older orders runs by creation, then by name: creation times have whole seconds.
func older(a, b *v1alpha1.DbtRun) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.Name < b.Name
}

// waiting returns the runs of a group that are not over and have no Job yet. The default group is that of one project; a
// named group may span the projects of the namespace that name it, and runs with inline projects. A run that has its Job
// replaces nothing any more: what it replaced was over before.
func (r *Reconciler) waiting(ctx context.Context, run *v1alpha1.DbtRun, group string) ([]peer, error) {
	projects := map[string]*v1alpha1.DbtProject{}
	keys := []string{groupKey(group)}
	var list v1alpha1.DbtProjectList
	if err := r.client.List(ctx, &list, client.InNamespace(run.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the DbtProjects of namespace %s: %w", run.Namespace, err)
	}
	for i := range list.Items {
		p := &list.Items[i]
		projects[p.Name] = p
		if c := p.Spec.Concurrency; c != nil && c.Group == group {
			keys = append(keys, projectKey(p.Name))
		}
	}
	if ref := run.Spec.ProjectRef; ref != nil && !slices.Contains(keys, projectKey(ref.Name)) {
		keys = append(keys, projectKey(ref.Name))
	}
	var out []peer
	for _, key := range keys {
		var runs v1alpha1.DbtRunList
		if err := r.client.List(ctx, &runs, client.InNamespace(run.Namespace), client.MatchingFields{indexWaiting: key}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("listing the runs of concurrency group %s: %w", group, err)
		}
		for i := range runs.Items {
			if p, ok := member(&runs.Items[i], projects, group); ok {
				out = append(out, p)
			}
		}
	}
	return out, nil
}

func member(run *v1alpha1.DbtRun, projects map[string]*v1alpha1.DbtProject, group string) (peer, bool) {
	if !run.DeletionTimestamp.IsZero() {
		return peer{}, false
	}
	var project *v1alpha1.DbtProject
	if ref := run.Spec.ProjectRef; ref != nil {
		if project = projects[ref.Name]; project == nil {
			return peer{}, false
		}
	}
	resolved := runjob.Resolve(run, project, nil)
	return peer{DbtRun: run, policy: resolved.Policy}, resolved.Group == group
}
