package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// What a run costs the API server, from its creation to its end, is as little as it can be: its Job, a status for each
// phase, an event for each, and no read at all.
func TestRequestsOfARun(t *testing.T) {
	w := newWorld(t)
	if got, message := w.ready(w.project(testutil.MakeDbtProject("shop")), 1); got != "True Valid" {
		t.Fatal(got, message)
	}
	before := w.wire.seen()
	run := w.run(testutil.MakeDbtRun("nightly").Project("shop"))
	job, pod := w.begun(run)
	w.kubelet.End(pod, testutil.Exit{Message: said(run, journal.Succeeded)})
	w.reaches(run, v1alpha1.ReasonSucceeded)
	w.kubelet.CompleteJob(job)
	testutil.Eventually(t, "the run has its events", patience, func() (bool, string) {
		return len(w.events(run)) >= 3, "too few"
	})

	jobs, statuses := 0, 0
	for _, write := range w.wire.count() {
		switch {
		case strings.HasPrefix(write, "POST ") && strings.Contains(write, "/jobs"):
			jobs++
		case strings.HasPrefix(write, "PATCH ") && strings.Contains(write, "/dbtruns/nightly/status"):
			statuses++
		default:
			t.Errorf("a write too much: %s", write)
		}
	}
	if jobs != 1 || statuses != 3 {
		t.Errorf("%d Jobs and %d statuses were written, want 1 and 3:\n%s", jobs, statuses, strings.Join(w.wire.count(), "\n"))
	}
	if events := w.events(run); len(events) != 3 {
		t.Errorf("%d events, want Starting, Running and the end", len(events))
	}
	for read, n := range w.wire.seen() {
		if n > before[read] && !strings.HasPrefix(read, "watch ") {
			t.Errorf("the run cost %d of %q: what is cached needs no read", n-before[read], read)
		}
	}
}

// Where the collector heard how a run ended, nothing is read of its Job and its pod, which no cache holds any more; where it
// did not, one read has all that the pod said. The time to live that the run began with counts without them.
func TestReadsOfWhatSucceeded(t *testing.T) {
	k := newKeeping(t)
	shop := k.shop()
	base := shop.DeepCopy()
	shop.Spec.RunDefaults = v1alpha1.RunDefaults{TTLSecondsAfterFinished: testutil.Ptr[int64](3600)}
	k.must(admin.Patch(t.Context(), shop, client.MergeFrom(base)))
	k.seen(shop)
	reads := func(pod client.Object) (out []string) {
		for read, n := range k.wire.seen() {
			if (strings.Contains(read, "/pods") || strings.Contains(read, "/jobs")) && !strings.HasPrefix(read, "watch ") {
				out = append(out, fmt.Sprintf("%d × %s", n, strings.ReplaceAll(read, pod.GetName(), "POD")))
			}
		}
		return out
	}
	heard := k.run(dbtRun("heard"))
	job, pod := k.begun(heard)
	k.reports(heard, pod, journal.Succeeded)
	k.is(heard, "its files", func(r *v1alpha1.DbtRun) bool { return r.Status.Phase.Finished() && len(r.Status.Artifacts) > 0 })
	k.kubelet.End(pod, testutil.Exit{Message: said(heard, journal.Succeeded)})
	k.kubelet.CompleteJob(job)
	if got := k.get(heard); got.Status.Revision.Image == "" || got.Status.Attempts[0].Reason != "Succeeded" {
		t.Errorf("status is %+v", got.Status)
	}

	silent := k.run(dbtRun("silent"))
	_, last := k.begun(silent)
	// The run before is long settled when the next one runs.
	if got := reads(pod); len(got) > 0 {
		t.Errorf("of a run that the collector heard of was read %q", got)
	}
	k.kubelet.End(last, testutil.Exit{Message: said(silent, journal.Succeeded)})
	if got := k.reaches(silent, v1alpha1.ReasonSucceeded); got.Status.Nodes != "3/3" || got.Status.Lineage == nil {
		t.Errorf("status is %+v", got.Status)
	}
	if diff := cmp.Diff([]string{"1 × get /api/v1/namespaces/" + k.ns + "/pods/POD"}, reads(last)); diff != "" {
		t.Errorf("reads of a pod that the collector did not hear (-want +got):\n%s", diff)
	}

	base = shop.DeepCopy()
	shop.Spec.RunDefaults = v1alpha1.RunDefaults{}
	k.must(admin.Patch(t.Context(), shop, client.MergeFrom(base)))
	k.seen(shop)
	k.clock.step(2 * time.Hour)
	k.touch(heard)
	k.gone(heard)
}

// The manager watches these kinds and no other, each once.
func TestInformers(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	w.begun(w.run(testutil.MakeDbtRun("a").Project("shop")))
	var watched []string
	for read := range maps.Keys(w.wire.seen()) {
		if path, is := strings.CutPrefix(read, "watch "); is {
			watched = append(watched, path[strings.LastIndex(path, "/")+1:])
		}
	}
	slices.Sort(watched)
	if diff := cmp.Diff([]string{"dbtprojects", "dbtruns", "dbtschedules", "jobs", "pods"}, watched); diff != "" {
		t.Errorf("kinds that are watched (-want +got):\n%s", diff)
	}
}

// cachedBudget bounds what the cache holds of one ended run, as JSON: 10,000 of them are to fit into the manager's memory.
const cachedBudget = 6 << 10

// A run that ended, with its Job and its pod, as the cache keeps them.
func TestCachedSizeOfARun(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop").ConfigMap("files"))
	run := w.run(testutil.MakeDbtRun("nightly").Project("shop"))
	job, pod := w.begun(run)
	w.kubelet.End(pod, testutil.Exit{Message: said(run, journal.Succeeded)})
	run = w.reaches(run, v1alpha1.ReasonSucceeded)
	total := 0
	var parts []string
	for _, object := range []client.Object{run, job, pod} {
		w.must(admin.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: object.GetName()}, object))
		b, err := json.Marshal(cached(t, object))
		w.must(err)
		total += len(b)
		parts = append(parts, fmt.Sprintf("%T %d", object, len(b)))
	}
	t.Logf("%d bytes: %s", total, strings.Join(parts, ", "))
	if total > cachedBudget {
		t.Errorf("the cache holds %d bytes of a run (%s), want at most %d", total, strings.Join(parts, ", "), cachedBudget)
	}
}

// cached returns an object as the manager's cache keeps it.
func cached(t *testing.T, object client.Object) any {
	t.Helper()
	opts := controller.CacheOptions(controller.Scope{}, time.Now)
	transform := opts.DefaultTransform
	for kind, by := range opts.ByObject {
		if fmt.Sprintf("%T", kind) == fmt.Sprintf("%T", object) && by.Transform != nil {
			transform = by.Transform
		}
	}
	out, err := transform(object)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
