package runstatus

import (
	"encoding/json"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/attempt"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
)

// Input is what a status is made of.
type Input struct {
	Run *v1alpha1.DbtRun
	// Resolved is nil when the run's project cannot be had.
	Resolved *runjob.Resolved
	// Job is nil when there is none; Pods are its own, oldest first, with what their runners reported by pod name.
	Job     *batchv1.Job
	Pods    []*corev1.Pod
	Reports map[string]*journal.Report
	// Keeps says that there is a collector, Kept what it has of the run, nil for nothing; KeptErr is why it cannot say.
	Keeps   bool
	Kept    *journal.Kept
	KeptErr error

	Truth conditions.Truth
	Phase v1alpha1.Phase
	Now   time.Time
}

// Compute returns the run's status. What was recorded before and can no longer be seen, such as a pod that is gone,
// is kept.
func Compute(in Input) v1alpha1.DbtRunStatus {
	s := *in.Run.Status.DeepCopy()
	wasOver := in.Run.Status.Phase.Finished()
	s.Phase = in.Phase
	s.ObservedGeneration = in.Run.Generation
	s.Message = in.Truth.Message
	conditions.SetSucceeded(&s.Conditions, in.Run.Generation, in.Now, in.Truth)
	if wasOver {
		// A late cancel or a new time to live changes the generation alone: the end was recorded once and is final. What
		// comes after it are the files that the run left, and the image where kubelet was slower than the run. Of a run that
		// is settled the cache holds no more than is read: what it lacks must not be written.
		if in.Keeps && !conditions.Settled(&in.Run.Status, in.Keeps, in.Now) {
			setRevision(&s, in.Pods)
			setKept(&s, in)
			bound(&s)
		}
		return s
	}
	setProject(&s, in)
	setState(&s, in)
	if in.Job != nil {
		s.Job = &v1alpha1.JobReference{Name: in.Job.Name, UID: in.Job.UID}
	}
	s.Attempts = attempts(s.Attempts, in)
	setRevision(&s, in.Pods)
	if r := best(in); r != nil {
		setReport(&s, r)
		setProgress(&s, r)
	}
	setTimes(&s, in)
	setKept(&s, in)
	bound(&s)
	return s
}

func setProject(s *v1alpha1.DbtRunStatus, in Input) {
	if in.Job != nil {
		if name := in.Job.Annotations[v1alpha1.AnnotationProject]; name != "" {
			generation, _ := runjob.Annotated(in.Job, v1alpha1.AnnotationProjectGeneration, 64)
			s.Project = &v1alpha1.ProjectStatus{
				Name: name, Generation: generation, UID: types.UID(in.Job.Annotations[v1alpha1.AnnotationProjectUID]),
				Target: in.Job.Annotations[v1alpha1.AnnotationTarget], SourceDigest: in.Job.Annotations[v1alpha1.AnnotationSourceDigest],
			}
			if ttl, ok := runjob.Annotated(in.Job, v1alpha1.AnnotationTTL, 32); ok {
				s.Project.TTLSecondsAfterFinished = &ttl
			}
			return
		}
	}
	if s.Job != nil {
		return
	}
	switch {
	case in.Resolved != nil:
		s.Project = &v1alpha1.ProjectStatus{Name: in.Resolved.Name, Generation: in.Resolved.Generation}
	case in.Run.Spec.ProjectRef != nil:
		s.Project = &v1alpha1.ProjectStatus{Name: in.Run.Spec.ProjectRef.Name}
	default:
		s.Project = &v1alpha1.ProjectStatus{Name: v1alpha1.InlineProject}
	}
}

// setState records what the Job was made with, or why there is no Job: once there is one it stays.
func setState(s *v1alpha1.DbtRunStatus, in Input) {
	switch {
	case in.Job != nil:
		if state := in.Job.Annotations[v1alpha1.AnnotationState]; state != "" {
			found := &v1alpha1.StateStatus{}
			if err := json.Unmarshal([]byte(state), found); err != nil {
				return // somebody else wrote it: what is recorded stays
			}
			s.State = found
		}
	case s.Job == nil && in.Phase.Finished() && in.Resolved != nil:
		s.State = in.Resolved.State
	}
}

// setRevision records the digest of the image that ran. It is taken from the first pod that has one and then stays.
func setRevision(s *v1alpha1.DbtRunStatus, pods []*corev1.Pod) {
	if s.Revision != nil && s.Revision.Image != "" {
		return
	}
	for _, p := range pods {
		if c := attempt.Dbt(p); c != nil && c.ImageID != "" {
			if s.Revision == nil {
				s.Revision = &v1alpha1.Revision{}
			}
			s.Revision.Image = cut(c.ImageID, 512)
			return
		}
	}
}

func setTimes(s *v1alpha1.DbtRunStatus, in Input) {
	if s.StartTime == nil {
		for _, a := range s.Attempts {
			if a.StartTime != nil {
				s.StartTime = a.StartTime
				break
			}
		}
	}
	if !in.Phase.Finished() {
		return
	}
	s.CompletionTime = ptr.To(metav1.NewTime(in.Now))
	if end := endOfNewest(s.Attempts, in.Pods); end != nil {
		s.CompletionTime = end
	}
	if s.StartTime != nil {
		took := max(0, s.CompletionTime.Sub(s.StartTime.Time)).Round(time.Second)
		s.DurationSeconds = ptr.To(int64(took.Seconds()))
		s.Duration = took.String()
	}
}

// endOfNewest returns when the run's newest pod ended; nil when it has not, so that a run whose next pod never started
// does not end at the end of the pod before.
func endOfNewest(list []v1alpha1.Attempt, pods []*corev1.Pod) *metav1.Time {
	if len(list) == 0 || len(pods) == 0 || list[len(list)-1].Pod != pods[len(pods)-1].Name {
		return nil
	}
	return list[len(list)-1].EndTime
}

// newestReport returns what the newest runner that reported said, and which pod it ran in.
func newestReport(in Input) (pod int, r *journal.Report) {
	for i := len(in.Pods) - 1; i >= 0; i-- {
		if r := in.Reports[in.Pods[i].Name]; r != nil {
			return i, r
		}
	}
	return -1, nil
}
