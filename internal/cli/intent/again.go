package intent

import (
	"fmt"
	"maps"
	"regexp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// retried is how the name of a run ends that Retry made.
var retried = regexp.MustCompile(`-retry-[a-z0-9]{5}$`)

// Retry returns a DbtRun that goes on from one that did not end well: of the same project, with the same commands. name is
// empty for one that the API server makes up.
func Retry(of *v1alpha1.DbtRun, name string) (*v1alpha1.DbtRun, error) {
	switch phase := of.Status.Phase; {
	case phase == v1alpha1.PhaseSucceeded:
		return nil, fmt.Errorf("DbtRun %q succeeded: nothing of it is left to do; `kubectl dbt run` runs everything again", of.Name)
	case !phase.Finished():
		return nil, fmt.Errorf("DbtRun %q is not over (%s): wait for its end, or stop it with `kubectl dbt cancel %s`", of.Name, shown(phase), of.Name)
	}
	first := retried.ReplaceAllString(of.Name, "")
	run := made(of.Namespace, name, first[:min(len(first), maxPrefix-len("-retry"))]+"-retry")
	of.Spec.DeepCopyInto(&run.Spec)
	run.Spec.ResumeFrom = &v1alpha1.RunReference{Name: of.Name}
	fresh(&run.Spec)
	sameShard(run, of.Labels)
	return run, nil
}

// Trigger returns a DbtRun of a schedule's template, now and beside its ticks. name is empty for one that the API server
// makes up.
func Trigger(s *v1alpha1.DbtSchedule, name string) *v1alpha1.DbtRun {
	run := made(s.Namespace, name, s.Name+"-manual")
	run.Labels = maps.Clone(s.Spec.RunTemplate.Metadata.Labels)
	run.Annotations = maps.Clone(s.Spec.RunTemplate.Metadata.Annotations)
	s.Spec.RunTemplate.Spec.DeepCopyInto(&run.Spec)
	fresh(&run.Spec)
	sameShard(run, s.Labels)
	return run
}

// fresh takes away what a run has of its own.
func fresh(spec *v1alpha1.DbtRunSpec) {
	spec.Cancel, spec.Trigger, spec.RequestedBy = nil, nil, nil
}

// sameShard has the manager carry a run out that works on what has these labels.
func sameShard(run *v1alpha1.DbtRun, labels map[string]string) {
	if shard, has := labels[v1alpha1.LabelShard]; has {
		metav1.SetMetaDataLabel(&run.ObjectMeta, v1alpha1.LabelShard, shard)
	}
}

func shown(phase v1alpha1.Phase) v1alpha1.Phase {
	if phase == "" {
		return v1alpha1.PhasePending
	}
	return phase
}
