package conditions

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// ResultsPatience is how long after its end a run is looked at for results that have not arrived.
const ResultsPatience = 20 * time.Minute

// Settled reports whether a run is over and nothing more of it will be recorded but a change of its own spec: there is no
// collector (keeps is false) or the run never had a pod, or else its files are stored and the image that ran is known, or
// its pods have long ended before they had sent everything.
func Settled(s *v1alpha1.DbtRunStatus, keeps bool, now time.Time) bool {
	switch {
	case !s.Phase.Finished():
		return false
	case !keeps, s.Job == nil:
		return true
	}
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionResultsAvailable)
	switch {
	case c == nil:
		return false
	case c.Reason == v1alpha1.ReasonIncomplete:
		return s.CompletionTime != nil && now.Sub(s.CompletionTime.Time) > ResultsPatience
	}
	return c.Status == metav1.ConditionTrue && s.Revision != nil && s.Revision.Image != ""
}
