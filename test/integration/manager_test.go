package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

func (w *world) ready(p *v1alpha1.DbtProject, generation int64) (string, string) {
	w.Helper()
	fresh := &v1alpha1.DbtProject{}
	testutil.Eventually(w, "project "+p.Name+" is looked at", patience, func() (bool, string) {
		err := admin.Get(w.Context(), client.ObjectKeyFromObject(p), fresh)
		return err == nil && fresh.Status.ObservedGeneration == generation, "not yet"
	})
	c := meta.FindStatusCondition(fresh.Status.Conditions, v1alpha1.ConditionReady)
	return string(c.Status) + " " + c.Reason, c.Message
}

func TestProjectSaysWhetherItCanRun(t *testing.T) {
	w := newWorld(t)
	project := w.project(testutil.MakeDbtProject("shop"))
	if got, message := w.ready(project, 1); got != "True Valid" {
		t.Errorf("Ready is %s: %s", got, message)
	}
	base := project.DeepCopy()
	project.Spec.EnvFrom = []corev1.EnvFromSource{{Prefix: "LD_", SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}}}
	w.must(admin.Patch(t.Context(), project, client.MergeFrom(base)))
	if got, message := w.ready(project, 2); got != "False InvalidSpec" || !strings.Contains(message, "LD_") {
		t.Errorf("Ready is %s: %s", got, message)
	}
}

// The API server takes the second names under which the runner learns what came by envFrom.
func TestEnvFromTwice(t *testing.T) {
	w := newWorld(t)
	project := testutil.MakeDbtProject("shop")
	project.Spec.EnvFrom = []corev1.EnvFromSource{
		{Prefix: "PG", SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "warehouse"}}},
		{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}},
	}
	w.project(project)
	job := w.job(w.run(testutil.MakeDbtRun("a").Project("shop")))
	var prefixes []string
	for _, from := range job.Spec.Template.Spec.Containers[0].EnvFrom {
		prefixes = append(prefixes, from.Prefix)
	}
	if want := []string{"PG", "", plan.FromSecret + "PG", plan.FromConfigMap}; !slices.Equal(prefixes, want) {
		t.Errorf("prefixes %q, want %q", prefixes, want)
	}
}

// What a person sees in describe: one event for each step, none twice, the end a warning only when it failed.
func TestEvents(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	first := w.run(testutil.MakeDbtRun("a").Project("shop"))
	job, pod := w.begun(first)
	second := w.run(testutil.MakeDbtRun("b").Project("shop"))
	w.reaches(second, v1alpha1.ReasonQueued)
	w.kubelet.End(pod, testutil.Exit{Message: said(first, journal.Succeeded)})
	w.kubelet.CompleteJob(job)
	job, pod = w.begun(second)
	w.kubelet.End(pod, testutil.Exit{Code: 137, Reason: "OOMKilled"})
	w.reaches(second, v1alpha1.ReasonRetrying)
	pod = w.kubelet.Pod(job, "b-2")
	w.kubelet.Start(pod)
	w.reaches(second, v1alpha1.ReasonRunning)
	w.kubelet.End(pod, testutil.Exit{Code: journal.ExitNodesFailed, Message: said(second, journal.NodesFailed)})
	w.reaches(second, v1alpha1.ReasonNodesFailed)
	want := map[string]string{"Queued": "Normal", "Starting": "Normal", "Running": "Normal", "Retrying": "Warning", "NodesFailed": "Warning"}
	testutil.Eventually(t, "the run has its events", patience, func() (bool, string) {
		return len(w.events(second)) >= len(want), "too few"
	})
	for _, e := range w.events(second) {
		if want[e.Reason] != e.Type || e.Series != nil && e.Series.Count > 1 {
			t.Errorf("event %s %s %+v, want %q once", e.Type, e.Reason, e.Series, want[e.Reason])
		}
		delete(want, e.Reason)
	}
	if len(want) > 0 {
		t.Errorf("no event for %v", want)
	}
}

// Fault 30: of two managers one works; when it stops it gives the lease back and the other goes on.
func TestLeaderElection(t *testing.T) {
	w := newWorld(t)
	w.halt()
	elect := func(o *ctrl.Options) {
		o.LeaderElection, o.LeaderElectionID, o.LeaderElectionNamespace = true, "dbt-operator", "dbt-operator-system"
		o.LeaderElectionReleaseOnCancel = true
	}
	type member struct {
		wire *wire
		stop context.CancelFunc
		done chan error
	}
	begin := func() *member {
		ctx, cancel := context.WithCancel(context.Background())
		m := &member{wire: &wire{}, stop: cancel, done: make(chan error, 1)}
		mgr := makeManager(t, m.wire, w.clock, controller.Scope{Namespaces: []string{w.ns}}, elect)
		go func() { m.done <- mgr.Start(ctx) }()
		return m
	}
	a, b := begin(), begin()
	t.Cleanup(func() { a.stop(); b.stop() })
	w.project(testutil.MakeDbtProject("shop").Concurrency(v1alpha1.ConcurrencyAllow, ""))
	run := w.run(testutil.MakeDbtRun("a").Project("shop"))
	_, pod := w.begun(run)
	leader, other := a, b
	if len(own(a.wire)) == 0 {
		leader, other = b, a
	}
	if got := own(other.wire); len(got) > 0 {
		t.Errorf("the one that does not lead wrote %q", got)
	}
	testutil.Eventually(t, "who leads is an event on the lease", patience, func() (bool, string) {
		var list corev1.EventList
		err := admin.List(t.Context(), &list, client.InNamespace("dbt-operator-system"))
		return err == nil && len(list.Items) > 0, fmt.Sprint(err)
	})
	leader.stop()
	w.must(<-leader.done)
	w.kubelet.End(pod, testutil.Exit{Message: said(run, journal.Succeeded)})
	w.reaches(run, v1alpha1.ReasonSucceeded)
	if len(own(other.wire)) == 0 {
		t.Error("the other did not take over")
	}
}

// own returns the writes to runs and Jobs.
func own(w *wire) []string {
	var out []string
	for _, s := range w.count() {
		if strings.Contains(s, "/dbtruns/") || strings.Contains(s, "/jobs") {
			out = append(out, s)
		}
	}
	return out
}
