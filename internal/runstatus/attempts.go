package runstatus

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/attempt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// maxAttempts is how many attempts a status keeps.
const maxAttempts = 5

// reasonDeleted is the reason of an attempt whose pod vanished before anyone saw it end.
const reasonDeleted = "Deleted"

// attempts returns the newest attempts, oldest first: those recorded before, brought up to date by the pods there are.
// A pod is an attempt once its container has started or the pod has ended: to record each step on its way there would
// cost a run two writes, and tell nobody anything.
func attempts(recorded []v1alpha1.Attempt, in Input) []v1alpha1.Attempt {
	out := append([]v1alpha1.Attempt(nil), recorded...)
	there := map[string]bool{}
	for _, p := range in.Pods {
		there[p.Name] = true
		begun := begunAt(in.Kept, p.Name)
		if !attempt.Running(p) && !attempt.Ended(p) && begun == nil {
			continue
		}
		a := attemptOf(p, in.Reports[p.Name], in.Now)
		if a.StartTime == nil {
			a.StartTime = begun
		}
		if i := indexOf(out, p.Name); i >= 0 {
			a.StartTime = earliest(out[i].StartTime, a.StartTime)
			out[i] = a
		} else {
			out = append(out, a)
		}
	}
	for i := range out {
		if !there[out[i].Pod] && out[i].Reason == "" {
			out[i].Reason = reasonDeleted
			out[i].EndTime = ptr.To(metav1.NewTime(in.Now))
		}
	}
	if len(out) > maxAttempts {
		out = out[len(out)-maxAttempts:]
	}
	return out
}

// begunAt returns when a pod's runner said that it had begun, nil when it has not.
func begunAt(kept *journal.Kept, pod string) *metav1.Time {
	if kept == nil {
		return nil
	}
	for _, a := range kept.Attempts {
		if a.Pod == pod {
			return millis(a.Begin)
		}
	}
	return nil
}

// earliest keeps a start that was recorded: kubelet and the runner disagree by parts of a second, and a status that
// follows both is written twice.
func earliest(recorded, now *metav1.Time) *metav1.Time {
	if recorded != nil {
		return recorded
	}
	return now
}

func indexOf(list []v1alpha1.Attempt, pod string) int {
	for i := range list {
		if list[i].Pod == pod {
			return i
		}
	}
	return -1
}

func attemptOf(p *corev1.Pod, r *journal.Report, now time.Time) v1alpha1.Attempt {
	a := v1alpha1.Attempt{Pod: p.Name, Node: p.Spec.NodeName}
	c := attempt.Dbt(p)
	if c != nil && c.State.Running != nil {
		a.StartTime = ptr.To(c.State.Running.StartedAt)
	}
	if t := attempt.Terminated(p); t != nil {
		if c != nil && c.State.Terminated != nil && !t.StartedAt.IsZero() {
			a.StartTime = ptr.To(t.StartedAt)
		}
		if !t.FinishedAt.IsZero() {
			a.EndTime = ptr.To(t.FinishedAt)
		}
		a.ExitCode = ptr.To(t.ExitCode)
	}
	a.Reason = attempt.Reason(p, r)
	if a.Reason != "" && a.ExitCode == nil && r != nil && !attempt.Ended(p) {
		// Its runner has said how it ended; the pod is about to.
		a.ExitCode, a.EndTime = ptr.To(int32(r.Outcome.ExitCode())), ptr.To(metav1.NewTime(now))
	}
	return a
}
