package collector

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// indexed reads objects as the manager's cache does: from memory, with a deep copy.
type indexed struct {
	client.Reader
	runs map[types.NamespacedName]*v1alpha1.DbtRun
	jobs map[types.NamespacedName]*batchv1.Job
	pods map[types.NamespacedName]*corev1.Pod
}

func (x *indexed) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	switch o := into.(type) {
	case *v1alpha1.DbtRun:
		if found := x.runs[key]; found != nil {
			found.DeepCopyInto(o)
			return nil
		}
	case *batchv1.Job:
		if found := x.jobs[key]; found != nil {
			found.DeepCopyInto(o)
			return nil
		}
	case *corev1.Pod:
		if found := x.pods[key]; found != nil {
			found.DeepCopyInto(o)
			return nil
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

// index moves what the fake API server has into memory.
func (w *world) index() *indexed {
	w.Helper()
	x := &indexed{w.objects, map[types.NamespacedName]*v1alpha1.DbtRun{}, map[types.NamespacedName]*batchv1.Job{}, map[types.NamespacedName]*corev1.Pod{}}
	var runs v1alpha1.DbtRunList
	var jobs batchv1.JobList
	var pods corev1.PodList
	for _, list := range []client.ObjectList{&runs, &jobs, &pods} {
		w.ok(w.objects.List(w.Context(), list))
	}
	for i := range runs.Items {
		x.runs[client.ObjectKeyFromObject(&runs.Items[i])] = &runs.Items[i]
	}
	for i := range jobs.Items {
		x.jobs[client.ObjectKeyFromObject(&jobs.Items[i])] = &jobs.Items[i]
	}
	for i := range pods.Items {
		x.pods[client.ObjectKeyFromObject(&pods.Items[i])] = &pods.Items[i]
	}
	return x
}

// BenchmarkReports has 200 runs report at once, each what a second of a run has to say, through the real server over TLS,
// into a folder; and has everything that is kept of all of them asked for once in each round, as the controller does every
// few seconds. One operation is one round.
//
//	go test ./internal/collector -run '^$' -bench Reports -cpu 1,2
func BenchmarkReports(b *testing.B) {
	const n = 200
	w := newWorld(b, nil)
	s, err := store.Open(b.Context(), "file://"+b.TempDir())
	w.ok(err)
	b.Cleanup(func() { _ = s.Close() })
	w.store.Store = s
	runs, tokens := make([]*v1alpha1.DbtRun, n), make([]string, n)
	for i := range n {
		name := fmt.Sprintf("r%d", i)
		runs[i], tokens[i] = w.run(name), w.pod(name, 1)
	}
	objects := w.index()
	w.configure = func(c *Config) { c.Cache, c.Clock = objects, clock.RealClock{} }
	w.restart()
	at := make([]int64, n)
	var took []time.Duration
	var mu sync.Mutex
	report := func(i int, es ...journal.Entry) {
		begin := time.Now()
		at[i] = w.says(tokens[i], at[i], es...)
		mu.Lock()
		defer mu.Unlock()
		took = append(took, time.Since(begin))
	}
	all := func(es ...journal.Entry) {
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() { report(i, es...) })
		}
		wg.Wait()
	}
	all(begins, command)
	took = took[:0]
	round := 0
	for b.Loop() {
		id := fmt.Sprintf("model.shop.m%d", round)
		all(journal.Entry{Kind: journal.KindStart, Node: &journal.Node{ID: id + "-next"}}, result(id))
		for i, run := range runs {
			k, err := w.c.Kept(b.Context(), client.ObjectKeyFromObject(run), run.UID)
			if err != nil || k == nil || k.Report.Finished != int32(round+1) {
				b.Fatalf("run %d after round %d: %+v, %v", i, round, k, err)
			}
		}
		round++
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
}

// BenchmarkKept asks for what is kept of a run of 10,000 nodes that goes on.
func BenchmarkKept(b *testing.B) {
	w := newWorld(b, nil)
	w.run("a")
	token := w.pod("a", 1)
	at := w.says(token, 0, begins, command)
	for i := range 100 {
		var es []journal.Entry
		for j := range 100 {
			es = append(es, result(fmt.Sprintf("model.shop.m%d", i*100+j)))
		}
		at = w.says(token, at, es...)
	}
	for b.Loop() {
		at = w.says(token, at, result("model.shop.m1"))
		w.kept("a")
	}
}
