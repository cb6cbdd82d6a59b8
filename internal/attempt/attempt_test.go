package attempt_test

import (
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/attempt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

var now = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

func TestLossAndReason(t *testing.T) {
	pod := func() *testutil.PodWrapper { return testutil.MakePod("a") }
	for name, c := range map[string]struct {
		reason  string
		pod     *testutil.PodWrapper
		report  *journal.Report
		loss    string
		message string
		word    string
	}{
		"out of memory":      {"kubelet says so", pod().Exits(137, "OOMKilled", now), nil, v1alpha1.ReasonOutOfMemory, "ran out of memory", "OutOfMemory"},
		"evicted":            {"the node was full", pod().Exits(137, "Error", now).Because("Evicted", "low on memory"), nil, v1alpha1.ReasonPodLost, "Pod a was evicted: low on memory.", "Evicted"},
		"disrupted":          {"a drain", pod().Exits(143, "Error", now).Disrupted("Eviction API: evicting"), nil, v1alpha1.ReasonPodLost, "Pod a was evicted: Eviction API: evicting.", "Evicted"},
		"deleted":            {"by hand", pod().Exits(143, "Error", now).Deleted(now), nil, v1alpha1.ReasonPodLost, "Pod a was stopped by someone else", "Deleted"},
		"interrupted":        {"the runner was told to stop", pod().Exits(21, "Error", now), &journal.Report{Outcome: journal.Interrupted}, v1alpha1.ReasonPodLost, "Pod a was stopped by someone else", "Interrupted"},
		"source unavailable": {"the git server is away", pod().Exits(20, "Error", now), &journal.Report{Outcome: journal.SourceUnavailable, Message: "no route to git.example.com"}, v1alpha1.ReasonSourceFailed, "no route to git.example.com.", "SourceUnavailable"},
		"cannot start":       {"the image has no such command", pod().Exits(128, "StartError", now).Says("exec: no such file"), nil, v1alpha1.ReasonPodLost, "could not start its container: exec: no such file.", "PodLost"},
		"killed":             {"the last line is better than nothing", pod().Exits(137, "Error", now).Says("one\ntwo\x1b[31m\n"), nil, v1alpha1.ReasonPodLost, "exit code 137 and no report; its last line was: two", "PodLost"},
		"no account":         {"its node is gone", pod().Because("NodeLost", ""), nil, v1alpha1.ReasonPodLost, "Pod a was lost: NodeLost.", ""},
		"nothing known":      {"not even a reason", pod(), nil, v1alpha1.ReasonPodLost, "its node gave no account of it.", ""},
		"succeeded":          {"no report", pod().Exits(0, "Completed", now), nil, v1alpha1.ReasonPodLost, "", "Succeeded"},
		"said no":            {"dbt's word", pod().Exits(10, "Error", now), &journal.Report{Outcome: journal.NodesFailed}, v1alpha1.ReasonPodLost, "", "NodesFailed"},
		"runs":               {"it has not ended", pod().Runs(now), nil, v1alpha1.ReasonPodLost, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			reason, message := attempt.Loss(c.pod.Obj(), c.report)
			if reason != c.loss || !strings.Contains(message, c.message) {
				t.Errorf("%s: loss is %s %q, want %s %q", c.reason, reason, message, c.loss, c.message)
			}
			if got := attempt.Reason(c.pod.Obj(), c.report); got != c.word {
				t.Errorf("%s: reason is %q, want %q", c.reason, got, c.word)
			}
		})
	}
}

func TestFinalCode(t *testing.T) {
	for name, c := range map[string]struct {
		reason    string
		pod       *testutil.PodWrapper
		code      int32
		container string
		final     bool
	}{
		"dbt said no":    {"another pod would end the same way", testutil.MakePod("a").Exits(10, "Error", now), 10, "dbt", true},
		"prepare":        {"a branch that does not exist", testutil.MakePod("a").InitExits("prepare", 12, ""), 12, "prepare", true},
		"unavailable":    {"another pod may get through", testutil.MakePod("a").InitExits("prepare", 20, ""), 0, "", false},
		"succeeded":      {"no answer of this kind", testutil.MakePod("a").Exits(0, "", now), 0, "", false},
		"killed":         {"no answer", testutil.MakePod("a").Exits(137, "OOMKilled", now), 0, "", false},
		"runs":           {"no answer yet", testutil.MakePod("a").Runs(now), 0, "", false},
		"nothing at all": {"no container yet", testutil.MakePod("a"), 0, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			code, container, ok := attempt.FinalCode(c.pod.Obj(), nil)
			if code != c.code || container != c.container || ok != c.final {
				t.Errorf("%s: got %d of %q, %t", c.reason, code, container, ok)
			}
		})
	}
}
