package schedule

import (
	"regexp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/admission"
)

// Run returns a run of the schedule, requested by the schedule's author. Of the schedule's own labels and annotations it has
// none but its shard: a tool that tracks what it applied by them would take the run for something it did not apply, and
// delete it.
func Run(s *v1alpha1.DbtSchedule, name string, why v1alpha1.TriggerType, tick time.Time) *v1alpha1.DbtRun {
	run := &v1alpha1.DbtRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       s.Namespace,
			Name:            name,
			Labels:          without(s.Spec.RunTemplate.Metadata.Labels),
			Annotations:     without(s.Spec.RunTemplate.Metadata.Annotations),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(s, v1alpha1.GroupVersion.WithKind("DbtSchedule"))},
		},
		Spec: *s.Spec.RunTemplate.Spec.DeepCopy(),
	}
	if run.Labels == nil {
		run.Labels = map[string]string{}
	}
	run.Labels[v1alpha1.LabelSchedule] = s.Name
	// The manager that works on the schedule works on its runs.
	delete(run.Labels, v1alpha1.LabelShard)
	if shard, ok := s.Labels[v1alpha1.LabelShard]; ok {
		run.Labels[v1alpha1.LabelShard] = shard
	}
	run.Spec.RequestedBy = s.Spec.RequestedBy.DeepCopy()
	run.Spec.Trigger = &v1alpha1.Trigger{Type: why, ScheduleRef: &v1alpha1.ScheduleReference{Name: s.Name}}
	if !tick.IsZero() {
		at := metav1.NewTime(tick)
		run.Spec.Trigger.ScheduledTime = &at
	}
	return run
}

// Owns reports whether a schedule made a run. Anybody who may create a run can write that the schedule controls it; that the
// schedule triggered it, the API server takes from the operator alone.
func Owns(s *v1alpha1.DbtSchedule, run *v1alpha1.DbtRun) bool {
	t := run.Spec.Trigger
	return metav1.IsControlledBy(run, s) && t != nil && t.ScheduleRef != nil && t.ScheduleRef.Name == s.Name
}

// without returns a copy of labels or annotations without those by which Argo CD and kubectl know what they applied.
// https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/
func without(labels map[string]string) map[string]string {
	var out map[string]string
	for key, value := range labels {
		domain, _, _ := strings.Cut(key, "/")
		switch {
		case key == "app.kubernetes.io/instance", key == "kubectl.kubernetes.io/last-applied-configuration":
			continue
		case domain == "argocd.argoproj.io", strings.HasSuffix(domain, ".argocd.argoproj.io"):
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[key] = value
	}
	return out
}

// microbatch matches the commands that take --event-time-start and --event-time-end.
var microbatch = regexp.MustCompile(`^ *(dbt +)?(build|run)( |$)`)

// eventTime is how dbt takes a time, in UTC.
const eventTime = "2006-01-02T15:04:05"

// EventTimes gives the commands build and run the interval of a tick, for microbatch models: from the time of the tick
// before to its own. Commands that give one themselves, or that cannot be carried out, stay as they are.
func EventTimes(commands []string, start, end time.Time) []string {
	out := slices.Clone(commands)
	if len(out) == 0 {
		out = []string{"dbt build"}
	}
	for i, line := range out {
		words, err := admission.SplitCommand(line)
		given := slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "--event-time-") })
		if verb := microbatch.FindString(line); err == nil && !given && verb != "" {
			flags := " --event-time-start=" + start.UTC().Format(eventTime) + " --event-time-end=" + end.UTC().Format(eventTime)
			out[i] = strings.TrimRight(strings.TrimRight(verb, " ")+flags+" "+strings.TrimPrefix(line, verb), " ")
		}
	}
	return out
}
