package e2e

import (
	"context"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

const (
	system        = "dbt-operator-system"
	byImageVolume = "--runner-delivery=image-volume"
	byInit        = "--runner-delivery=init-container"
)

// Where a cluster has no image volumes, an init container brings the runner. This test changes the manager that all
// share, so it does not run beside others: Go runs tests that are not parallel first.
func TestRunnerByInitContainer(t *testing.T) {
	w := newSerialWorld(t)
	w.delivery(byImageVolume, byInit)
	// The test's own context is done when it cleans up.
	t.Cleanup(func() { w.deliveryIn(context.Background(), byInit, byImageVolume) })
	w.project(duckdb111, fixtures.Shop())
	w.run("build")
	w.ended(w.over("build"), v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded, "26 nodes ended well")
	if init := w.pods()[0].Spec.InitContainers; len(init) != 1 || init[0].Name != "install-runner" {
		t.Errorf("init containers: got %v, want install-runner", init)
	}
}

// A manager that dies in the middle of a run loses nothing: the next one takes the run up where it is.
func TestManagerDies(t *testing.T) {
	w := newSerialWorld(t)
	db := w.database()
	w.project(postgres20, variant(t, "slow-model"))
	w.run("slow", commands("dbt build --vars '{slow_seconds: 8}'"))
	w.run("next", commands("dbt parse"))
	w.eventually("the slow query", patience, func() (bool, string) { return db.sleeping() == 1, "no query" })
	if err := cluster.DeleteAllOf(w.Context(), &corev1.Pod{}, client.InNamespace(system),
		client.MatchingLabels{"app.kubernetes.io/name": "dbt-operator"}, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"slow", "next"} {
		r := w.over(name)
		w.ended(r, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded)
		if len(r.Status.Attempts) != 1 {
			t.Errorf("attempts of %s: got %+v, want one", name, r.Status.Attempts)
		}
	}
}

// delivery changes how the manager brings the runner.
func (w *world) delivery(from, to string) {
	w.Helper()
	w.deliveryIn(w.Context(), from, to)
}

func (w *world) deliveryIn(ctx context.Context, from, to string) {
	w.Helper()
	w.manager(ctx, to, func(c *corev1.Container) {
		i := slices.Index(c.Args, from)
		if i < 0 {
			w.Skipf("the manager runs with %s", strings.Join(c.Args, " "))
		}
		c.Args[i] = to
	})
}

// argument gives the manager one more argument, which counts when it is there already, until the test ends.
func (w *world) argument(argument string, env ...corev1.EnvVar) {
	w.Helper()
	// The test's own context is done when it cleans up.
	w.Cleanup(func() {
		w.manager(context.Background(), "its own arguments", func(c *corev1.Container) {
			c.Args = slices.DeleteFunc(c.Args, func(a string) bool { return a == argument })
			c.Env = slices.DeleteFunc(c.Env, func(e corev1.EnvVar) bool { return slices.Contains(env, e) })
		})
	})
	w.manager(w.Context(), argument, func(c *corev1.Container) {
		c.Args, c.Env = append(c.Args, argument), append(c.Env, env...)
	})
}

// manager changes the manager's container, and waits until the changed manager is the only one.
func (w *world) manager(ctx context.Context, what string, change func(*corev1.Container)) {
	w.Helper()
	d := &appsv1.Deployment{}
	key := client.ObjectKey{Namespace: system, Name: "manager"}
	if err := cluster.Get(ctx, key, d); err != nil {
		w.Fatal(err)
	}
	before := d.DeepCopy()
	change(&d.Spec.Template.Spec.Containers[0])
	if err := cluster.Patch(ctx, d, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
	w.eventually("the manager with "+what, patience, func() (bool, string) {
		if err := cluster.Get(ctx, key, d); err != nil {
			return false, err.Error()
		}
		s := d.Status
		return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == 1 && s.Replicas == 1 && s.AvailableReplicas == 1, "rolling out"
	})
}

// A DbtRun that is deleted while it runs leaves no query behind.
func TestDeletedRunLeavesNoQuery(t *testing.T) {
	w := newWorld(t)
	db := w.database()
	w.project(postgres111, variant(t, "slow-model"))
	w.run("slow")
	w.eventually("the slow query", patience, func() (bool, string) { return db.sleeping() == 1, "no query" })
	run := &v1alpha1.DbtRun{ObjectMeta: metav1.ObjectMeta{Name: "slow", Namespace: w.namespace}}
	if err := cluster.Delete(w.Context(), run, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		t.Fatal(err)
	}
	w.eventually("no query in pg_stat_activity", patience, func() (bool, string) { return db.sleeping() == 0, "the query still runs" })
	w.eventually("no pod", patience, func() (bool, string) { return len(w.pods()) == 0, "a pod" })
}
