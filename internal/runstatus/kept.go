package runstatus

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/attempt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/text"
)

// lineageArtifact is the artifact that holds the whole lineage.
const lineageArtifact = "lineage.json"

// Limits as in the CRD.
const (
	maxArtifacts = 40
	maxLogTail   = 4096
)

// setKept records what the collector keeps of a run that is over.
func setKept(s *v1alpha1.DbtRunStatus, in Input) {
	if !in.Keeps || !s.Phase.Finished() || s.Job == nil {
		return
	}
	if k := in.Kept; k != nil {
		base := journal.PathRuns + in.Run.Namespace + "/" + in.Run.Name
		if k.LogBytes > 0 || k.LogTail != "" {
			s.Log = &v1alpha1.Log{Tail: tail(k.LogTail), URI: base + "/log", Bytes: max(0, k.LogBytes)}
		}
		s.Artifacts = nil
		for _, a := range k.Artifacts[:min(len(k.Artifacts), maxArtifacts)] {
			s.Artifacts = append(s.Artifacts, v1alpha1.Artifact{
				Name: cut(a.Name, 100), Digest: cut("sha256:"+a.SHA256, 71), Bytes: max(0, a.Bytes), URI: base + "/artifacts/" + cut(a.Name, 100),
			})
		}
		if s.Lineage != nil && slices.ContainsFunc(k.Artifacts, func(a journal.Artifact) bool { return a.Name == lineageArtifact }) {
			s.Lineage.Artifact = lineageArtifact
		}
	}
	setAvailable(s, in)
}

// tail returns the last lines of a log that fit.
func tail(log string) string {
	if len(log) > maxLogTail {
		log = log[len(log)-maxLogTail:]
		for i := range log {
			if log[i] == '\n' {
				log = log[i+1:]
				break
			}
		}
	}
	return cut(log, maxLogTail)
}

func setAvailable(s *v1alpha1.DbtRunStatus, in Input) {
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionResultsAvailable)
	switch {
	case c == nil:
	case c.Status == metav1.ConditionTrue:
		// Retention may have deleted them since. That they were there is recorded once, as the run's end is.
		return
	case c.Reason == v1alpha1.ReasonIncomplete && in.KeptErr != nil:
		// What is known of them does not change by a store that cannot be read now.
		return
	}
	status, reason, message := available(in)
	meta.SetStatusCondition(&s.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionResultsAvailable, Status: status, Reason: reason, Message: message,
		ObservedGeneration: in.Run.Generation, LastTransitionTime: metav1.NewTime(in.Now),
	})
}

func available(in Input) (status metav1.ConditionStatus, reason, message string) {
	ended := !slices.ContainsFunc(in.Pods, func(p *corev1.Pod) bool { return !attempt.Ended(p) })
	switch k := in.Kept; {
	case in.KeptErr != nil:
		// The error itself has no place here: a bucket puts another request id into each, and each would be a write.
		return metav1.ConditionFalse, v1alpha1.ReasonCollectorUnreachable, "What is kept of the run cannot be read now; the operator's log says why."
	case k != nil && k.Done:
		return metav1.ConditionTrue, v1alpha1.ReasonStored, fmt.Sprintf("The whole log and %s are kept.", text.Count(len(k.Artifacts), "artifact"))
	case k != nil && len(k.Attempts) > 0 && ended:
		return metav1.ConditionFalse, v1alpha1.ReasonIncomplete, "The pod ended before it had sent everything; what arrived is kept."
	case !ended:
		return metav1.ConditionFalse, v1alpha1.ReasonUploading, "The run's pod is still sending its log and artifacts."
	default:
		return metav1.ConditionFalse, v1alpha1.ReasonCollectorUnreachable, "Nothing of the run reached the operator's collector; the status is from its pod's last report."
	}
}

// best returns the report that says most of the run so far: that of the collector, which adds up over all pods, or that
// of a pod which could not reach it at its end.
func best(in Input) *journal.Report {
	pod, own := newestReport(in)
	if in.Kept == nil || len(in.Kept.Attempts) == 0 {
		return own
	}
	last := in.Kept.Attempts[len(in.Kept.Attempts)-1]
	if at := index(in.Pods, last.Pod); own != nil && last.Outcome == "" && at >= 0 && pod >= at {
		return own
	}
	return &in.Kept.Report
}

// index returns where a pod stands among pods, -1 when it is not there any more.
func index(pods []*corev1.Pod, name string) int {
	return slices.IndexFunc(pods, func(p *corev1.Pod) bool { return p.Name == name })
}
