package testutil

import (
	"context"
	"fmt"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Kubelet plays the Job controller, the scheduler, kubelet and the garbage collector, one step at a call, so that a
// test says itself what happens when.
type Kubelet struct {
	T      testing.TB
	Client client.Client
}

// Pod makes the next pod of a Job, as the Job controller does. Nothing runs in it yet.
func (k *Kubelet) Pod(job *batchv1.Job, name string) *corev1.Pod {
	k.T.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: job.Namespace,
			Labels: job.Spec.Template.Labels, Annotations: job.Spec.Template.Annotations,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))},
		},
		Spec: job.Spec.Template.Spec,
	}
	k.must(k.Client.Create(k.ctx(), pod), "making a pod of Job %s", job.Name)
	k.job(job, func(s *batchv1.JobStatus) {
		s.StartTime = ptr.To(ptr.Deref(s.StartTime, metav1.Now()))
		s.Active = 1
	})
	return pod
}

// Schedule binds a pod to a node.
func (k *Kubelet) Schedule(pod *corev1.Pod, node string) {
	k.T.Helper()
	binding := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: node}}
	k.must(k.Client.SubResource("binding").Create(k.ctx(), pod, binding), "binding pod %s", pod.Name)
}

// Unschedulable says that no node fits a pod.
func (k *Kubelet) Unschedulable(pod *corev1.Pod, message string) {
	k.T.Helper()
	k.pod(pod, func(s *corev1.PodStatus) {
		s.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message}}
	})
}

// Waiting says why dbt's container waits.
func (k *Kubelet) Waiting(pod *corev1.Pod, reason, message string) {
	k.T.Helper()
	k.pod(pod, func(s *corev1.PodStatus) {
		c := dbtContainer(pod)
		c.State.Waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: message}
		s.ContainerStatuses = []corev1.ContainerStatus{c}
	})
}

// Start lets dbt's container run.
func (k *Kubelet) Start(pod *corev1.Pod) {
	k.T.Helper()
	k.pod(pod, func(s *corev1.PodStatus) {
		c := dbtContainer(pod)
		c.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.Now()}
		s.Phase, s.ContainerStatuses = corev1.PodRunning, []corev1.ContainerStatus{c}
	})
}

// Exit is how a container ends.
type Exit struct {
	Code int32
	// Message is the termination message.
	Message string
	// Reason is kubelet's; empty is Completed or Error by the code.
	Reason string
	// PodReason and PodMessage are the pod's own, as for an eviction.
	PodReason, PodMessage string
	// Disrupted sets the condition DisruptionTarget.
	Disrupted bool
}

// End ends dbt's container and the pod with it.
func (k *Kubelet) End(pod *corev1.Pod, e Exit) {
	k.T.Helper()
	k.pod(pod, func(s *corev1.PodStatus) {
		c := dbtContainer(pod)
		reason, phase := "Completed", corev1.PodSucceeded
		if e.Code != 0 {
			reason, phase = "Error", corev1.PodFailed
		}
		if e.Reason != "" {
			reason = e.Reason
		}
		start := metav1.Now()
		if len(s.ContainerStatuses) > 0 && s.ContainerStatuses[0].State.Running != nil {
			start = s.ContainerStatuses[0].State.Running.StartedAt
		}
		c.State.Terminated = &corev1.ContainerStateTerminated{
			ExitCode: e.Code, Reason: reason, Message: e.Message, StartedAt: start, FinishedAt: metav1.Now(),
		}
		s.Phase, s.Reason, s.Message, s.ContainerStatuses = phase, e.PodReason, e.PodMessage, []corev1.ContainerStatus{c}
		if e.Disrupted {
			s.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI", Message: "Eviction API: evicting"}}
		}
	})
}

// Delete removes a pod at once.
func (k *Kubelet) Delete(pod *corev1.Pod) {
	k.T.Helper()
	k.must(client.IgnoreNotFound(k.Client.Delete(k.ctx(), pod, client.GracePeriodSeconds(0))), "deleting pod %s", pod.Name)
}

// CompleteJob says that a Job succeeded, in the order the Job controller does.
func (k *Kubelet) CompleteJob(job *batchv1.Job) {
	k.T.Helper()
	k.job(job, func(s *batchv1.JobStatus) {
		s.Conditions = append(s.Conditions, jobCondition(batchv1.JobSuccessCriteriaMet, "CompletionsReached", ""))
	})
	k.job(job, func(s *batchv1.JobStatus) {
		s.Active, s.Succeeded, s.CompletionTime = 0, 1, ptr.To(metav1.Now())
		s.Conditions = append(s.Conditions, jobCondition(batchv1.JobComplete, "CompletionsReached", ""))
	})
}

// FailTarget says that a Job is about to fail, while its pods still end.
func (k *Kubelet) FailTarget(job *batchv1.Job, reason, message string) {
	k.T.Helper()
	k.job(job, func(s *batchv1.JobStatus) {
		s.StartTime = ptr.To(ptr.Deref(s.StartTime, metav1.Now()))
		s.Conditions = append(s.Conditions, jobCondition(batchv1.JobFailureTarget, reason, message))
	})
}

// FailJob says that a Job failed, in the order the Job controller does.
func (k *Kubelet) FailJob(job *batchv1.Job, reason, message string) {
	k.T.Helper()
	k.FailTarget(job, reason, message)
	k.job(job, func(s *batchv1.JobStatus) {
		s.Active, s.Failed = 0, 1
		s.Conditions = append(s.Conditions, jobCondition(batchv1.JobFailed, reason, message))
	})
}

// Collect carries out the foreground deletion of a Job, as the garbage collector does once its pods are gone.
func (k *Kubelet) Collect(job *batchv1.Job) {
	k.T.Helper()
	k.must(k.Client.Get(k.ctx(), client.ObjectKeyFromObject(job), job), "reading Job %s", job.Name)
	if job.DeletionTimestamp.IsZero() {
		k.T.Fatalf("Job %s is not being deleted", job.Name)
	}
	base := job.DeepCopy()
	job.Finalizers = nil
	k.must(k.Client.Patch(k.ctx(), job, client.MergeFrom(base)), "collecting Job %s", job.Name)
}

func dbtContainer(pod *corev1.Pod) corev1.ContainerStatus {
	c := pod.Spec.Containers[0]
	return corev1.ContainerStatus{Name: c.Name, Image: c.Image, ImageID: "registry.example.com/dbt@sha256:" + fmt.Sprintf("%064d", 7)}
}

func jobCondition(kind batchv1.JobConditionType, reason, message string) batchv1.JobCondition {
	return batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: metav1.Now(), LastProbeTime: metav1.Now()}
}

func (k *Kubelet) pod(pod *corev1.Pod, change func(*corev1.PodStatus)) {
	k.T.Helper()
	k.must(k.Client.Get(k.ctx(), client.ObjectKeyFromObject(pod), pod), "reading pod %s", pod.Name)
	change(&pod.Status)
	k.must(k.Client.Status().Update(k.ctx(), pod), "writing the status of pod %s", pod.Name)
}

func (k *Kubelet) job(job *batchv1.Job, change func(*batchv1.JobStatus)) {
	k.T.Helper()
	k.must(k.Client.Get(k.ctx(), client.ObjectKeyFromObject(job), job), "reading Job %s", job.Name)
	change(&job.Status)
	k.must(k.Client.Status().Update(k.ctx(), job), "writing the status of Job %s", job.Name)
}

func (k *Kubelet) must(err error, what string, args ...any) {
	k.T.Helper()
	if err != nil {
		k.T.Fatalf("%s: %v", fmt.Sprintf(what, args...), err)
	}
}

func (k *Kubelet) ctx() context.Context { return k.T.Context() }

// Eventually waits until ok says true, and fails the test with what it said last when it does not in time.
func Eventually(t testing.TB, what string, within time.Duration, ok func() (done bool, found string)) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		done, found := ok()
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %s, found:\n%s", what, within, found)
		}
	}
}
