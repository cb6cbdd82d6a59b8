package lifecycle

import (
	"time"

	"github.com/dbt-operator/dbt-operator/internal/text"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// projectGrace is how long a run waits for its DbtProject: tools that apply both do not always apply the project first, and some
// replace a project by deleting it and creating it again.
const projectGrace = 30 * time.Second

// queueCheck is when a queued run looks again though nothing woke it.
const queueCheck = 30 * time.Second

// refusedRetry is when a Job that the API server refused is tried again.
const refusedRetry = 10 * time.Second

// cannotBeCarriedOut finds a run that has not begun and never can.
func cannotBeCarriedOut(in Input) (Decision, bool) {
	switch {
	case in.Job != nil:
		return Decision{}, false
	case in.ProjectMissing:
		return projectMissing(in), true
	case in.Invalid != nil:
		return failed(v1alpha1.ReasonInvalidSpec, text.Sentence("The run cannot be carried out: "+in.Invalid.Error())), true
	case in.JobTaken:
		return failed(v1alpha1.ReasonInvalidSpec, "A Job with the name this run needs exists and is not the run's. Delete it, or create a DbtRun with another name."), true
	}
	return Decision{}, false
}

func projectMissing(in Input) Decision {
	name := in.Run.Spec.ProjectRef.Name
	left := in.Since.Add(projectGrace).Sub(in.Now)
	if left > 0 {
		d := unknown(v1alpha1.ReasonPending, "Waits for DbtProject "+name+", which does not exist in this namespace yet.")
		d.Again = left
		return d
	}
	return failed(v1alpha1.ReasonProjectNotFound,
		"There is no DbtProject "+name+" in this namespace. Create it, then create another DbtRun.")
}

// mayNotBegin holds a run back while others of its group are active.
func mayNotBegin(in Input) (Decision, bool) {
	if in.Job != nil || in.Resolved.Policy == v1alpha1.ConcurrencyAllow {
		return Decision{}, false
	}
	active, ahead := in.Group.Active, in.Group.Ahead
	if len(active) == 0 && len(ahead) == 0 {
		return Decision{}, false
	}
	var d Decision
	switch in.Resolved.Policy {
	case v1alpha1.ConcurrencyReject:
		d = failed(v1alpha1.ReasonRejected, "Rejected: run "+text.Names(append(append([]string{}, active...), ahead...))+
			" of the same concurrency group is active, and the policy is Reject.")
	case v1alpha1.ConcurrencyReplace:
		if len(active) == 0 || in.State.Missing != "" {
			// What it cannot begin without will not be there when those have stopped: it fails, and they go on.
			return Decision{}, false
		}
		d = unknown(v1alpha1.ReasonQueued, "Waits until run "+text.Names(active)+", which it replaces, has stopped.")
		d.Again = queueCheck
	default:
		if len(active) > 0 {
			d = unknown(v1alpha1.ReasonQueued, "Waits for run "+text.Names(active)+" of the same concurrency group to end.")
		} else {
			d = unknown(v1alpha1.ReasonQueued, "Waits its turn behind run "+text.Names(ahead)+" of the same concurrency group.")
		}
		d.Again = queueCheck
	}
	return d, true
}

// stateCheck is how often a run looks whether the manifest is there that it waits for.
const stateCheck = 5 * time.Second

// needsState holds a run back until the manifest that is its state is there, and fails one that cannot do without a state
// that there is not. It is asked last: a run that has to wait for others to end may find a state when its turn comes.
func needsState(in Input) (Decision, bool) {
	switch {
	case in.Job != nil:
		return Decision{}, false
	case in.State.Missing != "":
		return failed(v1alpha1.ReasonStateNotFound, text.Sentence("The run cannot be carried out: "+in.State.Missing)), true
	case in.State.WaitFor != "":
		d := unknown(v1alpha1.ReasonPending, "Waits for the manifest of run "+in.State.WaitFor+", which is its state and is still being sent.")
		d.Again = min(in.State.Wait, stateCheck)
		return d, true
	}
	return Decision{}, false
}

// begin starts a run, or waits a bounded time when the API server refuses its Job.
func begin(in Input) (Decision, bool) {
	if in.Job != nil {
		return Decision{}, false
	}
	if in.Refused == "" {
		return decision(CreateJob, "Unknown", v1alpha1.ReasonStarting, "The Job was created; its pod is about to start."), true
	}
	return Decision{}, false
}

// Refused returns what becomes of a run whose Job the API server refused: it is tried again until startTimeoutSeconds
// after it was refused first.
func Refused(in Input) Decision {
	left := in.Since.Add(in.Resolved.StartTimeout).Sub(in.Now)
	if left <= 0 {
		return failed(v1alpha1.ReasonStartTimeout, text.Sentence("The Job could not be created within startTimeoutSeconds: "+in.Refused))
	}
	d := unknown(v1alpha1.ReasonPending, text.Sentence("The API server refuses the Job: "+in.Refused))
	d.Again = min(left, refusedRetry)
	return d
}
