package lifecycle_test

import (
	"testing"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/lifecycle"
)

func (s *scene) kept(pods ...string) *scene {
	s.Kept = &journal.Kept{}
	for _, p := range pods {
		s.Kept.Attempts = append(s.Kept.Attempts, journal.AttemptState{Pod: p})
	}
	return s
}

// A run's result is known when its runner has reported it, before its pod has ended.
func TestDecideOnWhatWasReported(t *testing.T) {
	working := func() *scene { return at(begun()).job(job()).pods(pod("p").Runs(now)) }
	for name, c := range map[string]struct {
		reason string
		in     *scene
		step   lifecycle.Step
		want   string
		phase  v1alpha1.Phase
	}{
		"succeeded": {"two seconds before the Job says so",
			working().said("p", report(journal.Succeeded, "")), lifecycle.Wait, v1alpha1.ReasonSucceeded, v1alpha1.PhaseSucceeded},
		"nodes failed": {"another pod would end the same way",
			working().said("p", report(journal.NodesFailed, "1 of 2 nodes failed")), lifecycle.Wait, v1alpha1.ReasonNodesFailed, v1alpha1.PhaseFailed},
		"interrupted": {"the pod is about to end, and another follows",
			working().said("p", report(journal.Interrupted, "stopped")), lifecycle.Wait, v1alpha1.ReasonRunning, v1alpha1.PhaseRunning},
		"out of memory": {"the same",
			working().said("p", report(journal.OutOfMemory, "killed")), lifecycle.Wait, v1alpha1.ReasonRunning, v1alpha1.PhaseRunning},
		"cancelled too late": {"what ended well cannot be cancelled",
			at(cancelling()).job(job()).pods(pod("p").Runs(now)).said("p", report(journal.Succeeded, "")), lifecycle.Wait, v1alpha1.ReasonSucceeded, v1alpha1.PhaseSucceeded},
		"cancelled while it failed": {"its answer was there first",
			at(cancelling()).job(job()).pods(pod("p").Runs(now)).said("p", report(journal.NodesFailed, "m")), lifecycle.Wait, v1alpha1.ReasonNodesFailed, v1alpha1.PhaseFailed},
		"cancelling": {"an interruption is no answer",
			at(cancelling()).job(job()).pods(pod("p").Runs(now)).said("p", report(journal.Interrupted, "m")), lifecycle.DeleteJob, v1alpha1.ReasonCancelling, v1alpha1.PhaseRunning},
		"begun": {"kubelet has not said so yet",
			at(begun()).job(job()).pods(pod("p")).kept("p"), lifecycle.Wait, v1alpha1.ReasonRunning, v1alpha1.PhaseRunning},
		"another pod begun": {"this one has not",
			at(begun()).job(job()).pods(pod("p")).kept("q"), lifecycle.Wait, v1alpha1.ReasonStarting, v1alpha1.PhasePending},
	} {
		t.Run(name, func(t *testing.T) {
			got := lifecycle.Decide(c.in.Input)
			if got.Step != c.step || got.Truth.Reason != c.want || got.Phase != c.phase {
				t.Errorf("%s: got %s, %s, %s %q; want %s, %s, %s", c.reason, got.Step, got.Truth.Reason, got.Phase, got.Truth.Message, c.step, c.want, c.phase)
			}
		})
	}
}
