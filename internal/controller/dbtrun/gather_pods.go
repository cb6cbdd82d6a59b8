package dbtrun

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/attempt"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/lifecycle"
)

// gatherPods finds the run's pods, oldest first, and what their runners reported: to the collector, or in their
// termination messages.
func (r *Reconciler) gatherPods(ctx context.Context, seen *observed) error {
	job, ok := jobUID(seen)
	if !ok {
		return nil
	}
	if err := r.listPods(ctx, r.client, seen, job, client.MatchingFields{indexRunUID: string(seen.Run.UID)}); err != nil {
		return err
	}
	r.gatherResults(ctx, seen)
	if err := r.gatherSucceeded(ctx, seen, job); err != nil {
		return err
	}
	slices.SortFunc(seen.Pods, func(a, b *corev1.Pod) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	seen.Reports = reports(seen)
	return nil
}

// jobUID identifies the run's Job, also one that is gone; false when the run never had one.
func jobUID(seen *observed) (types.UID, bool) {
	switch {
	case seen.Job != nil:
		return seen.Job.UID, true
	case seen.Run.Status.Job != nil:
		return seen.Run.Status.Job.UID, true
	}
	return "", false
}

// listPods adds pods of a Job. Labels can be written by anyone who makes pods; whose pod it is, is a matter of its
// controller.
func (r *Reconciler) listPods(ctx context.Context, from client.Reader, seen *observed, job types.UID, which client.ListOption) error {
	var pods corev1.PodList
	if err := from.List(ctx, &pods, client.InNamespace(seen.Run.Namespace), which); err != nil {
		return fmt.Errorf("listing the pods of DbtRun %s/%s: %w", seen.Run.Namespace, seen.Run.Name, err)
	}
	for i := range pods.Items {
		if controls(job, &pods.Items[i]) && !hasPod(seen, pods.Items[i].Name) {
			seen.Pods = append(seen.Pods, &pods.Items[i])
		}
	}
	return nil
}

// gatherSucceeded adds the pod that succeeded, which the cache of a manager with a collector does not hold
// (controller.CacheOptions), where the collector did not say all that is to be known of it. It is asked for by its name,
// which is recorded or which its runner reported by; a pod that nobody heard of is looked for once its Job counts it.
func (r *Reconciler) gatherSucceeded(ctx context.Context, seen *observed, job types.UID) error {
	if !seen.keeps || !lacksPod(seen) {
		return nil
	}
	names := heardOf(seen)
	if len(names) == 0 && seen.Job != nil && lifecycle.JobSucceeded(seen.Job) {
		return r.listPods(ctx, r.direct, seen, job, client.MatchingLabels{v1alpha1.LabelRunUID: string(seen.Run.UID)})
	}
	for _, name := range names {
		if hasPod(seen, name) {
			continue
		}
		pod := &corev1.Pod{}
		err := r.direct.Get(ctx, types.NamespacedName{Namespace: seen.Run.Namespace, Name: name}, pod)
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return fmt.Errorf("reading pod %s of DbtRun %s/%s: %w", name, seen.Run.Namespace, seen.Run.Name, err)
		case controls(job, pod):
			seen.Pods = append(seen.Pods, pod)
		}
	}
	return nil
}

// lacksPod reports whether a pod that the cache does not hold could matter: to how the run ended, or to which image ran.
func lacksPod(seen *observed) bool {
	s := &seen.Run.Status
	if !s.Phase.Finished() {
		return true
	}
	return !conditions.Settled(s, seen.keeps, seen.Now) && (s.Revision == nil || s.Revision.Image == "")
}

// heardOf names the newest pods of the run that are recorded and that reported, mostly one and the same. While the run is
// not over, one whose end is recorded is of no more use.
func heardOf(seen *observed) []string {
	var out []string
	over := seen.Run.Status.Phase.Finished()
	attempts := seen.Run.Status.Attempts
	if n := len(attempts); n > 0 && (over || attempts[n-1].Reason == "") {
		out = append(out, attempts[n-1].Pod)
	}
	if k := seen.Kept; k != nil && len(k.Attempts) > 0 {
		newest := k.Attempts[len(k.Attempts)-1].Pod
		if !slices.ContainsFunc(attempts, func(a v1alpha1.Attempt) bool { return a.Pod == newest }) {
			out = append(out, newest)
		}
	}
	return out
}

func controls(job types.UID, pod *corev1.Pod) bool {
	owner := metav1.GetControllerOfNoCopy(pod)
	return owner != nil && owner.UID == job
}

func hasPod(seen *observed, name string) bool {
	return slices.ContainsFunc(seen.Pods, func(p *corev1.Pod) bool { return p.Name == name })
}

// reports returns what the runners of the pods said, by pod: in their termination messages, and of the newest that reported
// to the collector, there, if it has not left a message.
func reports(seen *observed) map[string]*journal.Report {
	out := map[string]*journal.Report{}
	for _, p := range seen.Pods {
		c := attempt.Container(p)
		if c == nil || c.State.Terminated == nil {
			continue
		}
		report, err := journal.Decode([]byte(c.State.Terminated.Message))
		if err == nil && report.RunUID == string(seen.Run.UID) {
			out[p.Name] = &report
		}
	}
	if seen.Kept == nil || len(seen.Kept.Attempts) == 0 {
		return out
	}
	last := seen.Kept.Attempts[len(seen.Kept.Attempts)-1]
	if last.Outcome != "" && out[last.Pod] == nil && hasPod(seen, last.Pod) {
		report := seen.Kept.Report
		out[last.Pod] = &report
	}
	return out
}
