package controller

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/runstatus"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

var now = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

// whole is metadata with all that Kubernetes and users put there.
func whole() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: "x", Namespace: "ns", UID: "1", ResourceVersion: "7", GenerateName: "x-", Finalizers: []string{"f"},
		Labels:          map[string]string{v1alpha1.LabelRunUID: "u", v1alpha1.LabelGroup: "g", "batch.kubernetes.io/job-name": "j"},
		Annotations:     map[string]string{v1alpha1.AnnotationRun: "r", v1alpha1.AnnotationTTL: "60", "cni.example.com/ip": "10.0.0.1"},
		ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "m"}},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "j", UID: "2", Controller: ptr.To(true)}},
	}
}

func slimmed(annotations map[string]string) metav1.ObjectMeta {
	m := whole()
	m.GenerateName, m.Finalizers, m.ManagedFields = "", nil, nil
	m.Labels = map[string]string{v1alpha1.LabelRunUID: "u", v1alpha1.LabelGroup: "g"}
	m.Annotations = annotations
	return m
}

func TestCachedPodsAndJobsAreSlim(t *testing.T) {
	spec := corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "x"}}}}}
	end := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: "report"}}
	running := corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", ContainerStatuses: []corev1.ContainerStatus{{Name: "dbt", ContainerID: "c"}}}
	ended := corev1.PodStatus{
		Phase: corev1.PodFailed, Reason: "Evicted", Message: "low on memory", PodIP: "10.0.0.1",
		Conditions:        []corev1.PodCondition{{Type: corev1.PodReady}, {Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: "dbt", ContainerID: "c", ImageID: "i", State: end}},
	}
	short := corev1.PodStatus{
		Phase: corev1.PodFailed, Reason: "Evicted", Message: "low on memory",
		Conditions:        []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: "dbt", ImageID: "i", State: end}},
	}
	pod := slimmed(map[string]string{v1alpha1.AnnotationRun: "r"})
	for name, c := range map[string]struct {
		reason string
		slim   func(any) (any, error)
		object any
		want   any
	}{
		"running pod": {
			"any of its status may say why it does not get on", slimPod,
			&corev1.Pod{ObjectMeta: whole(), Spec: spec, Status: running},
			&corev1.Pod{ObjectMeta: pod, Spec: corev1.PodSpec{NodeName: "n"}, Status: running},
		},
		"ended pod": {
			"what its end was is all that is read", slimPod,
			&corev1.Pod{ObjectMeta: whole(), Spec: spec, Status: ended},
			&corev1.Pod{ObjectMeta: pod, Spec: corev1.PodSpec{NodeName: "n"}, Status: short},
		},
		"Job": {
			"its template is as large as all the rest", slimJob,
			&batchv1.Job{
				ObjectMeta: whole(), Spec: batchv1.JobSpec{Suspend: ptr.To(true), ActiveDeadlineSeconds: ptr.To[int64](9), Template: corev1.PodTemplateSpec{Spec: spec}},
				Status: batchv1.JobStatus{Succeeded: 1, Conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete}}},
			},
			&batchv1.Job{
				ObjectMeta: slimmed(map[string]string{v1alpha1.AnnotationTTL: "60"}), Spec: batchv1.JobSpec{Suspend: ptr.To(true), ActiveDeadlineSeconds: ptr.To[int64](9)},
				Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete}}},
			},
		},
		"mark of a pod deleted unseen": {"no object of theirs passes", slimPod, "x", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.slim(c.object)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestCachedSchedulesKeepTheirEdits(t *testing.T) {
	edited := metav1.NewTime(now)
	managed := metav1.ObjectMeta{Name: "x", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m", Time: &edited, FieldsV1: metav1.NewFieldsV1("{}")}}}
	schedule, err := slimSchedule(&v1alpha1.DbtSchedule{ObjectMeta: managed})
	if err != nil {
		t.Fatal(err)
	}
	managed.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m", Time: &edited}}
	if diff := cmp.Diff(&v1alpha1.DbtSchedule{ObjectMeta: managed}, schedule); diff != "" {
		t.Errorf("schedule (-want +got):\n%s", diff)
	}
}

// What the cache does not hold of a settled run, no pass writes: not when its pod and what is kept of it are still there,
// and not when its spec changes.
func TestWhatIsDroppedIsNeverWritten(t *testing.T) {
	report := journal.Report{Outcome: journal.Succeeded, Results: journal.Results{Success: 2}, Selected: 2, Finished: 2, Lineage: &journal.Lineage{Nodes: 2, Graph: []journal.GraphNode{{ID: "model.a"}}}}
	kept := &journal.Kept{
		Report: report, Done: true, LogTail: "last line", LogBytes: 9, Artifacts: []journal.Artifact{{Name: "lineage.json", SHA256: "a", Bytes: 1}, {Name: "manifest.json", SHA256: "b", Bytes: 1}},
		Attempts: []journal.AttemptState{{Pod: "a", Begin: now.UnixMilli(), Outcome: journal.Succeeded}},
	}
	for name, keeps := range map[string]bool{"with a collector": true, "without one": false} {
		t.Run(name, func(t *testing.T) {
			pod := testutil.MakePod("a").Exits(0, "Completed", now).Obj()
			pod.Status.ContainerStatuses[0].ImageID = "sha256:1"
			in := runstatus.Input{
				Run: testutil.MakeDbtRun("r").UID("u").Project("shop").Obj(), Job: testutil.MakeJob("r-1", "job").Annotate(v1alpha1.AnnotationProject, "shop").Annotate(v1alpha1.AnnotationProjectUID, "p").Obj(), Pods: []*corev1.Pod{pod},
				Reports: map[string]*journal.Report{"a": &report}, Keeps: keeps, Now: now,
				Truth: conditions.Truth{Status: "True", Reason: v1alpha1.ReasonSucceeded, Message: "Succeeded."}, Phase: v1alpha1.PhaseSucceeded,
			}
			if keeps {
				in.Kept = kept
			}
			in.Run.Status = runstatus.Compute(in)
			size := len(asJSON(t, in.Run))
			if _, err := slimRun(keeps, time.Now)(in.Run); err != nil {
				t.Fatal(err)
			}
			if in.Run.Status.Lineage == nil || in.Run.Status.Lineage.Graph != nil || len(asJSON(t, in.Run)) > size*3/4 {
				t.Fatalf("the run is not slim: %s", asJSON(t, in.Run))
			}
			// The first list does so, and then the informer.
			twice := in.Run.DeepCopy()
			if _, err := slimRun(keeps, time.Now)(twice); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(in.Run, twice); diff != "" {
				t.Errorf("made slim twice (-once +twice):\n%s", diff)
			}
			after := in.Run.DeepCopy()
			after.Status = runstatus.Compute(in)
			if diff := cmp.Diff(in.Run.Status, after.Status); diff != "" {
				t.Errorf("a pass writes (-before +after):\n%s", diff)
			}
			in.Run.Generation = 2
			after.Status = runstatus.Compute(in)
			patch, err := client.MergeFrom(in.Run).Data(after)
			if err != nil {
				t.Fatal(err)
			}
			var written struct{ Status map[string]any }
			if err := json.Unmarshal(patch, &written); err != nil {
				t.Fatal(err)
			}
			delete(written.Status, "conditions")
			delete(written.Status, "observedGeneration")
			if len(written.Status) > 0 {
				t.Errorf("a new generation writes %s", patch)
			}
		})
	}
}

// Of the artifacts of a settled run the manifest of a good one stays, with its digest: it can be a state.
func TestManifestsOfGoodRunsAreCached(t *testing.T) {
	project := testutil.MakeDbtProject("shop").UID("p").Obj()
	good := func() *testutil.RunWrapper {
		return testutil.MakeDbtRun("r").Good(project, "prod", "sha256:1", "s", now)
	}
	for name, c := range map[string]struct {
		run  *testutil.RunWrapper
		want []v1alpha1.Artifact
	}{
		"good":             {good(), []v1alpha1.Artifact{{Name: "manifest.json", Digest: "sha256:1"}}},
		"without manifest": {testutil.MakeDbtRun("r").Good(project, "prod", "", "s", now), nil},
		"another revision": {good().Revision("refs/pull/1/head"), nil},
		"only parsed":      {good().Command("dbt parse"), nil},
	} {
		run := c.run.Obj()
		if _, err := slimRun(true, time.Now)(run); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, run.Status.Artifacts); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got := GoodRunKeys(run); len(got) != map[bool]int{true: 1, false: 0}[c.want != nil || name == "without manifest"] {
			t.Errorf("%s: it is indexed by %q", name, got)
		}
	}
}

func TestRunsAtWorkAreWhole(t *testing.T) {
	run := testutil.MakeDbtRun("r").Job("j", "1").Truth(v1alpha1.PhaseRunning, "Unknown", v1alpha1.ReasonRunning, "Runs.").Obj()
	run.Status.Progress, run.Status.Attempts = &v1alpha1.Progress{Total: 2}, []v1alpha1.Attempt{{Pod: "a"}}
	want := run.DeepCopy()
	if _, err := slimRun(true, time.Now)(run); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, run); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func asJSON(t *testing.T, object any) string {
	t.Helper()
	b, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
