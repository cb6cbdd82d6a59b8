package integration

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// oneJob checks that exactly one Job was ever asked for and that it is the run's.
func (w *world) oneJob(run *v1alpha1.DbtRun, name string) {
	w.Helper()
	var list batchv1.JobList
	w.must(admin.List(w.Context(), &list, client.InNamespace(w.ns)))
	if len(list.Items) != 1 || list.Items[0].Name != name || !metav1.IsControlledBy(&list.Items[0], run) {
		w.Errorf("Jobs are %+v, want %s alone", list.Items, name)
	}
}

// Fault 39: a deploy during a run.
func TestProjectEditDoesNotTouchARun(t *testing.T) {
	w := newWorld(t)
	project := w.project(testutil.MakeDbtProject("shop").Target("prod").Defaults(v1alpha1.RunDefaults{TTLSecondsAfterFinished: testutil.Ptr[int64](3600)}))
	run := w.run(testutil.MakeDbtRun("a").Project("shop"))
	job, pod := w.begun(run)
	base := project.DeepCopy()
	project.Spec.Image, project.Spec.Target = "registry.example.com/dbt:2", "ci"
	project.Spec.RunDefaults.TTLSecondsAfterFinished = testutil.Ptr[int64](1)
	w.must(admin.Patch(t.Context(), project, client.MergeFrom(base)))
	w.must(admin.Delete(t.Context(), project))
	w.gone(project)
	w.kubelet.End(pod, testutil.Exit{Message: said(run, journal.Succeeded)})
	w.kubelet.CompleteJob(job)
	done := w.reaches(run, v1alpha1.ReasonSucceeded)
	if done.Status.Project.Generation != 1 || done.Status.Project.Name != "shop" {
		t.Errorf("project is %+v", done.Status.Project)
	}
	w.oneJob(run, job.Name)
	w.clock.step(2 * time.Hour)
	w.touch(run)
	w.gone(run)
}

// Fault 32.
func TestJobDeletedByHand(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	run := w.run(testutil.MakeDbtRun("a").Project("shop"))
	job, pod := w.begun(run)
	w.must(admin.Delete(t.Context(), job, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	w.says(run, "was deleted; its pod is being stopped")
	w.kubelet.Delete(pod)
	done := w.reaches(run, v1alpha1.ReasonJobMissing)
	if done.Status.Attempts[0].Reason != "Deleted" {
		t.Errorf("attempts are %+v", done.Status.Attempts)
	}
	w.touch(run)
	w.says(run, "was deleted by someone else")
	if jobs := w.active(); len(jobs) != 0 {
		t.Errorf("the run was begun again: Job %s", jobs[0].Name)
	}
	w.budget(run)
}

func TestMissingProject(t *testing.T) {
	w := newWorld(t)
	late := w.run(testutil.MakeDbtRun("late").Project("shop"))
	w.says(late, "Waits for DbtProject shop")
	w.project(testutil.MakeDbtProject("shop"))
	w.job(late)
	never := w.run(testutil.MakeDbtRun("never").Project("nowhere"))
	w.says(never, "Waits for DbtProject nowhere")
	w.clock.step(31 * time.Second)
	w.touch(never)
	if got := w.reaches(never, v1alpha1.ReasonProjectNotFound).Status.Phase; got != v1alpha1.PhaseFailed {
		t.Errorf("phase is %s", got)
	}
}

// Faults 33 and 34: what becomes of a pod has its own reason.
func TestLostPods(t *testing.T) {
	for name, c := range map[string]struct {
		reason  string
		exit    testutil.Exit
		want    string
		attempt string
		message string
	}{
		"out of memory": {"kubelet says OOMKilled", testutil.Exit{Code: 137, Reason: "OOMKilled"}, v1alpha1.ReasonOutOfMemory, "OutOfMemory", "ran out of memory"},
		"evicted":       {"the node was full", testutil.Exit{Code: 137, PodReason: "Evicted", PodMessage: "The node was low on resource: ephemeral-storage."}, v1alpha1.ReasonPodLost, "Evicted", "low on resource"},
		"drained":       {"an eviction by the API", testutil.Exit{Code: 143, Disrupted: true}, v1alpha1.ReasonPodLost, "Evicted", "was evicted"},
		"killed":        {"no word from the runner", testutil.Exit{Code: 137, Message: "some log line\nKilled"}, v1alpha1.ReasonPodLost, "PodLost", "its last line was: Killed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(c.reason)
			w := newWorld(t)
			w.project(testutil.MakeDbtProject("shop"))
			run := w.run(testutil.MakeDbtRun("a").Project("shop").RetryPods(1))
			job, pod := w.begun(run)
			w.kubelet.End(pod, c.exit)
			w.says(run, "Another pod is started.")
			second := w.kubelet.Pod(job, "a-2")
			w.kubelet.Start(second)
			w.says(run, "running again in pod a-2, after 1 lost pod")
			w.kubelet.End(second, c.exit)
			w.kubelet.FailJob(job, batchv1.JobReasonBackoffLimitExceeded, "Job has reached the specified backoff limit")
			done := w.reaches(run, c.want)
			if !strings.Contains(done.Status.Message, c.message) || !strings.Contains(done.Status.Message, "the last of 2 pods") {
				t.Errorf("message is %q", done.Status.Message)
			}
			if got := done.Status.Attempts; len(got) != 2 || got[0].Reason != c.attempt {
				t.Errorf("attempts are %+v", got)
			}
			if n := len(w.events(run)); n > 6 {
				t.Errorf("%d events", n)
			}
		})
	}
}

func TestPodDeletedAndReplaced(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	run := w.run(testutil.MakeDbtRun("a").Project("shop"))
	job, pod := w.begun(run)
	w.kubelet.Delete(pod)
	w.is(run, "a deleted attempt", func(r *v1alpha1.DbtRun) bool {
		return len(r.Status.Attempts) == 1 && r.Status.Attempts[0].Reason == "Deleted"
	})
	second := w.kubelet.Pod(job, "a-2")
	w.kubelet.Start(second)
	w.kubelet.End(second, testutil.Exit{Message: said(run, journal.Succeeded)})
	if done := w.reaches(run, v1alpha1.ReasonSucceeded); len(done.Status.Attempts) != 2 {
		t.Errorf("attempts are %+v", done.Status.Attempts)
	}
}

// isJob and isStatus choose requests to answer in the API server's place.
func isJob(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/jobs")
}

func isStatus(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/status") }

// times answers the first n requests that match with a status.
func times(n, status int, applied bool, match func(*http.Request) bool) func(*http.Request) (int, bool) {
	return func(r *http.Request) (int, bool) {
		if n == 0 || !match(r) {
			return 0, false
		}
		n--
		return status, applied
	}
}

// Faults 26, 28, 29: a write is refused, or carried out and its reply lost.
func TestFaultyWrites(t *testing.T) {
	any := func(*http.Request) bool { return true }
	for name, c := range map[string]struct {
		reason string
		fault  func(*http.Request) (int, bool)
	}{
		"Job created, reply lost":      {"the name is the lock", times(1, 503, true, isJob)},
		"Job created, 3 replies lost":  {"however often", times(3, 503, true, isJob)},
		"Job refused once":             {"tried again", times(1, 503, false, isJob)},
		"first status write conflicts": {"somebody else wrote", times(1, 409, false, isStatus)},
		"status written, reply lost":   {"written once, known late", times(1, 503, true, isStatus)},
		"too many requests":            {"a storm", times(6, 429, false, any)},
		"server away":                  {"an outage", times(6, 503, false, any)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(c.reason)
			w := newWorld(t)
			w.project(testutil.MakeDbtProject("shop"))
			w.wire.inject(c.fault)
			run := w.run(testutil.MakeDbtRun("a").Project("shop"))
			job, pod := w.begun(run)
			w.kubelet.End(pod, testutil.Exit{Message: said(run, journal.Succeeded)})
			w.kubelet.CompleteJob(job)
			done := w.reaches(run, v1alpha1.ReasonSucceeded)
			if done.Status.Job.UID != job.UID {
				t.Errorf("status names Job %s, there is %s", done.Status.Job.UID, job.UID)
			}
			w.oneJob(run, job.Name)
		})
	}
}

// Fault 35: an admission plugin or a quota denies the Job.
func TestJobDenied(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	w.wire.inject(times(1000, 403, false, isJob))
	run := w.run(testutil.MakeDbtRun("a").Project("shop").StartTimeout(60))
	w.says(run, "The API server refuses the Job: injected")
	next := w.run(testutil.MakeDbtRun("b").Project("shop").StartTimeout(3600))
	w.clock.step(61 * time.Second)
	w.touch(run)
	done := w.reaches(run, v1alpha1.ReasonStartTimeout)
	if !strings.Contains(done.Status.Message, "could not be created within startTimeoutSeconds") {
		t.Errorf("message is %q", done.Status.Message)
	}
	w.wire.inject(nil)
	w.touch(next)
	w.job(next)
}

// A Job of somebody else has the name: it is not touched.
func TestForeignJob(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	w.halt()
	run := w.run(testutil.MakeDbtRun("a").Project("shop"))
	foreign := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: runjob.Name(run)},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "x", Image: "x"}},
		}}},
	}
	w.must(admin.Create(t.Context(), foreign))
	w.start()
	done := w.reaches(run, v1alpha1.ReasonInvalidSpec)
	if !strings.Contains(done.Status.Message, "is not the run's") {
		t.Errorf("message is %q", done.Status.Message)
	}
	w.must(admin.Get(t.Context(), client.ObjectKeyFromObject(foreign), foreign))
	if len(foreign.OwnerReferences) != 0 || !foreign.DeletionTimestamp.IsZero() {
		t.Errorf("the foreign Job was touched: %+v", foreign.ObjectMeta)
	}
}

// Fault 31 and a restart: what happened while no manager was there is recorded by the next.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	run := w.run(testutil.MakeDbtRun("a").Project("shop"))
	job, pod := w.begun(run)
	queued := w.run(testutil.MakeDbtRun("b").Project("shop"))
	w.reaches(queued, v1alpha1.ReasonQueued)
	w.halt()
	w.kubelet.End(pod, testutil.Exit{Message: said(run, journal.Succeeded)})
	w.kubelet.CompleteJob(job)
	w.start()
	w.reaches(run, v1alpha1.ReasonSucceeded)
	w.job(queued)
}

func TestTTL(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	run := w.run(testutil.MakeDbtRun("a").Project("shop").TTL(600))
	job, pod := w.begun(run)
	w.kubelet.End(pod, testutil.Exit{Message: said(run, journal.Succeeded)})
	w.kubelet.CompleteJob(job)
	done := w.reaches(run, v1alpha1.ReasonSucceeded)
	w.clock.step(500 * time.Second)
	w.touch(run)
	w.edit(run, func(r *v1alpha1.DbtRun) { r.Spec.TTLSecondsAfterFinished = testutil.Ptr[int64](900) })
	w.is(run, "generation 2 seen", func(r *v1alpha1.DbtRun) bool { return r.Status.ObservedGeneration == 2 })
	w.clock.step(200 * time.Second)
	w.touch(run)
	if got := w.get(run).Status.CompletionTime; !got.Equal(done.Status.CompletionTime) {
		t.Errorf("completionTime moved from %s to %s", done.Status.CompletionTime, got)
	}
	w.clock.step(300 * time.Second)
	w.touch(run)
	w.gone(run)
}

// Inputs 17, 20 and 36, and one bad object beside a good one.
func TestBadObjectsDoNotBlockOthers(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop").Concurrency(v1alpha1.ConcurrencyAllow, ""))
	for name, c := range map[string]struct{ command, want string }{
		"flag":         {"dbt build --profiles-dir /x", "use spec.profiles of the DbtProject"},
		"semicolon":    {"dbt build ; rm -rf /", "must be one dbt command, found 2"},
		"substitution": {"dbt build --select $(whoami)", "holds a shell expansion"},
		"quote":        {"dbt build 'x", "cannot be split into words"},
	} {
		done := w.reaches(w.run(testutil.MakeDbtRun(name).Project("shop").Command("dbt seed", c.command)), v1alpha1.ReasonInvalidSpec)
		if !strings.Contains(done.Status.Message, "spec.commands[1]: ") || !strings.Contains(done.Status.Message, c.want) {
			t.Errorf("%s: message is %q", name, done.Status.Message)
		}
	}
	wrong := testutil.MakeDbtRun("annotated").Project("shop")
	wrong.Annotations = map[string]string{
		v1alpha1.AnnotationTTL: "soon", v1alpha1.AnnotationRun: "../other", v1alpha1.AnnotationProjectGeneration: "-1", "example.com/x": strings.Repeat("x", 10_000),
	}
	run := w.run(wrong)
	job, pod := w.begun(run)
	base := job.DeepCopy()
	job.Annotations[v1alpha1.AnnotationTTL], job.Annotations[v1alpha1.AnnotationStartTimeout], job.Annotations[v1alpha1.AnnotationProjectGeneration] = "soon", "99999999999999999999", "x"
	w.must(admin.Patch(t.Context(), job, client.MergeFrom(base)))
	w.kubelet.End(pod, testutil.Exit{Message: "\x1b[31m{\"v\":1,\"uid\":\"x\""})
	done := w.reaches(run, v1alpha1.ReasonSucceeded)
	if !strings.Contains(done.Status.Message, "report could not be read") || done.Status.Results != nil {
		t.Errorf("status is %+v", done.Status)
	}
}

// A report that speaks for another run, and one that wants to break the status.
func TestHostileReports(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop").Concurrency(v1alpha1.ConcurrencyAllow, ""))
	other := w.run(testutil.MakeDbtRun("other").Project("shop"))
	run := w.run(testutil.MakeDbtRun("foreign").Project("shop"))
	_, pod := w.begun(run)
	w.kubelet.End(pod, testutil.Exit{Message: said(other, journal.Succeeded)})
	if done := w.reaches(run, v1alpha1.ReasonSucceeded); done.Status.Results != nil || done.Status.Lineage != nil {
		t.Errorf("a report of another run was believed: %+v", done.Status)
	}
	run = w.run(testutil.MakeDbtRun("overflow").Project("shop"))
	_, pod = w.begun(run)
	w.kubelet.End(pod, testutil.Exit{Code: journal.ExitNodesFailed, Message: said(run, journal.NodesFailed, func(r *journal.Report) {
		const most = 1<<31 - 1
		r.Results = journal.Results{Success: most, Warn: most, Fail: most, Error: most, Skipped: most}
		r.Selected, r.Finished = -most, most
		r.Message = strings.Repeat("<", 5000)
	})})
	w.reaches(run, v1alpha1.ReasonNodesFailed)
}

// Secrets and ConfigMaps are never read, let alone watched; the role could not do it either.
func TestNoSecretIsRead(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop").ConfigMap("files").ProfilesSecret("profiles", "profiles.yml").EnvSecret("PASSWORD", "warehouse", "password"))
	w.begun(w.run(testutil.MakeDbtRun("a").Project("shop")))
	w.wire.mu.Lock()
	defer w.wire.mu.Unlock()
	for path := range w.wire.reads {
		if strings.Contains(path, "/secrets") || strings.Contains(path, "/configmaps") {
			t.Errorf("the manager read %s", path)
		}
	}
	c, err := client.New(operator, client.Options{Scheme: scheme})
	w.must(err)
	for _, list := range []client.ObjectList{&corev1.SecretList{}, &corev1.ConfigMapList{}} {
		if err := c.List(context.Background(), list, client.InNamespace(w.ns)); err == nil {
			t.Errorf("the role may list %T", list)
		}
	}
}
