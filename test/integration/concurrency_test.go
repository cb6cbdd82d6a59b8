package integration

import (
	"fmt"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/lifecycle"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// jobs returns the namespace's Jobs that are not over.
func (w *world) active() []batchv1.Job {
	w.Helper()
	var list batchv1.JobList
	w.must(admin.List(w.Context(), &list, client.InNamespace(w.ns)))
	var out []batchv1.Job
	for _, j := range list.Items {
		if !lifecycle.JobFinished(&j) {
			out = append(out, j)
		}
	}
	return out
}

func TestQueue(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	first := w.run(testutil.MakeDbtRun("a").Project("shop"))
	job, pod := w.begun(first)
	second := w.run(testutil.MakeDbtRun("b").Project("shop"))
	if got := w.says(second, "Waits for run a").Status.Phase; got != v1alpha1.PhaseQueued {
		t.Errorf("phase of b is %s", got)
	}
	third := w.run(testutil.MakeDbtRun("c").Project("shop"))
	w.reaches(third, v1alpha1.ReasonQueued)
	other := w.run(testutil.MakeDbtRun("d").Project("shop").Target("ci"))
	w.job(other)

	// The run is over with its runner's word; the next still waits for the Job.
	w.kubelet.End(pod, testutil.Exit{Message: said(first, journal.Succeeded)})
	w.reaches(first, v1alpha1.ReasonSucceeded)
	if got := w.get(second).Status.Job; got != nil {
		t.Errorf("b began before the Job of a was over: %+v", got)
	}
	w.kubelet.CompleteJob(job)
	job, pod = w.begun(second)
	if got := w.get(third).Status.Phase; got != v1alpha1.PhaseQueued {
		t.Errorf("phase of c is %s while b runs", got)
	}
	w.kubelet.End(pod, testutil.Exit{Message: said(second, journal.Succeeded)})
	w.kubelet.CompleteJob(job)
	w.job(third)
}

func TestAllow(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop").Concurrency(v1alpha1.ConcurrencyAllow, ""))
	w.begun(w.run(testutil.MakeDbtRun("a").Project("shop")))
	w.begun(w.run(testutil.MakeDbtRun("b").Project("shop")))
}

func TestReject(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop").Concurrency(v1alpha1.ConcurrencyReject, ""))
	w.begun(w.run(testutil.MakeDbtRun("a").Project("shop")))
	done := w.reaches(w.run(testutil.MakeDbtRun("b").Project("shop")), v1alpha1.ReasonRejected)
	if done.Status.Phase != v1alpha1.PhaseFailed || !strings.Contains(done.Status.Message, "run a of the same concurrency group is active") {
		t.Errorf("status is %+v", done.Status)
	}
}

func TestReplace(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop").Concurrency(v1alpha1.ConcurrencyReplace, ""))
	old := w.run(testutil.MakeDbtRun("a").Project("shop"))
	job, pod := w.begun(old)
	young := w.run(testutil.MakeDbtRun("b").Project("shop"))
	w.reaches(old, v1alpha1.ReasonCancelling)
	w.reaches(young, v1alpha1.ReasonQueued)
	if got := w.get(young).Status.Job; got != nil {
		t.Fatalf("b began while the pod of a was alive")
	}
	w.stopped(job, pod)
	done := w.reaches(old, v1alpha1.ReasonCancelled)
	if !strings.Contains(done.Status.Message, "Replaced by run b") {
		t.Errorf("message is %q", done.Status.Message)
	}
	w.begun(young)
}

// A group may span projects and inline projects: whoever made the runs, no two of them are active together.
func TestOneAtATime(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("one").Concurrency("", "warehouse"))
	w.project(testutil.MakeDbtProject("two").Concurrency("", "warehouse"))
	inline := testutil.MakeDbtProject("x").Concurrency("", "warehouse").Obj()
	const n = 12
	for i := range n {
		name := fmt.Sprintf("r%02d", i)
		switch i % 3 {
		case 0:
			w.run(testutil.MakeDbtRun(name).Project("one"))
		case 1:
			w.run(testutil.MakeDbtRun(name).Project("two"))
		case 2:
			w.run(testutil.MakeDbtRun(name).Inline(inline))
		}
	}
	done := map[string]bool{}
	for len(done) < n {
		var jobs []batchv1.Job
		testutil.Eventually(t, fmt.Sprintf("run %d of %d begins", len(done)+1, n), patience, func() (bool, string) {
			jobs = w.active()
			return len(jobs) > 0, w.overview()
		})
		if len(jobs) != 1 {
			t.Fatalf("%d Jobs are active together: %s, %s", len(jobs), jobs[0].Name, jobs[1].Name)
		}
		job := &jobs[0]
		run := &v1alpha1.DbtRun{}
		w.must(admin.Get(t.Context(), client.ObjectKey{Namespace: w.ns, Name: job.Annotations[v1alpha1.AnnotationRun]}, run))
		pod := w.kubelet.Pod(job, run.Name+"-1")
		w.kubelet.Start(pod)
		if jobs := w.active(); len(jobs) != 1 {
			t.Fatalf("%d Jobs are active together", len(jobs))
		}
		w.kubelet.End(pod, testutil.Exit{Message: said(run, journal.Succeeded)})
		w.kubelet.CompleteJob(job)
		done[run.Name] = true
	}
}

func (w *world) overview() string {
	var list v1alpha1.DbtRunList
	if err := admin.List(w.Context(), &list, client.InNamespace(w.ns)); err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, r := range list.Items {
		fmt.Fprintf(&b, "%s %s %s\n", r.Name, r.Status.Phase, r.Status.Message)
	}
	return b.String()
}

// The holder of a group that is deleted while it waits, or that never can begin, does not keep the group.
func TestGroupIsGivenBack(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	first := w.run(testutil.MakeDbtRun("a").Project("shop"))
	job, pod := w.begun(first)
	waiting := w.run(testutil.MakeDbtRun("b").Project("shop"))
	w.reaches(waiting, v1alpha1.ReasonQueued)
	last := w.run(testutil.MakeDbtRun("c").Project("shop"))
	w.reaches(last, v1alpha1.ReasonQueued)
	w.must(admin.Delete(t.Context(), waiting))
	w.must(admin.Delete(t.Context(), first))
	// The garbage collector would delete the Job, and with it the pod.
	w.must(admin.Delete(t.Context(), job, client.PropagationPolicy("Background")))
	if got := w.get(last).Status.Job; got != nil {
		t.Errorf("c began while the pod of a was alive")
	}
	w.kubelet.Delete(pod)
	invalid := w.run(testutil.MakeDbtRun("d").Project("shop").Command("dbt build '"))
	w.reaches(invalid, v1alpha1.ReasonInvalidSpec)
	w.begun(last)
}

// Kueue holds a Job suspended.
func TestSuspendedJobIsQueued(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop").Queue("team-a"))
	run := w.run(testutil.MakeDbtRun("a").Project("shop"))
	job := w.job(run)
	if got := job.Labels[v1alpha1.LabelQueue]; got != "team-a" {
		t.Errorf("queue label is %q", got)
	}
	suspend := func(yes bool) {
		base := job.DeepCopy()
		job.Spec.Suspend = &yes
		w.must(admin.Patch(t.Context(), job, client.MergeFrom(base)))
	}
	suspend(true)
	if got := w.reaches(run, v1alpha1.ReasonSuspended).Status.Phase; got != v1alpha1.PhaseQueued {
		t.Errorf("phase is %s", got)
	}
	suspend(false)
	pod := w.kubelet.Pod(job, "a-1")
	w.kubelet.Start(pod)
	w.reaches(run, v1alpha1.ReasonRunning)
}
