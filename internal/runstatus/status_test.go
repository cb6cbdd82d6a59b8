package runstatus_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
	"github.com/dbt-operator/dbt-operator/internal/runstatus"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

var now = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

func input(phase v1alpha1.Phase, status metav1.ConditionStatus, reason string) runstatus.Input {
	run := testutil.MakeDbtRun("r").UID("run").Project("shop").Obj()
	run.Generation = 2
	return runstatus.Input{
		Run: run, Resolved: &runjob.Resolved{Name: "shop", Generation: 7}, Now: now, Phase: phase,
		Truth: conditions.Truth{Status: status, Reason: reason, Message: "A sentence."}, Reports: map[string]*journal.Report{},
	}
}

func failed() runstatus.Input {
	return input(v1alpha1.PhaseFailed, metav1.ConditionFalse, v1alpha1.ReasonNodesFailed)
}

func running() runstatus.Input {
	return input(v1alpha1.PhaseRunning, metav1.ConditionUnknown, v1alpha1.ReasonRunning)
}

func pods(list ...*testutil.PodWrapper) []*corev1.Pod {
	var out []*corev1.Pod
	for _, p := range list {
		out = append(out, p.Obj())
	}
	return out
}

// What a run is made of, and whose manifest it has, is what its Job says, whatever the project says by now.
func TestStateIsPinnedByTheJob(t *testing.T) {
	in := running()
	in.Resolved.State = &v1alpha1.StateStatus{Target: "prod", Run: "newer"}
	in.Job = testutil.MakeJob("r-1", "job").Annotate(v1alpha1.AnnotationProject, "shop").Annotate(v1alpha1.AnnotationProjectUID, "p").
		Annotate(v1alpha1.AnnotationTarget, "ci").Annotate(v1alpha1.AnnotationSourceDigest, "s").
		Annotate(v1alpha1.AnnotationState, `{"target":"prod","run":"nightly","uid":"n","manifestDigest":"sha256:1"}`).Obj()
	got := runstatus.Compute(in)
	if diff := cmp.Diff(&v1alpha1.StateStatus{Target: "prod", Run: "nightly", UID: "n", ManifestDigest: "sha256:1"}, got.State); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&v1alpha1.ProjectStatus{Name: "shop", UID: "p", Target: "ci", SourceDigest: "s"}, got.Project); diff != "" {
		t.Errorf("project (-want +got):\n%s", diff)
	}
	in.Run.Status = got
	in.Job.Annotations[v1alpha1.AnnotationState] = "{"
	if again := runstatus.Compute(in); again.State == nil || again.State.Run != "nightly" {
		t.Errorf("an annotation that somebody spoiled took it away: %+v", again.State)
	}
	in.Job = nil
	if again := runstatus.Compute(in); again.State == nil || again.State.Run != "nightly" {
		t.Errorf("with its Job gone it has %+v", again.State)
	}
	in = failed()
	in.Resolved.State = &v1alpha1.StateStatus{Target: "prod", Message: "There is none."}
	if got := runstatus.Compute(in); got.State == nil || got.State.Message != "There is none." {
		t.Errorf("a run that never began says nothing of it: %+v", got.State)
	}
}

func TestComputeWholeStatus(t *testing.T) {
	in := failed()
	in.Job = testutil.MakeJob("r-1", "job").Annotate(v1alpha1.AnnotationProject, "shop").Annotate(v1alpha1.AnnotationProjectGeneration, "3").Annotate(v1alpha1.AnnotationTTL, "60").Obj()
	in.Pods = pods(testutil.MakePod("a").Node("n").Exits(137, "OOMKilled", ago(time.Hour)), testutil.MakePod("b").Node("m").Exits(10, "Error", ago(time.Second)))
	in.Reports["b"] = &journal.Report{
		Outcome: journal.NodesFailed, Source: strings.Repeat("a", 40), Dbt: "1.11.16", Adapter: "duckdb=1.11.1",
		Commands: []journal.Command{{Command: "build", InvocationID: "i", Start: 1000, End: 2000, ExitCode: 1}, {Command: "test", Start: 3000}},
		Selected: 3, Finished: 2, Results: journal.Results{Success: 1, Fail: 1, Error: 2, Skipped: 1},
		Failures: []journal.Failure{{UniqueID: "model.a", ResourceType: "model", Status: "error", Message: "m", Path: "p"}},
		Slowest:  []journal.NodeTime{{UniqueID: "model.a", Seconds: 1.5}},
		Lineage:  &journal.Lineage{Nodes: 2, Edges: 1, Inputs: []string{"i"}, Outputs: []string{"o"}, Graph: []journal.GraphNode{{ID: "model.a", Relation: "o", DependsOn: []string{"x"}}}},
	}
	at := func(t time.Time) *metav1.Time { return &metav1.Time{Time: t} }
	condition := func(kind string, status metav1.ConditionStatus) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: "NodesFailed", Message: "A sentence.", ObservedGeneration: 2, LastTransitionTime: metav1.NewTime(now)}
	}
	before := in.Run.DeepCopy()
	want := v1alpha1.DbtRunStatus{
		Phase: "Failed", ObservedGeneration: 2, Message: "A sentence.",
		Conditions: []metav1.Condition{condition("Succeeded", "False"), condition("Ready", "False"), condition("Stalled", "True")},
		StartTime:  at(ago(time.Hour + time.Minute)), CompletionTime: at(ago(time.Second)), DurationSeconds: testutil.Ptr[int64](3659), Duration: "1h0m59s",
		Nodes: "2/3", FailedNodes: testutil.Ptr[int32](3),
		Project: &v1alpha1.ProjectStatus{Name: "shop", Generation: 3, TTLSecondsAfterFinished: testutil.Ptr[int64](60)}, Job: &v1alpha1.JobReference{Name: "r-1", UID: "job"},
		Revision: &v1alpha1.Revision{Source: strings.Repeat("a", 40), Image: "dbt@sha256:1", Dbt: "1.11.16", Adapter: "duckdb=1.11.1"},
		Attempts: []v1alpha1.Attempt{
			{Pod: "a", Node: "n", StartTime: at(ago(time.Hour + time.Minute)), EndTime: at(ago(time.Hour)), ExitCode: testutil.Ptr[int32](137), Reason: "OutOfMemory"},
			{Pod: "b", Node: "m", StartTime: at(ago(time.Minute + time.Second)), EndTime: at(ago(time.Second)), ExitCode: testutil.Ptr[int32](10), Reason: "NodesFailed"},
		},
		Commands: []v1alpha1.CommandStatus{
			{Command: "build", InvocationID: "i", StartTime: at(time.Unix(1, 0).UTC()), EndTime: at(time.Unix(2, 0).UTC()), ExitCode: testutil.Ptr[int32](1)},
			{Command: "test", StartTime: at(time.Unix(3, 0).UTC())},
		},
		Progress: &v1alpha1.Progress{Total: 3, Done: 2},
		Results:  &v1alpha1.Results{Success: 1, Fail: 1, Error: 2, Skipped: 1},
		Failures: []v1alpha1.Failure{{UniqueID: "model.a", ResourceType: "model", Status: "error", Message: "m", Path: "p"}},
		Slowest:  []v1alpha1.NodeDuration{{UniqueID: "model.a", Seconds: "1.500"}},
		Lineage:  &v1alpha1.Lineage{Nodes: 2, Edges: 1, Inputs: []string{"i"}, Outputs: []string{"o"}, Graph: []v1alpha1.LineageNode{{ID: "model.a", Relation: "o", DependsOn: []string{"x"}}}},
	}
	got := runstatus.Compute(in)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, in.Run); diff != "" {
		t.Errorf("the input was changed:\n%s", diff)
	}
}

func TestCompute(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		in     func() runstatus.Input
		check  func(v1alpha1.DbtRunStatus) string
	}{
		"over is final": {"a late cancel changes the generation alone", func() runstatus.Input {
			in := failed()
			in.Run.Status = v1alpha1.DbtRunStatus{Phase: "Failed", CompletionTime: &metav1.Time{Time: ago(time.Hour)}, Nodes: "1/2"}
			in.Pods = pods(testutil.MakePod("late").Exits(0, "", now))
			return in
		}, func(s v1alpha1.DbtRunStatus) string {
			return cmp.Diff(v1alpha1.DbtRunStatus{Phase: "Failed", CompletionTime: &metav1.Time{Time: ago(time.Hour)}, Nodes: "1/2", ObservedGeneration: 2, Message: "A sentence.", Conditions: s.Conditions}, s)
		}},
		"waiting pod": {"no attempt yet: it costs no write", func() runstatus.Input {
			in := running()
			in.Pods = pods(testutil.MakePod("a").Node("n").Waits("ContainerCreating", ""))
			return in
		}, func(s v1alpha1.DbtRunStatus) string { return cmp.Diff(0, len(s.Attempts)) }},
		"pod gone": {"it is remembered, as deleted", func() runstatus.Input {
			in := running()
			in.Run.Status.Attempts = []v1alpha1.Attempt{{Pod: "a", Node: "n"}}
			return in
		}, func(s v1alpha1.DbtRunStatus) string {
			return cmp.Diff([]v1alpha1.Attempt{{Pod: "a", Node: "n", Reason: "Deleted", EndTime: &metav1.Time{Time: now}}}, s.Attempts)
		}},
		"newest five": {"bounded", func() runstatus.Input {
			in := running()
			for i := range 7 {
				in.Pods = append(in.Pods, testutil.MakePod(fmt.Sprint("p", i)).Exits(1, "Error", ago(time.Hour)).Obj())
			}
			return in
		}, func(s v1alpha1.DbtRunStatus) string {
			return cmp.Diff([]string{"p2", "p6"}, []string{s.Attempts[0].Pod, s.Attempts[4].Pod}) + cmp.Diff(5, len(s.Attempts))
		}},
		"image is pinned": {"the first pod's digest stays", func() runstatus.Input {
			in := running()
			in.Run.Status.Revision = &v1alpha1.Revision{Image: "dbt@sha256:0"}
			in.Pods = pods(testutil.MakePod("a").Runs(now))
			return in
		}, func(s v1alpha1.DbtRunStatus) string { return cmp.Diff("dbt@sha256:0", s.Revision.Image) }},
		"end without a pod": {"a next pod that never started: the end is now, not the last pod's", func() runstatus.Input {
			in := input("Failed", "False", v1alpha1.ReasonStartTimeout)
			in.Pods = pods(testutil.MakePod("a").Exits(137, "OOMKilled", ago(time.Hour)), testutil.MakePod("b").Unschedulable("x"))
			return in
		}, func(s v1alpha1.DbtRunStatus) string { return cmp.Diff(now, s.CompletionTime.Time) }},
		"clock behind": {"a node's clock is ahead of ours: no negative duration", func() runstatus.Input {
			in := failed()
			in.Run.Status.StartTime = &metav1.Time{Time: now.Add(time.Hour)}
			return in
		}, func(s v1alpha1.DbtRunStatus) string { return cmp.Diff(int64(0), *s.DurationSeconds) }},
		"no project": {"its name is known all the same", func() runstatus.Input {
			in := failed()
			in.Resolved = nil
			return in
		}, func(s v1alpha1.DbtRunStatus) string {
			return cmp.Diff(&v1alpha1.ProjectStatus{Name: "shop"}, s.Project)
		}},
		"broken annotation": {"fault 20", func() runstatus.Input {
			in := running()
			in.Job = testutil.MakeJob("j", "u").Annotate(v1alpha1.AnnotationProject, "shop").Annotate(v1alpha1.AnnotationProjectGeneration, "-5").Annotate(v1alpha1.AnnotationTTL, "soon").Obj()
			return in
		}, func(s v1alpha1.DbtRunStatus) string {
			return cmp.Diff(&v1alpha1.ProjectStatus{Name: "shop"}, s.Project)
		}},
		"large generation": {"it has 64 bits", func() runstatus.Input {
			in := running()
			in.Job = testutil.MakeJob("j", "u").Annotate(v1alpha1.AnnotationProject, "shop").Annotate(v1alpha1.AnnotationProjectGeneration, "3000000000").Obj()
			return in
		}, func(s v1alpha1.DbtRunStatus) string {
			return cmp.Diff(&v1alpha1.ProjectStatus{Name: "shop", Generation: 3e9}, s.Project)
		}},
		"overflow": {"the CRD refuses negative counts, and so would end the run's updates", func() runstatus.Input {
			in := failed()
			in.Pods = pods(testutil.MakePod("a").Exits(10, "Error", now))
			in.Reports["a"] = &journal.Report{Results: journal.Results{Fail: math.MaxInt32, Error: math.MaxInt32, Success: -1}, Selected: -1}
			return in
		}, func(s v1alpha1.DbtRunStatus) string {
			return cmp.Diff(int32(math.MaxInt32), *s.FailedNodes) + cmp.Diff(int32(0), s.Results.Success)
		}},
		"wild times": {"what is no RFC 3339 time is no time", func() runstatus.Input {
			in := failed()
			in.Pods = pods(testutil.MakePod("a").Exits(10, "Error", now))
			in.Reports["a"] = &journal.Report{Commands: []journal.Command{{Start: -1, End: math.MaxInt64}}}
			return in
		}, func(s v1alpha1.DbtRunStatus) string {
			if s.Commands[0].StartTime != nil || s.Commands[0].EndTime != nil {
				return fmt.Sprintf("times are %v", s.Commands[0])
			}
			return ""
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := c.check(runstatus.Compute(c.in())); diff != "" {
				t.Errorf("%s:\n%s", c.reason, diff)
			}
		})
	}
}

// Whatever a pod reports, a status is at most 32 KiB, and what matters most stays.
func TestStatusIsBounded(t *testing.T) {
	for name, fill := range map[string]string{"plain": "x", "escaped sixfold": "<", "wide": "…", "invalid": "\xff"} {
		t.Run(name, func(t *testing.T) {
			long := strings.Repeat(fill, 5000)
			r := &journal.Report{Source: long, Dbt: long, Adapter: long, Results: journal.Results{Error: 10}, Selected: 2000, Finished: 2000, Lineage: &journal.Lineage{Nodes: 2000, Edges: 4000}}
			for range 2000 {
				r.Commands = append(r.Commands, journal.Command{Command: long, InvocationID: long, Start: 1000, End: 2000})
				r.Failures = append(r.Failures, journal.Failure{UniqueID: long, ResourceType: long, Status: long, Message: long, Path: long})
				r.Slowest = append(r.Slowest, journal.NodeTime{UniqueID: long, Seconds: math.Inf(1)})
				r.Lineage.Inputs = append(r.Lineage.Inputs, long)
				r.Lineage.Outputs = append(r.Lineage.Outputs, long)
				r.Lineage.Graph = append(r.Lineage.Graph, journal.GraphNode{ID: long, Relation: long, DependsOn: []string{long}})
			}
			in := failed()
			in.Truth.Message = strings.ToValidUTF8(strings.Repeat(fill, 1900), "")
			for i := range 5 {
				in.Pods = append(in.Pods, testutil.MakePod(strings.Repeat("p", 250)+fmt.Sprint(i)).Node(strings.Repeat("n", 253)).Exits(10, "Error", now).Obj())
			}
			in.Reports[in.Pods[4].Name] = r
			got := runstatus.Compute(in)
			b, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) > 32<<10 {
				t.Errorf("the status has %d bytes", len(b))
			}
			if got.Lineage == nil || !got.Lineage.Truncated || got.Results.Error != 10 || len(got.Failures) == 0 || len(got.Attempts) != 5 {
				t.Errorf("what matters was lost: %d failures, %d attempts, lineage %v", len(got.Failures), len(got.Attempts), got.Lineage)
			}
		})
	}
}
