package lifecycle

import (
	"fmt"
	"slices"

	"github.com/dbt-operator/dbt-operator/internal/attempt"
	"github.com/dbt-operator/dbt-operator/internal/text"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// ended finds the end of a run: a runner that said how it ended, which is known about two seconds before the Job says
// so, or a Job that is over.
func ended(in Input) (Decision, bool) {
	if d, ok := endedBySuccess(in); ok {
		return d, true
	}
	if in.Job == nil {
		return Decision{}, false
	}
	if c, ok := jobCondition(in.Job, batchv1.JobFailureTarget, batchv1.JobFailed); ok && c.Reason == batchv1.JobReasonDeadlineExceeded {
		return timedOut(in), true
	}
	if _, stopping := stopReason(in); stopping && !JobFinished(in.Job) && !finalAnswer(in) {
		return Decision{}, false
	}
	if d, ok := endedByAnswer(in); ok {
		return d, true
	}
	if c, ok := jobCondition(in.Job, batchv1.JobFailed); ok {
		return endedByLoss(in, c), true
	}
	if _, ok := jobCondition(in.Job, batchv1.JobComplete); ok {
		return succeeded("Succeeded; what the runner reported was lost with its pod."), true
	}
	return Decision{}, false
}

// endedBySuccess finds a pod whose runner said that every command ended well, to the collector or by exiting 0.
func endedBySuccess(in Input) (Decision, bool) {
	for _, p := range slices.Backward(in.Pods) {
		code, exited := attempt.ExitCode(p)
		r := in.Reports[p.Name]
		if !exited && (r == nil || r.Outcome != journal.Succeeded) || exited && code != 0 {
			continue
		}
		if r != nil {
			return succeeded(successMessage(r)), true
		}
		return succeeded("Succeeded; the runner's report could not be read."), true
	}
	return Decision{}, false
}

func successMessage(r *journal.Report) string {
	n := r.Results.Success + r.Results.NoOp + r.Results.Reused + r.Results.Warn
	if n == 0 {
		return fmt.Sprintf("Succeeded: %s.", text.Count(len(r.Commands), "command"))
	}
	message := fmt.Sprintf("Succeeded: %s ended well", text.Count(int(n), "node"))
	if r.Results.Warn > 0 {
		message += fmt.Sprintf(", %d with a warning", r.Results.Warn)
	}
	return message + "."
}

// endedByAnswer finds a pod whose runner gave an answer that no other pod would change, to the collector or by its exit
// code.
func endedByAnswer(in Input) (Decision, bool) {
	for _, p := range slices.Backward(in.Pods) {
		r := in.Reports[p.Name]
		code, container, ok := attempt.FinalCode(p, r)
		if !ok {
			continue
		}
		if r != nil && r.Message != "" {
			return failed(reasonOfCode(code), text.Sentence(r.Message)), true
		}
		return failed(reasonOfCode(code), text.Sentence(fmt.Sprintf("Container %s ended with exit code %d and no report", container, code))), true
	}
	return Decision{}, false
}

func finalAnswer(in Input) bool {
	return slices.ContainsFunc(in.Pods, func(p *corev1.Pod) bool { _, _, ok := attempt.FinalCode(p, in.Reports[p.Name]); return ok })
}

func reasonOfCode(code int32) string {
	switch code {
	case journal.ExitNodesFailed:
		return v1alpha1.ReasonNodesFailed
	case journal.ExitSourceFailed:
		return v1alpha1.ReasonSourceFailed
	case journal.ExitInvalidPlan:
		return v1alpha1.ReasonInvalidSpec
	default:
		return v1alpha1.ReasonDbtError
	}
}

// timedOut waits for the pods to end, so that what they report is recorded, and then ends the run.
func timedOut(in Input) Decision {
	limit := "its timeout"
	if s := in.Job.Spec.ActiveDeadlineSeconds; s != nil {
		limit = fmt.Sprintf("its timeoutSeconds of %d", *s)
	}
	if anyAlive(in.Pods) && !JobFinished(in.Job) {
		return unknown(v1alpha1.ReasonRunning, "The run took longer than "+limit+" and is being stopped.")
	}
	return failed(v1alpha1.ReasonTimedOut, "The run took longer than "+limit+" and was stopped.")
}

// endedByLoss explains a Job that gave up: its pods were lost more often than retry.pods allows.
func endedByLoss(in Input, c batchv1.JobCondition) Decision {
	if len(in.Pods) == 0 {
		return failed(v1alpha1.ReasonPodLost, text.Sentence("The Job failed and its pods are gone: "+text.FirstNonEmpty(c.Message, c.Reason)))
	}
	last := in.Pods[len(in.Pods)-1]
	reason, message := attempt.Loss(last, in.Reports[last.Name])
	if attempts := len(in.Pods); attempts > 1 {
		message += fmt.Sprintf(" It was the last of %d pods; retry.pods allows no more.", attempts)
	}
	return failed(reason, message)
}
