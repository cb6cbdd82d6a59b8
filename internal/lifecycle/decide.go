package lifecycle

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
)

// Step is what to do to the world; the decision's truth is recorded in any case.
type Step string

// Steps.
const (
	// Wait does nothing but record.
	Wait Step = "Wait"
	// CreateJob begins the run.
	CreateJob Step = "CreateJob"
	// DeleteJob stops the run's pods; they are given their grace period.
	DeleteJob Step = "DeleteJob"
	// DeleteRun deletes the run itself: its time to live is over.
	DeleteRun Step = "DeleteRun"
)

// Input is everything a decision is made of. Decide changes none of it.
type Input struct {
	Run *v1alpha1.DbtRun
	// Resolved is the run with its project filled in; nil when the project cannot be found or the spec is not valid.
	Resolved *runjob.Resolved
	// ProjectMissing says that the DbtProject named by the run is not there.
	ProjectMissing bool
	// Invalid is what keeps the spec from being carried out, nil when nothing does.
	Invalid error
	// Refused is why the API server last refused the Job, empty when it did not.
	Refused string
	// Since is when the project was first found missing, or the Job first refused.
	Since time.Time

	// Job is the run's own Job, by controller UID; nil when there is none.
	Job *batchv1.Job
	// JobTaken says that an object that is not the run's has the Job's name.
	JobTaken bool
	// Pods are the Job's, oldest first.
	Pods []*corev1.Pod
	// Reports are what the runners of those pods said, by pod name.
	Reports map[string]*journal.Report
	// Kept is what the runners reported to the collector as they went on, nil when nothing did.
	Kept *journal.Kept
	// Notes are what Kubernetes' events say about a Job or pod that does not start, newest first.
	Notes []string

	Group Group
	// State is what stands in the way of a run with state: Auto that has no Job yet.
	State State
	Now   time.Time
}

// State is what keeps a run from beginning with a state. At most one of WaitFor and Missing is set.
type State struct {
	// WaitFor is the run whose manifest is on its way, Wait how long to wait for it at most.
	WaitFor string
	Wait    time.Duration
	// Missing says why there is no state, though one of the commands needs it.
	Missing string
}

// Group is what the other runs of the concurrency group do. Names are sorted.
type Group struct {
	// Active are runs that have a Job that is not over, or a pod that has not ended.
	Active []string
	// Ahead are runs that have not begun and were created before this one.
	Ahead []string
	// ReplacedBy is a newer run of the group with the policy Replace, empty when there is none.
	ReplacedBy string
}

// Decision is what to do and what to record.
type Decision struct {
	Step Step
	// Truth is the Succeeded condition.
	Truth conditions.Truth
	// Phase follows from Truth.
	Phase v1alpha1.Phase
	// Again is when to look again though nothing changed; 0 is never.
	Again time.Duration
	// NeedNotes asks for Kubernetes' events about the Job and its newest pod: nothing else says why it does not start.
	NeedNotes bool
}

// Decide returns what a run does next. It performs no I/O.
func Decide(in Input) Decision {
	for _, ask := range []func(Input) (Decision, bool){
		alreadyOver,
		ended,
		mustStop,
		jobGone,
		cannotBeCarriedOut,
		mayNotBegin,
		needsState,
		begin,
	} {
		if d, ok := ask(in); ok {
			return d
		}
	}
	return progress(in)
}

// Phase returns the phase that follows from a Succeeded condition.
func Phase(t conditions.Truth) v1alpha1.Phase {
	switch t.Status {
	case metav1.ConditionTrue:
		return v1alpha1.PhaseSucceeded
	case metav1.ConditionFalse:
		if t.Reason == v1alpha1.ReasonCancelled {
			return v1alpha1.PhaseCancelled
		}
		return v1alpha1.PhaseFailed
	}
	switch t.Reason {
	case v1alpha1.ReasonQueued, v1alpha1.ReasonSuspended:
		return v1alpha1.PhaseQueued
	case v1alpha1.ReasonRunning, v1alpha1.ReasonRetrying, v1alpha1.ReasonCancelling:
		return v1alpha1.PhaseRunning
	default:
		return v1alpha1.PhasePending
	}
}

func decision(step Step, status metav1.ConditionStatus, reason, message string) Decision {
	t := conditions.Truth{Status: status, Reason: reason, Message: message}
	return Decision{Step: step, Truth: t, Phase: Phase(t)}
}

func unknown(reason, message string) Decision {
	return decision(Wait, metav1.ConditionUnknown, reason, message)
}

func failed(reason, message string) Decision {
	return decision(Wait, metav1.ConditionFalse, reason, message)
}

func succeeded(message string) Decision {
	return decision(Wait, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, message)
}
