package lifecycle_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/lifecycle"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// now is when every decision is taken; the run was created a minute before, its pod half a minute before.
var now = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

func run() *testutil.RunWrapper {
	return testutil.MakeDbtRun("r").UID("run").Project("shop").Created(ago(time.Minute))
}

func begun() *testutil.RunWrapper { return run().Job("r-1", "job") }

func over(reason string) *testutil.RunWrapper {
	status, phase := metav1.ConditionFalse, v1alpha1.PhaseFailed
	switch reason {
	case v1alpha1.ReasonSucceeded:
		status, phase = metav1.ConditionTrue, v1alpha1.PhaseSucceeded
	case v1alpha1.ReasonCancelled:
		phase = v1alpha1.PhaseCancelled
	}
	return begun().Truth(phase, status, reason, "It is over.").Completed(ago(10 * time.Second))
}

// madeBySchedule makes the run one of a schedule, whose end was recorded at a time.
func madeBySchedule(recorded time.Time) func(*lifecycle.Input) {
	return func(in *lifecycle.Input) {
		in.Run.Spec.Trigger = &v1alpha1.Trigger{Type: v1alpha1.TriggerSchedule, ScheduleRef: &v1alpha1.ScheduleReference{Name: "s"}}
		in.Run.Status.Conditions[0].LastTransitionTime = metav1.NewTime(recorded)
	}
}

func cancelling() *testutil.RunWrapper {
	return begun().Cancel().Truth(v1alpha1.PhaseRunning, metav1.ConditionUnknown, v1alpha1.ReasonCancelling, "Cancelled by spec.cancel.")
}

func job() *testutil.JobWrapper {
	return testutil.MakeJob("r-1", "job").Created(ago(50*time.Second)).Annotate(v1alpha1.AnnotationStartTimeout, "900")
}

func pod(name string) *testutil.PodWrapper {
	return testutil.MakePod(name).Created(ago(30 * time.Second))
}

func report(outcome journal.Outcome, message string) *journal.Report {
	return &journal.Report{Outcome: outcome, Message: message}
}

// scene is an input under construction.
type scene struct{ lifecycle.Input }

func at(r *testutil.RunWrapper) *scene {
	return &scene{lifecycle.Input{
		Run: r.Obj(), Now: now, Reports: map[string]*journal.Report{},
		Resolved: &runjob.Resolved{Name: "shop", Policy: v1alpha1.ConcurrencyQueue, Group: "shop/", StartTimeout: 15 * time.Minute},
	}}
}

func (s *scene) job(j *testutil.JobWrapper) *scene { s.Job = j.Obj(); return s }

func (s *scene) pods(pods ...*testutil.PodWrapper) *scene {
	for _, p := range pods {
		s.Pods = append(s.Pods, p.Obj())
	}
	return s
}

func (s *scene) said(pod string, r *journal.Report) *scene { s.Reports[pod] = r; return s }

func (s *scene) group(policy v1alpha1.ConcurrencyPolicy, g lifecycle.Group) *scene {
	s.Resolved.Policy, s.Group = policy, g
	return s
}

func (s *scene) with(change func(*lifecycle.Input)) *scene { change(&s.Input); return s }

// beganWith is a run that had a Job, what it began with as its time to live, and what its project has now.
func beganWith(ttl *int64, now time.Duration) func(*lifecycle.Input) {
	return func(in *lifecycle.Input) {
		in.Run.Status.Job = &v1alpha1.JobReference{Name: "j"}
		in.Run.Status.Project = &v1alpha1.ProjectStatus{Name: "shop", TTLSecondsAfterFinished: ttl}
		in.Resolved.TTL = &now
	}
}

func TestDecide(t *testing.T) {
	const secs = time.Second
	unknown := metav1.ConditionUnknown
	yes, no := metav1.ConditionTrue, metav1.ConditionFalse
	for name, c := range map[string]struct {
		why     string
		in      *scene
		step    lifecycle.Step
		status  metav1.ConditionStatus
		reason  string
		phase   v1alpha1.Phase
		message string
		again   time.Duration
		notes   bool
	}{
		// Over.
		"over":                   {"an end is recorded once", at(over("NodesFailed")).job(job()), lifecycle.Wait, no, "NodesFailed", "Failed", "It is over.", 0, false},
		"over, late success":     {"nothing changes an end", at(over("TimedOut")).job(job()).pods(pod("a").Exits(0, "", now)), lifecycle.Wait, no, "TimedOut", "Failed", "It is over.", 0, false},
		"over, job outlived":     {"the operator's own ends stop the Job", at(over("StartTimeout")).job(job()), lifecycle.DeleteJob, no, "StartTimeout", "Failed", "", 0, false},
		"over, job stops":        {"told once", at(over("StartTimeout")).job(job().Deleted(now)), lifecycle.Wait, no, "StartTimeout", "Failed", "", 0, false},
		"over, cancelled late":   {"a Job that showed up after the cancel", at(over("Cancelled").Cancel()).job(job()), lifecycle.DeleteJob, no, "Cancelled", "Cancelled", "", 0, false},
		"over, job done":         {"its pods have ended", at(over("Cancelled")).job(job().Has(batchv1.JobFailed, "x", "")), lifecycle.Wait, no, "Cancelled", "Cancelled", "", 0, false},
		"ttl not yet":            {"looked at again then", at(over("Succeeded").TTL(60)), lifecycle.Wait, yes, "Succeeded", "Succeeded", "", 50 * secs, false},
		"ttl over":               {"the run goes", at(over("Succeeded").TTL(10)), lifecycle.DeleteRun, yes, "Succeeded", "Succeeded", "", 0, false},
		"ttl 0":                  {"at once", at(over("Succeeded").TTL(0)), lifecycle.DeleteRun, yes, "Succeeded", "Succeeded", "", 0, false},
		"ttl of schedule":        {"the schedule has to hear of it first", at(over("Succeeded").TTL(0)).with(madeBySchedule(now)), lifecycle.Wait, yes, "Succeeded", "Succeeded", "", 30 * secs, false},
		"ttl of schedule over":   {"it had the time to", at(over("Succeeded").TTL(0)).with(madeBySchedule(ago(31 * secs))), lifecycle.DeleteRun, yes, "Succeeded", "Succeeded", "", 0, false},
		"ttl of project":         {"as it was when the run began", at(over("Succeeded")).with(beganWith(testutil.Ptr[int64](10), 3600*secs)), lifecycle.DeleteRun, yes, "Succeeded", "Succeeded", "", 0, false},
		"ttl of project, later":  {"the project had none when the run began", at(over("Succeeded")).with(beganWith(nil, secs)), lifecycle.Wait, yes, "Succeeded", "Succeeded", "", 0, false},
		"ttl after outliving":    {"the Job is stopped before the run goes", at(over("StartTimeout").TTL(0)).job(job()), lifecycle.DeleteJob, no, "StartTimeout", "Failed", "", 0, false},
		"ttl of project, no job": {"it never began", at(over("Rejected")).with(func(in *lifecycle.Input) { in.Run.Status.Job, in.Resolved.TTL = nil, testutil.Ptr(10*secs) }), lifecycle.DeleteRun, no, "Rejected", "Failed", "", 0, false},

		// Ended.
		"success":             {"the runner's word, before the Job's", at(begun()).job(job()).pods(pod("a").Exits(0, "Completed", now)).said("a", &journal.Report{Outcome: journal.Succeeded, Results: journal.Results{Success: 27, Warn: 1}}), lifecycle.Wait, yes, "Succeeded", "Succeeded", "Succeeded: 28 nodes ended well, 1 with a warning.", 0, false},
		"success, no nodes":   {"debug or deps", at(begun()).job(job()).pods(pod("a").Exits(0, "Completed", now)).said("a", &journal.Report{Outcome: journal.Succeeded, Commands: make([]journal.Command, 1)}), lifecycle.Wait, yes, "Succeeded", "Succeeded", "Succeeded: 1 command.", 0, false},
		"success, no report":  {"fault 36", at(begun()).job(job()).pods(pod("a").Exits(0, "Completed", now)), lifecycle.Wait, yes, "Succeeded", "Succeeded", "report could not be read", 0, false},
		"success, pod gone":   {"the Job's word", at(begun()).job(job().Has(batchv1.JobComplete, "", "")), lifecycle.Wait, yes, "Succeeded", "Succeeded", "was lost with its pod", 0, false},
		"success, job gone":   {"it was done when the Job was deleted", at(begun()).pods(pod("a").Exits(0, "Completed", now)), lifecycle.Wait, yes, "Succeeded", "Succeeded", "", 0, false},
		"success and cancel":  {"it was done when the cancel came", at(begun().Cancel()).job(job()).pods(pod("a").Exits(0, "Completed", now)), lifecycle.Wait, yes, "Succeeded", "Succeeded", "", 0, false},
		"nodes failed":        {"dbt's no is final", at(begun()).job(job()).pods(pod("a").Exits(10, "Error", now)).said("a", report(journal.NodesFailed, "2 of 3 nodes failed")), lifecycle.Wait, no, "NodesFailed", "Failed", "2 of 3 nodes failed.", 0, false},
		"dbt error":           {"dbt's no is final", at(begun()).job(job()).pods(pod("a").Exits(11, "Error", now)).said("a", report(journal.DbtError, "Parse error")), lifecycle.Wait, no, "DbtError", "Failed", "Parse error.", 0, false},
		"no, no report":       {"the code alone", at(begun()).job(job()).pods(pod("a").Exits(11, "Error", now)), lifecycle.Wait, no, "DbtError", "Failed", "Container dbt ended with exit code 11 and no report.", 0, false},
		"source failed":       {"said by the container that fetches", at(begun()).job(job()).pods(pod("a").InitExits("prepare", 12, "")).said("a", report(journal.SourceFailed, "The branch does not exist")), lifecycle.Wait, no, "SourceFailed", "Failed", "The branch does not exist.", 0, false},
		"invalid plan":        {"the operator's own fault", at(begun()).job(job()).pods(pod("a").Exits(13, "Error", now)), lifecycle.Wait, no, "InvalidSpec", "Failed", "exit code 13", 0, false},
		"second pod said no":  {"the newest counts", at(begun()).job(job()).pods(pod("a").Exits(137, "OOMKilled", ago(secs)), pod("b").Exits(10, "Error", now)), lifecycle.Wait, no, "NodesFailed", "Failed", "", 0, false},
		"out of memory":       {"retry.pods is used up", at(begun()).job(job().Has(batchv1.JobFailed, "BackoffLimitExceeded", "")).pods(pod("a").Exits(137, "OOMKilled", now)), lifecycle.Wait, no, "OutOfMemory", "Failed", "Raise spec.pod.resources.limits.memory", 0, false},
		"several lost":        {"how often is said", at(begun()).job(job().Has(batchv1.JobFailed, "BackoffLimitExceeded", "")).pods(pod("a").Exits(1, "Error", ago(secs)), pod("b").Exits(1, "Error", now)), lifecycle.Wait, no, "PodLost", "Failed", "the last of 2 pods", 0, false},
		"source unavailable":  {"retry.pods is used up", at(begun()).job(job().Has(batchv1.JobFailed, "BackoffLimitExceeded", "")).pods(pod("a").Exits(20, "Error", now)).said("a", report(journal.SourceUnavailable, "git.example.com cannot be reached")), lifecycle.Wait, no, "SourceFailed", "Failed", "git.example.com cannot be reached.", 0, false},
		"failed, pods gone":   {"nothing else to say", at(begun()).job(job().Has(batchv1.JobFailed, "BackoffLimitExceeded", "Job has reached the limit")), lifecycle.Wait, no, "PodLost", "Failed", "its pods are gone: Job has reached the limit.", 0, false},
		"deadline, stopping":  {"what the pod reports is waited for", at(begun()).job(job().Deadline(60).Has(batchv1.JobFailureTarget, "DeadlineExceeded", "")).pods(pod("a").Runs(ago(secs))), lifecycle.Wait, unknown, "Running", "Running", "longer than its timeoutSeconds of 60 and is being stopped", 0, false},
		"deadline":            {"its pods have ended", at(begun()).job(job().Deadline(60).Has(batchv1.JobFailureTarget, "DeadlineExceeded", "")).pods(pod("a").Exits(21, "Error", now)), lifecycle.Wait, no, "TimedOut", "Failed", "longer than its timeoutSeconds of 60 and was stopped.", 0, false},
		"deadline and cancel": {"it was late before it was cancelled", at(cancelling()).job(job().Deadline(60).Has(batchv1.JobFailed, "DeadlineExceeded", "")), lifecycle.Wait, no, "TimedOut", "Failed", "", 0, false},

		// Stopping.
		"cancel, never begun":      {"nothing to stop", at(run().Cancel()), lifecycle.Wait, no, "Cancelled", "Cancelled", "Cancelled by spec.cancel.", 0, false},
		"cancel, no project":       {"nothing to stop", at(run().Cancel()).with(func(in *lifecycle.Input) { in.ProjectMissing, in.Resolved = true, nil }), lifecycle.Wait, no, "Cancelled", "Cancelled", "", 0, false},
		"cancel":                   {"recorded before the Job is deleted", at(begun().Cancel()).job(job()).pods(pod("a").Runs(ago(secs))), lifecycle.Wait, unknown, "Cancelling", "Running", "", secs, false},
		"cancel, recorded":         {"now the Job", at(cancelling()).job(job()).pods(pod("a").Runs(ago(secs))), lifecycle.DeleteJob, unknown, "Cancelling", "Running", "", 0, false},
		"cancel, pod stops":        {"the run is over when its pods are", at(cancelling()).job(job().Deleted(now)).pods(pod("a").Runs(ago(secs)).Deleted(now)), lifecycle.Wait, unknown, "Cancelling", "Running", "", 0, false},
		"cancel, pod ended":        {"the Job need not be gone", at(cancelling()).job(job().Deleted(now)).pods(pod("a").Exits(21, "Error", now)), lifecycle.Wait, no, "Cancelled", "Cancelled", "", 0, false},
		"cancel, job gone":         {"and no pod", at(cancelling()), lifecycle.Wait, no, "Cancelled", "Cancelled", "", 0, false},
		"cancel, job gone, pod":    {"a pod that outlives its Job", at(cancelling()).pods(pod("a").Runs(ago(secs))), lifecycle.Wait, unknown, "Cancelling", "Running", "", 0, false},
		"cancel, dbt said no":      {"it was done when the cancel came", at(cancelling()).job(job().Deleted(now)).pods(pod("a").Exits(10, "Error", now)), lifecycle.Wait, no, "NodesFailed", "Failed", "", 0, false},
		"replaced":                 {"as a cancel", at(begun()).job(job()).group("Replace", lifecycle.Group{ReplacedBy: "b"}), lifecycle.Wait, unknown, "Cancelling", "Running", "Replaced by run b", secs, false},
		"replaced before it began": {"nothing to stop", at(run()).group("Replace", lifecycle.Group{ReplacedBy: "b"}), lifecycle.Wait, no, "Cancelled", "Cancelled", "Replaced by run b", 0, false},
		"replacer gone":            {"a stop that was recorded is carried out", at(begun().Truth("Running", unknown, "Cancelling", "Replaced by run b of the same concurrency group.")).job(job()), lifecycle.DeleteJob, unknown, "Cancelling", "Running", "Replaced by run b", 0, false},

		// Job gone.
		"job missing":       {"not begun again", at(begun()), lifecycle.Wait, no, "JobMissing", "Failed", "The Job r-1 was deleted by someone else", 0, false},
		"job missing, pod":  {"its pod is waited for", at(begun()).pods(pod("a").Runs(ago(secs))), lifecycle.Wait, unknown, "Running", "Running", "The Job r-1 was deleted; its pod is being stopped.", 0, false},
		"job being deleted": {"its end is waited for", at(begun()).job(job().Deleted(now)).pods(pod("a").Runs(ago(secs))), lifecycle.Wait, unknown, "Running", "Running", "is being deleted by someone else", 0, false},

		// Cannot be carried out.
		"project missing":        {"tools do not always apply it first", at(run()).with(func(in *lifecycle.Input) { in.ProjectMissing, in.Resolved, in.Since = true, nil, ago(10*secs) }), lifecycle.Wait, unknown, "Pending", "Pending", "Waits for DbtProject shop", 20 * secs, false},
		"project never came":     {"30 s are over", at(run()).with(func(in *lifecycle.Input) { in.ProjectMissing, in.Resolved, in.Since = true, nil, ago(30*secs) }), lifecycle.Wait, no, "ProjectNotFound", "Failed", "There is no DbtProject shop", 0, false},
		"project deleted":        {"a run that has begun does not need it", at(begun()).job(job()).pods(pod("a").Runs(ago(secs))).with(func(in *lifecycle.Input) { in.ProjectMissing, in.Resolved = true, nil }), lifecycle.Wait, unknown, "Running", "Running", "dbt is running in pod a.", 0, false},
		"invalid":                {"the field is named", at(run()).with(func(in *lifecycle.Input) { in.Invalid = errors.New("spec.commands[0]: is empty") }), lifecycle.Wait, no, "InvalidSpec", "Failed", "The run cannot be carried out: spec.commands[0]: is empty.", 0, false},
		"invalid since it began": {"a project's edit does not touch it", at(begun()).job(job()).pods(pod("a").Runs(ago(secs))).with(func(in *lifecycle.Input) { in.Invalid = errors.New("x") }), lifecycle.Wait, unknown, "Running", "Running", "", 0, false},
		"name taken":             {"by a Job that is not the run's", at(run()).with(func(in *lifecycle.Input) { in.JobTaken = true }), lifecycle.Wait, no, "InvalidSpec", "Failed", "is not the run's", 0, false},

		// May not begin.
		"begins":                {"nothing in its way", at(run()), lifecycle.CreateJob, unknown, "Starting", "Pending", "", 0, false},
		"queue":                 {"behind one that is active", at(run()).group("Queue", lifecycle.Group{Active: []string{"a"}}), lifecycle.Wait, unknown, "Queued", "Queued", "Waits for run a of the same", 30 * secs, false},
		"queue, turn":           {"behind one that was there first", at(run()).group("Queue", lifecycle.Group{Ahead: []string{"a", "b", "c", "d"}}), lifecycle.Wait, unknown, "Queued", "Queued", "behind run a, b, c and 1 more", 30 * secs, false},
		"allow":                 {"beside the others", at(run()).group("Allow", lifecycle.Group{Active: []string{"a"}, Ahead: []string{"b"}}), lifecycle.CreateJob, unknown, "Starting", "Pending", "", 0, false},
		"reject":                {"at once", at(run()).group("Reject", lifecycle.Group{Active: []string{"a"}}), lifecycle.Wait, no, "Rejected", "Failed", "run a of the same concurrency group is active", 0, false},
		"replace waits":         {"until the other's pods are gone", at(run()).group("Replace", lifecycle.Group{Active: []string{"a"}}), lifecycle.Wait, unknown, "Queued", "Queued", "Waits until run a, which it replaces", 30 * secs, false},
		"no state":              {"a command cannot do without", at(run()).with(func(in *lifecycle.Input) { in.State.Missing = "spec.commands[0] has --defer, and there is no state" }), lifecycle.Wait, no, "StateNotFound", "Failed", "The run cannot be carried out: spec.commands[0] has --defer, and there is no state.", 0, false},
		"no state, queued":      {"it may be there when its turn comes", at(run()).group("Queue", lifecycle.Group{Active: []string{"a"}}).with(func(in *lifecycle.Input) { in.State.Missing = "x" }), lifecycle.Wait, unknown, "Queued", "Queued", "", 30 * secs, false},
		"no state, replace":     {"it stops nobody for nothing", at(run()).group("Replace", lifecycle.Group{Active: []string{"a"}}).with(func(in *lifecycle.Input) { in.State.Missing = "x" }), lifecycle.Wait, no, "StateNotFound", "Failed", "", 0, false},
		"no state, begun":       {"what it began with it goes on with", at(begun()).job(job()).pods(pod("a").Runs(now)).with(func(in *lifecycle.Input) { in.State.Missing = "x" }), lifecycle.Wait, unknown, "Running", "Running", "", 0, false},
		"state on its way":      {"an older one is not taken", at(run()).with(func(in *lifecycle.Input) { in.State = lifecycle.State{WaitFor: "a", Wait: 2 * time.Minute} }), lifecycle.Wait, unknown, "Pending", "Pending", "Waits for the manifest of run a", 5 * secs, false},
		"state is late":         {"looked at again when it is not waited for any more", at(run()).with(func(in *lifecycle.Input) { in.State = lifecycle.State{WaitFor: "a", Wait: 2 * secs} }), lifecycle.Wait, unknown, "Pending", "Pending", "", 2 * secs, false},
		"replace, none alive":   {"those ahead are replaced, not waited for", at(run()).group("Replace", lifecycle.Group{Ahead: []string{"a"}}), lifecycle.CreateJob, unknown, "Starting", "Pending", "", 0, false},
		"begun in a busy group": {"a run that has begun is not stopped by others", at(begun()).job(job()).pods(pod("a").Runs(ago(secs))).group("Queue", lifecycle.Group{Active: []string{"b"}}), lifecycle.Wait, unknown, "Running", "Running", "", 0, false},

		// Progress.
		"suspended":      {"a queue holds the Job", at(begun()).job(job().Suspended()), lifecycle.Wait, unknown, "Suspended", "Queued", "", 0, false},
		"let go":         {"an hour in a queue is not an hour of starting", at(begun()).job(job().Created(ago(time.Hour)).Has(batchv1.JobSuspended, "JobSuspended", "")), lifecycle.Wait, unknown, "Starting", "Pending", "about to start", 10 * secs, false},
		"let go again":   {"nor is one after a pod that was preempted", at(begun()).job(job().Created(ago(2 * time.Hour)).Started(ago(4 * secs))).pods(pod("a").Exits(137, "Error", ago(time.Hour))), lifecycle.Wait, unknown, "Retrying", "Running", "", 6 * secs, false},
		"running":        {"the usual", at(begun()).job(job()).pods(pod("a").Runs(ago(secs))), lifecycle.Wait, unknown, "Running", "Running", "dbt is running in pod a.", 0, false},
		"running again":  {"after a loss", at(begun()).job(job()).pods(pod("a").Exits(137, "OOMKilled", ago(secs)), pod("b").Runs(now)), lifecycle.Wait, unknown, "Running", "Running", "running again in pod b, after 1 lost pod.", 0, false},
		"no pod yet":     {"the Job controller is asked for patience", at(begun()).job(job().Started(ago(4 * secs))), lifecycle.Wait, unknown, "Starting", "Pending", "about to start", 6 * secs, false},
		"no pod at all":  {"Kubernetes' events are asked why", at(begun()).job(job().Started(ago(20 * secs))), lifecycle.Wait, unknown, "Starting", "Pending", "", 10 * secs, true},
		"no pod, noted":  {"a quota", at(begun()).job(job().Started(ago(20 * secs))).with(func(in *lifecycle.Input) { in.Notes = []string{"exceeded quota: pods"} }), lifecycle.Wait, unknown, "Starting", "Pending", "The pod does not start: exceeded quota: pods.", 880 * secs, false},
		"unschedulable":  {"the scheduler's words", at(begun()).job(job()).pods(pod("a").Unschedulable("0/3 nodes are available")), lifecycle.Wait, unknown, "Starting", "Pending", "No node fits the pod: 0/3 nodes are available.", 870 * secs, false},
		"image pull":     {"kubelet's words", at(begun()).job(job()).pods(pod("a").Waits("ImagePullBackOff", "not found")), lifecycle.Wait, unknown, "Starting", "Pending", "Image dbt:1 cannot be pulled: not found.", 870 * secs, false},
		"image name":     {"waiting does not help", at(begun()).job(job()).pods(pod("a").Waits("InvalidImageName", "bad")), lifecycle.Wait, no, "ImagePullFailed", "Failed", "Image dbt:1 cannot be used: bad.", 0, false},
		"secret missing": {"kubelet's words", at(begun()).job(job()).pods(pod("a").Waits("CreateContainerConfigError", `secret "x" not found`)), lifecycle.Wait, unknown, "Starting", "Pending", `Container dbt cannot be made: secret "x" not found.`, 870 * secs, false},
		"start timeout":  {"as the Job remembers it", at(begun()).job(job().Annotate(v1alpha1.AnnotationStartTimeout, "30")).pods(pod("a").Unschedulable("0/3")), lifecycle.Wait, no, "StartTimeout", "Failed", "Not started within startTimeoutSeconds of 30. No node fits the pod: 0/3.", 0, false},
		"pull timeout":   {"its own reason", at(begun()).job(job().Annotate(v1alpha1.AnnotationStartTimeout, "30")).pods(pod("a").Waits("ErrImagePull", "denied")), lifecycle.Wait, no, "ImagePullFailed", "Failed", "Image dbt:1 cannot be pulled: denied.", 0, false},
		"timeout unread": {"fault 20: the default", at(begun()).job(job().Annotate(v1alpha1.AnnotationStartTimeout, "soon")).pods(pod("a").Unschedulable("x")), lifecycle.Wait, unknown, "Starting", "Pending", "", 870 * secs, false},
		"retrying":       {"why, and that another comes", at(begun()).job(job()).pods(pod("a").Exits(137, "OOMKilled", ago(4*secs))), lifecycle.Wait, unknown, "Retrying", "Running", "Pod a ran out of memory. Raise", 6 * secs, false},
		"retry stuck":    {"the second pod has its own obstacle", at(begun()).job(job()).pods(pod("a").Exits(137, "OOMKilled", ago(secs)), pod("b").Unschedulable("0/3")), lifecycle.Wait, unknown, "Retrying", "Running", "No node fits the pod: 0/3.", 870 * secs, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := *c.in
			beforeRun, beforeJob := c.in.Run.DeepCopy(), c.in.Job.DeepCopy()
			got := lifecycle.Decide(c.in.Input)
			want := lifecycle.Decision{
				Step: c.step, Phase: c.phase, Again: c.again, NeedNotes: c.notes,
				Truth: conditions.Truth{Status: c.status, Reason: c.reason, Message: got.Truth.Message},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.why, diff)
			}
			if !strings.Contains(got.Truth.Message, c.message) || got.Truth.Message == "" {
				t.Errorf("%s: message is %q, want %q", c.why, got.Truth.Message, c.message)
			}
			if diff := cmp.Diff(beforeRun, before.Run) + cmp.Diff(beforeJob, before.Job); diff != "" {
				t.Errorf("the input was changed:\n%s", diff)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		why     string
		age     time.Duration
		reason  string
		again   time.Duration
		message string
	}{
		"at first":   {"a quota may be raised", time.Minute, v1alpha1.ReasonPending, 10 * time.Second, "The API server refuses the Job: exceeded quota."},
		"near end":   {"not later than the bound", 15*time.Minute - 3*time.Second, v1alpha1.ReasonPending, 3 * time.Second, ""},
		"in the end": {"the wait is bounded", 15 * time.Minute, v1alpha1.ReasonStartTimeout, 0, "could not be created within startTimeoutSeconds: exceeded quota."},
	} {
		t.Run(name, func(t *testing.T) {
			got := lifecycle.Refused(at(run()).with(func(in *lifecycle.Input) { in.Refused, in.Since = "exceeded quota", ago(c.age) }).Input)
			if got.Truth.Reason != c.reason || got.Again != c.again || !strings.Contains(got.Truth.Message, c.message) {
				t.Errorf("%s: got %+v", c.why, got)
			}
		})
	}
}

// Every reason that is a True or False is terminal in its phase, and no phase but the terminal ones is.
func TestPhase(t *testing.T) {
	for reason, want := range map[string]v1alpha1.Phase{
		v1alpha1.ReasonPending: v1alpha1.PhasePending, v1alpha1.ReasonStarting: v1alpha1.PhasePending, v1alpha1.ReasonQueued: v1alpha1.PhaseQueued,
		v1alpha1.ReasonSuspended: v1alpha1.PhaseQueued, v1alpha1.ReasonRunning: v1alpha1.PhaseRunning, v1alpha1.ReasonRetrying: v1alpha1.PhaseRunning,
		v1alpha1.ReasonCancelling: v1alpha1.PhaseRunning,
	} {
		if got := lifecycle.Phase(conditions.Truth{Status: metav1.ConditionUnknown, Reason: reason}); got != want || got.Finished() {
			t.Errorf("phase of %s is %s, want %s", reason, got, want)
		}
	}
	for _, reason := range []string{v1alpha1.ReasonNodesFailed, v1alpha1.ReasonRejected, v1alpha1.ReasonJobMissing} {
		if got := lifecycle.Phase(conditions.Truth{Status: metav1.ConditionFalse, Reason: reason}); got != v1alpha1.PhaseFailed {
			t.Errorf("phase of %s is %s", reason, got)
		}
	}
}
