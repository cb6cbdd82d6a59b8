package integration

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// said returns the termination message of a runner.
func said(run *v1alpha1.DbtRun, outcome journal.Outcome, change ...func(*journal.Report)) string {
	r := journal.Report{
		RunUID: string(run.UID), Outcome: outcome, Source: strings.Repeat("a", 40), Dbt: "1.11.16", Adapter: "duckdb=1.11.1",
		Commands: []journal.Command{{Command: "build", InvocationID: "i-1", Start: 1795480000000, End: 1795480010000}},
		Selected: 3, Finished: 3, Results: journal.Results{Success: 3},
		Slowest: []journal.NodeTime{{UniqueID: "model.shop.orders", Seconds: 1.5}},
		Lineage: &journal.Lineage{
			Nodes: 2, Edges: 1, Inputs: []string{"raw.orders"}, Outputs: []string{"main.orders"},
			Graph: []journal.GraphNode{{ID: "source.shop.raw.orders", Relation: "raw.orders"}, {ID: "model.shop.orders", Relation: "main.orders", DependsOn: []string{"source.shop.raw.orders"}}},
		},
	}
	for _, c := range change {
		c(&r)
	}
	return string(journal.Encode(r, journal.MaxSummary))
}

// budget checks that a run cost at most six writes and six events, and that all of them were allowed.
func (w *world) budget(run *v1alpha1.DbtRun) {
	w.Helper()
	if writes := w.wire.count(); len(writes) > 6 {
		w.Errorf("%d writes, want at most 6:\n%s", len(writes), strings.Join(writes, "\n"))
	}
	n := 0
	for _, e := range w.events(run) {
		n++
		if e.Series != nil {
			n += int(e.Series.Count) - 1
		}
		if e.Message == "" || e.Reason == "" {
			w.Errorf("event without a message or reason: %v", e)
		}
	}
	if n > 6 {
		w.Errorf("%d events, want at most 6", n)
	}
}

func TestRunSucceeds(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	run := w.run(testutil.MakeDbtRun("nightly").Project("shop"))
	job := w.job(run)
	if got := w.get(run).Status.Phase; got != v1alpha1.PhasePending {
		t.Errorf("phase before the pod starts is %s", got)
	}
	pod := w.kubelet.Pod(job, "nightly-1")
	w.kubelet.Schedule(pod, "node-1")
	w.kubelet.Waiting(pod, "ContainerCreating", "")
	w.kubelet.Start(pod)
	if got := w.reaches(run, v1alpha1.ReasonRunning).Status.Phase; got != v1alpha1.PhaseRunning {
		t.Errorf("phase while dbt runs is %s", got)
	}
	w.kubelet.End(pod, testutil.Exit{Message: said(run, journal.Succeeded)})
	done := w.reaches(run, v1alpha1.ReasonSucceeded)
	w.kubelet.CompleteJob(job)

	s := done.Status
	if s.Phase != v1alpha1.PhaseSucceeded || s.Nodes != "3/3" || s.StartTime == nil || s.CompletionTime == nil || s.Duration == "" {
		t.Errorf("status is %+v", s)
	}
	if diff := cmp.Diff(&v1alpha1.Revision{
		Source: strings.Repeat("a", 40), Image: pod.Status.ContainerStatuses[0].ImageID, Dbt: "1.11.16", Adapter: "duckdb=1.11.1",
	}, s.Revision); diff != "" {
		t.Errorf("revision (-want +got):\n%s", diff)
	}
	if s.Lineage == nil || len(s.Lineage.Graph) != 2 || s.Lineage.Inputs[0] != "raw.orders" {
		t.Errorf("lineage is %+v", s.Lineage)
	}
	if s.Project.Name != "shop" || s.Project.Generation != 1 {
		t.Errorf("project is %+v", s.Project)
	}
	if len(s.Attempts) != 1 || s.Attempts[0].Pod != "nightly-1" || s.Attempts[0].Node != "node-1" || s.Attempts[0].Reason != "Succeeded" {
		t.Errorf("attempts are %+v", s.Attempts)
	}
	kinds := map[string]metav1.ConditionStatus{}
	for _, c := range s.Conditions {
		kinds[c.Type] = c.Status
	}
	if diff := cmp.Diff(map[string]metav1.ConditionStatus{"Succeeded": "True", "Ready": "True"}, kinds); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	w.budget(run)
	w.table(run)
}

// table checks what kubectl get prints.
func (w *world) table(run *v1alpha1.DbtRun) {
	w.Helper()
	cfg := rest.CopyConfig(config)
	cfg.GroupVersion, cfg.APIPath = &v1alpha1.GroupVersion, "/apis"
	cfg.NegotiatedSerializer = codecs.WithoutConversion()
	c, err := rest.RESTClientFor(cfg)
	w.must(err)
	raw, err := c.Get().Namespace(w.ns).Resource("dbtruns").Name(run.Name).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(w.Context()).Raw()
	w.must(err)
	var table metav1.Table
	w.must(json.Unmarshal(raw, &table))
	got := map[string]any{}
	for i, c := range table.ColumnDefinitions {
		got[c.Name] = table.Rows[0].Cells[i]
	}
	for _, name := range []string{"Age", "Duration", "Message"} {
		if got[name] == nil || got[name] == "" {
			w.Errorf("column %s is empty", name)
		}
		delete(got, name)
	}
	want := map[string]any{
		"Name": run.Name, "Project": "shop", "Status": "Succeeded", "Nodes": "3/3", "Failed": float64(0), "Revision": strings.Repeat("a", 40), "Requester": "admin",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("columns (-want +got):\n%s", diff)
	}
}

func TestRunFails(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	run := w.run(testutil.MakeDbtRun("red").Project("shop"))
	job, pod := w.begun(run)
	w.kubelet.End(pod, testutil.Exit{Code: journal.ExitNodesFailed, Message: said(run, journal.NodesFailed, func(r *journal.Report) {
		r.Message = "1 of 3 nodes failed: model.shop.orders (error)"
		r.Results = journal.Results{Success: 2, Error: 1}
		r.Failures = []journal.Failure{{UniqueID: "model.shop.orders", ResourceType: "model", Status: "error", Message: "division by zero", Path: "models/orders.sql"}}
	})})
	done := w.reaches(run, v1alpha1.ReasonNodesFailed)
	w.kubelet.FailJob(job, "PodFailurePolicy", "Container dbt failed with exit code 10")
	if *done.Status.FailedNodes != 1 || done.Status.Failures[0].Message != "division by zero" || !strings.Contains(done.Status.Message, "1 of 3 nodes failed") {
		t.Errorf("status is %+v", done.Status)
	}
	var failed v1alpha1.DbtRunList
	w.must(admin.List(t.Context(), &failed, client.InNamespace(w.ns), client.MatchingFields{"status.phase": "Failed"}))
	if len(failed.Items) != 1 || failed.Items[0].Name != "red" {
		t.Errorf("status.phase=Failed selects %d runs", len(failed.Items))
	}
	w.must(admin.List(t.Context(), &failed, client.InNamespace(w.ns), client.MatchingFields{"status.phase": "Running"}))
	if len(failed.Items) != 0 {
		t.Errorf("status.phase=Running selects %d runs", len(failed.Items))
	}
	w.budget(run)
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	run := w.run(testutil.MakeDbtRun("stopped").Project("shop"))
	job, pod := w.begun(run)
	w.edit(run, func(r *v1alpha1.DbtRun) { testutil.Cancel(r) })
	w.reaches(run, v1alpha1.ReasonCancelling)
	w.stopped(job, pod)
	done := w.reaches(run, v1alpha1.ReasonCancelled)
	if done.Status.Phase != v1alpha1.PhaseCancelled || !strings.Contains(done.Status.Message, "spec.cancel") {
		t.Errorf("status is %+v", done.Status)
	}
	w.budget(run)
}

func TestCancelBeforeItBegins(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	run := w.run(testutil.MakeDbtRun("never").Project("shop").Cancel())
	w.reaches(run, v1alpha1.ReasonCancelled)
	var jobs batchv1.JobList
	w.must(admin.List(t.Context(), &jobs, client.InNamespace(w.ns)))
	if len(jobs.Items) != 0 {
		t.Errorf("%d Jobs were made for a run that was cancelled at creation", len(jobs.Items))
	}
}

func TestTimeout(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	run := w.run(testutil.MakeDbtRun("slow").Project("shop").Timeout(60))
	job, pod := w.begun(run)
	if got := *job.Spec.ActiveDeadlineSeconds; got != 60 {
		t.Errorf("activeDeadlineSeconds is %d", got)
	}
	w.kubelet.FailTarget(job, batchv1.JobReasonDeadlineExceeded, "Job was active longer than specified deadline")
	if got := w.says(run, "is being stopped").Status.Phase; got != v1alpha1.PhaseRunning {
		t.Errorf("phase while the pod stops is %s", got)
	}
	w.kubelet.End(pod, testutil.Exit{Code: journal.ExitInterrupted, Message: said(run, journal.Interrupted)})
	done := w.reaches(run, v1alpha1.ReasonTimedOut)
	if !strings.Contains(done.Status.Message, "timeoutSeconds of 60") {
		t.Errorf("message is %q", done.Status.Message)
	}
	w.budget(run)
}

func TestStartTimeout(t *testing.T) {
	for name, c := range map[string]struct {
		reason  string
		waits   func(*world, *v1alpha1.DbtRun) *batchv1.Job
		message string
		want    string
	}{
		"image pull": {"kubelet says so", func(w *world, run *v1alpha1.DbtRun) *batchv1.Job {
			job := w.job(run)
			w.kubelet.Waiting(w.kubelet.Pod(job, "p"), "ImagePullBackOff", "Back-off pulling image: not found")
			return job
		}, "Image registry.example.com/dbt:1.11 cannot be pulled: Back-off pulling image: not found.", v1alpha1.ReasonImagePullFailed},
		"unschedulable": {"the scheduler says so", func(w *world, run *v1alpha1.DbtRun) *batchv1.Job {
			job := w.job(run)
			w.kubelet.Unschedulable(w.kubelet.Pod(job, "p"), "0/1 nodes are available: 1 Insufficient cpu.")
			return job
		}, "No node fits the pod: 0/1 nodes are available: 1 Insufficient cpu.", v1alpha1.ReasonStartTimeout},
		"secret missing": {"kubelet says so of the container", func(w *world, run *v1alpha1.DbtRun) *batchv1.Job {
			job := w.job(run)
			w.kubelet.Waiting(w.kubelet.Pod(job, "p"), "CreateContainerConfigError", `secret "warehouse" not found`)
			return job
		}, `secret "warehouse" not found`, v1alpha1.ReasonStartTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			t.Log(c.reason)
			w.project(testutil.MakeDbtProject("shop"))
			run := w.run(testutil.MakeDbtRun("stuck").Project("shop").StartTimeout(300))
			job := c.waits(w, run)
			if got := w.says(run, c.message).Status.Phase; got != v1alpha1.PhasePending {
				t.Errorf("phase is %s", got)
			}
			w.clock.step(301 * time.Second)
			w.touch(run)
			done := w.reaches(run, c.want)
			if !strings.Contains(done.Status.Message, c.message) {
				t.Errorf("message is %q", done.Status.Message)
			}
			w.stopped(job)
			w.budget(run)
		})
	}
}
