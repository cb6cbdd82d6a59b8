package collector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/store"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// stored returns the UIDs of the runs of which something is kept.
func (w *world) stored() []string {
	w.Helper()
	var uids []string
	w.ok(w.store.Runs(w.Context(), func(i store.RunInfo) error {
		uids = append(uids, i.Run.UID)
		return nil
	}))
	slices.Sort(uids)
	return uids
}

// left makes a run that is over and that left something behind.
func (w *world) left(name, project string, ago time.Duration) {
	w.Helper()
	w.run(name, func(r *v1alpha1.DbtRun) {
		r.Spec.ProjectRef.Name = project
		if project == "" {
			r.Spec.ProjectRef, r.Spec.Project = nil, &testutil.MakeDbtProject("x").Spec
		}
	})
	w.says(w.pod(name, 1), 0, begins, end("Succeeded"))
	w.over(name, v1alpha1.PhaseSucceeded, "Succeeded", w.clock.Now().Add(-ago))
}

func (w *world) sweep(after time.Duration) {
	w.Helper()
	w.clock.Step(after)
	w.ok(w.c.Sweep(w.Context()))
}

func TestRetention(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		reason    string
		retention Retention
		want      []string
	}{
		"no limits":        {"all is kept", Retention{}, []string{"run-active", "run-inline1", "run-inline2", "run-new", "run-old", "run-older", "run-other"}},
		"by age":           {"from the run's end", Retention{Age: 5 * day}, []string{"run-active", "run-inline1", "run-inline2", "run-new", "run-other"}},
		"by count":         {"per project, the newest; inline projects together", Retention{Count: 1}, []string{"run-active", "run-inline1", "run-new", "run-other"}},
		"by age and count": {"whichever is first", Retention{Age: 5 * day, Count: 2}, []string{"run-active", "run-inline1", "run-inline2", "run-new", "run-other"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(col *Collector) { col.config.Retention = c.retention })
			w.left("new", "shop", time.Hour)
			w.left("old", "shop", 6*day)
			w.left("older", "shop", 9*day)
			w.left("other", "crm", 2*time.Hour)
			w.left("inline1", "", time.Hour)
			w.left("inline2", "", 3*time.Hour)
			w.run("active")
			w.says(w.pod("active", 1), 0, begins)
			w.sweep(0)
			if got := w.stored(); len(got) != 7 {
				t.Errorf("something was deleted within an hour of its last change: %v left", got)
			}
			w.sweep(young + time.Minute)
			if diff := cmp.Diff(c.want, w.stored()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
			if got := w.counter("dbtoperator_collector_deleted_runs_total"); got != float64(7-len(c.want)) {
				t.Errorf("%v deletions counted", got)
			}
		})
	}
}

// The run that others get as state is kept for as long as its DbtRun, whatever its age and however many came after it.
func TestRetentionSparesTheLastGoodRun(t *testing.T) {
	for name, retention := range map[string]Retention{"by age": {Age: time.Hour}, "by count": {Count: 1}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(col *Collector) { col.config.Retention = retention })
			project := testutil.MakeDbtProject("crm").Namespace("ns").UID("crm-1").Obj()
			project.Status.LastGood = []v1alpha1.GoodRun{{Target: "prod", Run: "good", UID: "run-good"}}
			w.ok(w.objects.Create(t.Context(), project))
			w.left("good", "crm", 60*24*time.Hour)
			w.left("failed", "crm", 50*24*time.Hour)
			w.left("newest", "crm", 0)
			w.sweep(young + time.Minute)
			left := w.stored()
			if !slices.Contains(left, "run-good") || slices.Contains(left, "run-failed") {
				t.Errorf("left: %v, want run-good, which is the state of target prod, and not run-failed", left)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	w := newWorld(t, nil)
	w.left("a", "shop", time.Hour)
	w.left("b", "shop", time.Hour)
	a := types.NamespacedName{Namespace: "ns", Name: "a"}
	w.ok(w.c.DeleteGone(t.Context(), a, "run-a"))
	if got := w.stored(); !cmp.Equal(got, []string{"run-a", "run-b"}) {
		t.Errorf("a run that the API server has lost what is kept of it; left: %v", got)
	}
	w.ok(w.objects.Delete(t.Context(), &v1alpha1.DbtRun{ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: a.Name}}))
	w.ok(w.c.DeleteGone(t.Context(), a, "run-a"))
	w.ok(w.c.DeleteGone(t.Context(), a, "run-a"))
	if got := w.stored(); !cmp.Equal(got, []string{"run-b"}) {
		t.Errorf("left: %v", got)
	}
	if w.kept("a") != nil {
		t.Error("it is still told of")
	}
}

// What belongs to no run goes, if the API server says so, too, and it is old enough.
func TestOrphans(t *testing.T) {
	forget := func(w *world, name string) {
		w.Helper()
		run := &v1alpha1.DbtRun{}
		run.Namespace, run.Name = "ns", name
		w.ok(w.objects.Delete(w.Context(), run))
	}
	stale := func(c client.WithWatch) client.WithWatch {
		return interceptor.NewClient(c, interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return nil // a cache that has not heard of anything
		}})
	}
	unsure := func(c client.WithWatch) client.WithWatch {
		return interceptor.NewClient(c, interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return errors.New("connection refused")
		}})
	}
	for name, c := range map[string]struct {
		reason string
		set    func(w *world)
		after  time.Duration
		want   []string
		err    string
	}{
		"gone":               {"the delete event was missed", func(w *world) { forget(w, "a") }, 2 * time.Hour, []string{"run-b"}, ""},
		"gone a moment ago":  {"it may be one that is not known yet", func(w *world) { forget(w, "a") }, young - time.Minute, []string{"run-a", "run-b"}, ""},
		"unknown to a cache": {"the API server knows it", func(w *world) { w.c.config.Cache = stale(w.objects) }, 2 * time.Hour, []string{"run-a", "run-b"}, ""},
		"nobody can tell":    {"the API server is away", func(w *world) { forget(w, "a"); w.c.config.Direct = unsure(w.objects) }, 2 * time.Hour, []string{"run-a", "run-b"}, "connection refused"},
		"made again": {"by its name, with another UID", func(w *world) {
			forget(w, "a")
			w.ok(w.objects.Create(w.Context(), testutil.MakeDbtRun("a").Namespace("ns").UID("run-a-2").Obj()))
		}, 2 * time.Hour, []string{"run-b"}, ""},
		"another namespace": {"the cache does not know of it", func(w *world) { forget(w, "a"); w.c.config.Namespaces = []string{"other"} }, 2 * time.Hour, []string{"run-a", "run-b"}, ""},
		"the clock is back": {"it seems to come from the future", func(w *world) { forget(w, "a") }, -2 * time.Hour, []string{"run-a", "run-b"}, ""},
		"without a document": {"nobody knows its name", func(w *world) {
			forget(w, "a")
			w.ok(w.store.PutMeta(w.Context(), store.Run{Namespace: "ns", UID: "run-a"}, []byte("{}")))
			w.ok(w.store.PutMeta(w.Context(), store.Run{Namespace: "ns", UID: "run-b"}, []byte("{}")))
		}, 2 * time.Hour, []string{"run-b"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			for _, run := range []string{"a", "b"} {
				w.run(run)
				w.says(w.pod(run, 1), 0, begins)
			}
			c.set(w)
			w.clock.Step(c.after)
			err := w.c.Sweep(t.Context())
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", c.reason, err)
			}
			if diff := cmp.Diff(c.want, w.stored()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

// One that cannot be deleted does not keep the sweep from the rest.
func TestSweepGoesOn(t *testing.T) {
	w := newWorld(t, func(c *Collector) { c.config.Retention.Age = time.Hour })
	for i := range 3 {
		w.left(fmt.Sprint("r", i), "shop", 2*time.Hour)
	}
	w.store.undeletable = "run-r1"
	w.clock.Step(2 * time.Hour)
	if err := w.c.Sweep(t.Context()); err == nil || !strings.Contains(err.Error(), "run-r1") {
		t.Errorf("got %v", err)
	}
	if got := w.stored(); !cmp.Equal(got, []string{"run-r1"}) {
		t.Errorf("left: %v", got)
	}
}

func TestSweeperSweepsAgainAndAgain(t *testing.T) {
	w := newWorld(t, func(c *Collector) { c.config.Retention.Age = time.Hour })
	w.left("a", "shop", 2*time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.c.Sweeper().Start(ctx) }()
	for range 3 {
		testutil.Eventually(t, "the sweeper waits", 10*time.Second, func() (bool, string) { return w.clock.HasWaiters(), "" })
		w.clock.Step(sweepEvery)
	}
	testutil.Eventually(t, "a sweep", 10*time.Second, func() (bool, string) { return len(w.stored()) == 0, fmt.Sprint(w.stored()) })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
