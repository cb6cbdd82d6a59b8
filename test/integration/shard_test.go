package integration

import (
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// sharded replaces the world's manager by one for each selector, and returns what they ask of the API server.
func (w *world) sharded(selectors ...string) []*wire {
	w.Helper()
	w.halt()
	var wires []*wire
	var stops []func()
	for _, selector := range selectors {
		shard, err := controller.ParseShard(selector)
		w.must(err)
		over := &wire{}
		stops = append(stops, w.serve(makeManager(w.T, over, w.clock, controller.Scope{Namespaces: []string{w.ns}, Shard: shard})))
		wires = append(wires, over)
	}
	w.stop = func() {
		for _, stop := range stops {
			stop()
		}
	}
	return wires
}

// Each of two managers carries out the runs and schedules of its shard, with all that belongs to them, and never writes to
// anything of the other's.
func TestShardsDoNotTouchEachOther(t *testing.T) {
	w := newWorld(t)
	wires := w.sharded(v1alpha1.LabelShard+"=blue", "!"+v1alpha1.LabelShard)
	w.project(testutil.MakeDbtProject("shop-blue").Label(v1alpha1.LabelShard, "blue"))
	w.project(testutil.MakeDbtProject("shop-rest"))
	var jobs []string
	for _, run := range []*v1alpha1.DbtRun{
		w.run(testutil.MakeDbtRun("run-blue").Project("shop-blue").Label(v1alpha1.LabelShard, "blue")),
		w.run(testutil.MakeDbtRun("run-rest").Project("shop-rest")),
	} {
		job, pod := w.begun(run)
		if job.Labels[v1alpha1.LabelShard] != run.Labels[v1alpha1.LabelShard] || pod.Labels[v1alpha1.LabelShard] != run.Labels[v1alpha1.LabelShard] {
			t.Errorf("DbtRun %s is of shard %q, its Job of %q, its pod of %q", run.Name, run.Labels[v1alpha1.LabelShard], job.Labels[v1alpha1.LabelShard], pod.Labels[v1alpha1.LabelShard])
		}
		w.kubelet.End(pod, testutil.Exit{})
		w.reaches(run, v1alpha1.ReasonSucceeded)
		jobs = append(jobs, job.Name)
	}
	for i, mine := range []string{"-blue", "-rest"} {
		for _, write := range wires[i].count() {
			if strings.Contains(write, "/events") {
				continue
			}
			if !strings.Contains(write, mine) && !strings.HasSuffix(strings.TrimSpace(write), "/jobs") {
				t.Errorf("the manager of %s wrote %s", mine, write)
			}
		}
		if made := countOf(wires[i].count(), "POST", "/jobs"); made != 1 {
			t.Errorf("the manager of %s made %d Jobs, want 1 of %v", mine, made, jobs)
		}
	}
}

func countOf(writes []string, verb, suffix string) (n int) {
	for _, w := range writes {
		if strings.HasPrefix(w, verb+" ") && strings.HasSuffix(strings.TrimSpace(w), suffix) {
			n++
		}
	}
	return n
}

// A run and its project in different shards could share a concurrency group with runs that its manager does not see.
func TestRunOfAnotherShardThanItsProject(t *testing.T) {
	w := newWorld(t)
	w.sharded("!" + v1alpha1.LabelShard)
	w.project(testutil.MakeDbtProject("shop").Label(v1alpha1.LabelShard, "blue"))
	run := w.reaches(w.run(testutil.MakeDbtRun("r").Project("shop")), v1alpha1.ReasonInvalidSpec)
	if want := `dbtoperator.dev/shard is "", and "blue" on DbtProject shop: create the DbtRun with the label of its project`; !strings.Contains(run.Status.Message, want) {
		t.Errorf("message is %q, want %q", run.Status.Message, want)
	}
	inline := testutil.MakeDbtRun("inline").Inline(testutil.MakeDbtProject("x").ConfigMap("files").Concurrency(v1alpha1.ConcurrencyQueue, "g").Obj())
	run = w.reaches(w.run(inline), v1alpha1.ReasonInvalidSpec)
	if want := "spec.project.concurrency.group: several managers divide the runs here"; !strings.Contains(run.Status.Message, want) {
		t.Errorf("message is %q, want %q", run.Status.Message, want)
	}
}

// A label that moved a run or project to another manager would have two of them at work on it.
func TestShardsAreKept(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop").Label(v1alpha1.LabelShard, "blue"))
	run := w.run(testutil.MakeDbtRun("r").Project("shop").Label(v1alpha1.LabelShard, "blue"))
	project := &v1alpha1.DbtProject{}
	w.must(admin.Get(t.Context(), client.ObjectKey{Namespace: w.ns, Name: "shop"}, project))
	for kind, object := range map[string]client.Object{"DbtRun": run, "DbtProject": project} {
		for _, labels := range []string{`{"dbtoperator.dev/shard":"green"}`, `{"dbtoperator.dev/shard":null}`} {
			err := admin.Patch(t.Context(), object.DeepCopyObject().(client.Object), client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":`+labels+`}}`)))
			if err == nil || !strings.Contains(err.Error(), "the label dbtoperator.dev/shard of a "+kind+" cannot be changed") {
				t.Errorf("%s with labels %s: %v", kind, labels, err)
			}
		}
	}
}
