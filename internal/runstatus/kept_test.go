package runstatus_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/runstatus"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// kept is an input whose run has the Job r-1 and the pods, and of which the collector knows something.
func kept(in runstatus.Input, k *journal.Kept, pods ...*testutil.PodWrapper) runstatus.Input {
	in.Job = testutil.MakeJob("r-1", "job").Obj()
	in.Run.Namespace, in.Run.Name = "ns", "r"
	in.Keeps, in.Kept = true, k
	for _, p := range pods {
		in.Pods = append(in.Pods, p.Obj())
	}
	return in
}

func known(outcome journal.Outcome) *journal.Kept {
	return &journal.Kept{
		Report:   journal.Report{Outcome: outcome, Selected: 8, Finished: 5, Results: journal.Results{Success: 5}, Running: []string{"model.f"}},
		Attempts: []journal.AttemptState{{Pod: "a", Begin: now.UnixMilli(), Outcome: outcome}},
	}
}

func TestAvailable(t *testing.T) {
	stored := known(journal.NodesFailed)
	stored.Done, stored.LogTail, stored.LogBytes = true, "last line\n", 100
	stored.Artifacts = []journal.Artifact{{Name: "lineage.json", SHA256: strings.Repeat("a", 64), Bytes: 7}}
	stored.Report.Lineage = &journal.Lineage{Nodes: 1}
	broken := kept(failed(), nil, testutil.MakePod("a").Exits(10, "Error", now))
	broken.KeptErr = errors.New("disk full")
	for name, c := range map[string]struct {
		reason string
		in     runstatus.Input
		want   string
	}{
		"stored":          {"all is there", kept(failed(), stored, testutil.MakePod("a").Exits(10, "Error", now)), v1alpha1.ReasonStored},
		"uploading":       {"the pod is still there", kept(failed(), known(journal.NodesFailed), testutil.MakePod("a").Runs(now)), v1alpha1.ReasonUploading},
		"incomplete":      {"the pod ended before it could", kept(failed(), known(journal.NodesFailed), testutil.MakePod("a").Exits(10, "Error", now)), v1alpha1.ReasonIncomplete},
		"away":            {"nothing reached the collector", kept(failed(), nil, testutil.MakePod("a").Exits(10, "Error", now)), v1alpha1.ReasonCollectorUnreachable},
		"cannot be read":  {"the store is broken", broken, v1alpha1.ReasonCollectorUnreachable},
		"no collector":    {"nothing to say", failed(), ""},
		"still at work":   {"nothing to say yet", kept(running(), known(""), testutil.MakePod("a").Runs(now)), ""},
		"never had a Job": {"nothing to keep", func() runstatus.Input { in := kept(failed(), nil); in.Job = nil; return in }(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := runstatus.Compute(c.in)
			reason := ""
			if found := meta.FindStatusCondition(got.Conditions, v1alpha1.ConditionResultsAvailable); found != nil {
				reason = found.Reason
			}
			if reason != c.want {
				t.Errorf("%s: reason %q, want %q", c.reason, reason, c.want)
			}
		})
	}
	got := runstatus.Compute(kept(failed(), stored, testutil.MakePod("a").Exits(10, "Error", now)))
	want := []v1alpha1.Artifact{{Name: "lineage.json", Digest: "sha256:" + strings.Repeat("a", 64), Bytes: 7, URI: "/v1/runs/ns/r/artifacts/lineage.json"}}
	if diff := cmp.Diff(want, got.Artifacts) + cmp.Diff(&v1alpha1.Log{Tail: "last line\n", URI: "/v1/runs/ns/r/log", Bytes: 100}, got.Log); diff != "" {
		t.Error(diff)
	}
	if got.Lineage == nil || got.Lineage.Artifact != "lineage.json" {
		t.Errorf("lineage is %v", got.Lineage)
	}
}

// What arrives after the end is recorded; the end itself stays.
func TestResultsAfterTheEnd(t *testing.T) {
	first := kept(failed(), known(journal.NodesFailed), testutil.MakePod("a").Runs(now))
	over := first
	over.Run = first.Run.DeepCopy()
	over.Run.Status = runstatus.Compute(first)
	over.Kept = known(journal.NodesFailed)
	over.Kept.Done = true
	over.Kept.Report.Results.Success = 99
	got := runstatus.Compute(over)
	if c := meta.FindStatusCondition(got.Conditions, v1alpha1.ConditionResultsAvailable); c == nil || c.Reason != v1alpha1.ReasonStored {
		t.Errorf("condition is %v", c)
	}
	if got.Results.Success != 5 {
		t.Errorf("results changed after the end: %v", got.Results)
	}
	over.Run.Status, over.Kept = got, nil
	if c := meta.FindStatusCondition(runstatus.Compute(over).Conditions, v1alpha1.ConditionResultsAvailable); c.Reason != v1alpha1.ReasonStored {
		t.Errorf("retention took back what was recorded: %v", c)
	}
}

func TestWhatIsReportedCounts(t *testing.T) {
	own := &journal.Report{Outcome: journal.NodesFailed, Results: journal.Results{Error: 1}, Selected: 8, Finished: 8}
	for name, c := range map[string]struct {
		reason string
		in     runstatus.Input
		said   string
		want   string
	}{
		"progress":        {"nobody else knows", kept(running(), known(""), testutil.MakePod("a").Runs(now)), "", "5/8"},
		"both":            {"the journal holds more", kept(failed(), known(journal.NodesFailed), testutil.MakePod("a").Exits(10, "Error", now)), "a", "5/8"},
		"away at the end": {"the pod's last words come after what the journal has", kept(failed(), known(""), testutil.MakePod("a").Exits(10, "Error", now)), "a", "8/8"},
		"next pod away":   {"the next pod never reached the collector", kept(failed(), known(""), testutil.MakePod("a").Exits(137, "", now), testutil.MakePod("b").Exits(10, "Error", now)), "b", "8/8"},
		"next pod at work": {"what the lost pod said is old", func() runstatus.Input {
			in := kept(running(), known(""), testutil.MakePod("0").Exits(21, "", now), testutil.MakePod("a").Runs(now))
			in.Kept.Attempts = append([]journal.AttemptState{{Pod: "0", Outcome: journal.Interrupted}}, in.Kept.Attempts...)
			return in
		}(), "0", "5/8"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.said != "" {
				c.in.Reports[c.said] = own
			}
			if got := runstatus.Compute(c.in); got.Nodes != c.want {
				t.Errorf("%s: nodes %s, want %s", c.reason, got.Nodes, c.want)
			}
		})
	}
	got := runstatus.Compute(kept(running(), known(""), testutil.MakePod("a").Runs(now)))
	if diff := cmp.Diff(&v1alpha1.Progress{Total: 8, Done: 5, Running: []string{"model.f"}}, got.Progress); diff != "" {
		t.Error(diff)
	}
}

// The pod of a run that is over by its report is an attempt that ended, though kubelet has not said anything of it.
func TestAttemptByItsReport(t *testing.T) {
	in := kept(failed(), known(journal.NodesFailed), testutil.MakePod("a").Node("n"))
	in.Reports["a"] = &in.Kept.Report
	got := runstatus.Compute(in).Attempts
	if len(got) != 1 || got[0].Reason != "NodesFailed" || got[0].EndTime == nil || got[0].StartTime == nil || *got[0].ExitCode != 10 {
		t.Errorf("attempts are %+v", got)
	}
}
