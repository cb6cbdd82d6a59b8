package dbtrun

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// Results is what runs report while they are at work, and what is kept of them. The collector has it.
type Results interface {
	// Endpoint returns how pods reach the collector.
	Endpoint() *plan.Collector
	// Kept returns what is known of a run, nil when nothing is. What it returns is not changed.
	Kept(ctx context.Context, run types.NamespacedName, uid types.UID) (*journal.Kept, error)
	// Deleted says that a run is gone, and with it the reason to keep anything of it. It does not block.
	Deleted(run types.NamespacedName, uid types.UID)
}

// gatherResults reads what the run's pods reported to the collector. A collector that cannot say holds nothing up:
// then the pods' last words count.
func (r *Reconciler) gatherResults(ctx context.Context, seen *observed) {
	if r.results == nil {
		return
	}
	seen.keeps = true
	if conditions.Settled(&seen.Run.Status, seen.keeps, seen.Now) {
		return
	}
	kept, err := r.results.Kept(ctx, client.ObjectKeyFromObject(seen.Run), seen.Run.UID)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "reading what is kept of a run")
		seen.keptErr = err
		return
	}
	seen.Kept = kept
}

const (
	// progressEvery is how often the progress of a run is recorded at most.
	progressEvery = 5 * time.Second
	// resultsEvery is how often a run that is over is looked at until its results are there, though nothing woke it.
	resultsEvery = 30 * time.Second
)

// withoutProgress returns a status without what changes while a run is at work and nothing is decided by.
func withoutProgress(s v1alpha1.DbtRunStatus) v1alpha1.DbtRunStatus {
	s.Progress, s.Results, s.Nodes, s.FailedNodes = nil, nil, "", nil
	s.Failures, s.Slowest, s.Commands, s.Lineage, s.Revision = nil, nil, nil, nil, nil
	return s
}

// resultsAgain returns when to look again at a run that is over and whose results are not all there; 0 for never.
func resultsAgain(run *v1alpha1.DbtRun, now time.Time) time.Duration {
	end := run.Status.CompletionTime
	if !run.Status.Phase.Finished() || end == nil || now.Sub(end.Time) > conditions.ResultsPatience {
		return 0
	}
	for _, c := range run.Status.Conditions {
		if c.Type == v1alpha1.ConditionResultsAvailable && c.Reason != v1alpha1.ReasonStored && c.Reason != v1alpha1.ReasonIncomplete {
			return resultsEvery
		}
	}
	return 0
}
