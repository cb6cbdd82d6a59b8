package integration

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// Fault 31: what happens while no watch says so is found when one is there again.
func TestWatchIsCut(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	run := w.run(testutil.MakeDbtRun("a").Project("shop"))
	job, pod := w.begun(run)
	w.wire.cutWatches()
	w.kubelet.End(pod, testutil.Exit{Message: said(run, journal.Succeeded)})
	w.kubelet.CompleteJob(job)
	if got := w.get(run).Status.Phase; got != v1alpha1.PhaseRunning {
		t.Errorf("the phase is %s while no watch is there: the test cuts nothing", got)
	}
	w.wire.mend()
	done := w.reaches(run, v1alpha1.ReasonSucceeded)
	if done.Status.CompletionTime == nil || len(done.Status.Attempts) != 1 {
		t.Errorf("status is %+v", done.Status)
	}
	w.oneJob(run, job.Name)
}

// Fault 40: a namespace that is being deleted takes no new objects, events included. A run in it still ends, one that
// waits does not begin, and neither holds the namespace up.
func TestNamespaceIsDeleted(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	run := w.run(testutil.MakeDbtRun("a").Project("shop"))
	job, pod := w.begun(run)
	next := w.run(testutil.MakeDbtRun("b").Project("shop").StartTimeout(60))
	w.reaches(next, v1alpha1.ReasonQueued)
	w.must(admin.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.ns}}))
	w.kubelet.End(pod, testutil.Exit{Message: said(run, journal.Succeeded)})
	w.kubelet.CompleteJob(job)
	w.reaches(run, v1alpha1.ReasonSucceeded)
	w.says(next, "being terminated")
	w.clock.step(61 * time.Second)
	w.touch(next)
	w.reaches(next, v1alpha1.ReasonStartTimeout)
	for _, r := range []*v1alpha1.DbtRun{run, next} {
		w.must(admin.Delete(t.Context(), w.get(r), client.PropagationPolicy(metav1.DeletePropagationBackground)))
		w.gone(r)
	}
}

// Fault 40: without its ServiceAccount a Job gets no other pod. The run says why, and ends in bounded time.
func TestServiceAccountIsDeleted(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	run := w.run(testutil.MakeDbtRun("a").Project("shop").StartTimeout(60))
	job, pod := w.begun(run)
	w.kubelet.Delete(pod)
	w.is(run, "a deleted attempt", func(r *v1alpha1.DbtRun) bool { return len(r.Status.Attempts) == 1 })
	const why = `Error creating: pods "a-" is forbidden: error looking up service account shop/default: serviceaccount "default" not found`
	w.must(admin.Create(t.Context(), &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: "a-", Namespace: w.ns},
		InvolvedObject: corev1.ObjectReference{APIVersion: "batch/v1", Kind: "Job", Namespace: w.ns, Name: job.Name, UID: job.UID},
		Type:           corev1.EventTypeWarning, Reason: "FailedCreate", Message: why,
	}))
	w.clock.step(61 * time.Second)
	w.touch(run)
	done := w.reaches(run, v1alpha1.ReasonStartTimeout)
	if !strings.Contains(done.Status.Message, "startTimeoutSeconds") {
		t.Errorf("message is %q", done.Status.Message)
	}
}
