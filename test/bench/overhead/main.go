// Command overhead measures what a DbtRun costs beside a hand-written Job: both run `dbt build` of the sample project
// with the same image on the same cluster, in turn, and each is timed from its create call to the watch event that says
// it is over. It prints a table in Markdown whose rows end in "met" or "not met".
//
//	go run ./test/bench/overhead -n 7
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Budgets of design: a run ends no later than 1.05 times a Job does, and its Job is there within 50 ms.
const (
	maxRatio  = 1.05
	maxCreate = 50 * time.Millisecond
)

func main() {
	n := flag.Int("n", 7, "runs of each kind")
	image := flag.String("image", "localhost/dbt:1.11", "dbt's image")
	baked := flag.String("baked", "localhost/shop:bench", "an image with the sample project in /dbt, empty to leave it out")
	flag.Parse()
	met, err := bench(context.Background(), *n, *image, *baked)
	if err != nil {
		fmt.Fprintln(os.Stderr, "overhead:", err)
		os.Exit(1)
	}
	if !met {
		os.Exit(2)
	}
}

func bench(ctx context.Context, n int, image, baked string) (met bool, err error) {
	sources := []source{configMapSource(image)}
	if baked != "" {
		sources = append(sources, bakedSource(baked))
	}
	b, err := setUp(ctx, sources)
	if err != nil {
		return false, err
	}
	defer b.tearDown()
	fmt.Printf("%d of each, in turn, after one of each to warm up\n\n", n)
	fmt.Println("| source | Job, s (median) | DbtRun, s (median) | ratio | budget | |")
	fmt.Println("|---|---|---|---|---|---|")
	met = true
	var creates []time.Duration
	for _, src := range sources {
		job, run, create, err := b.compare(ctx, src, n)
		if err != nil {
			return false, err
		}
		ratio := run.Seconds() / job.Seconds()
		met = met && ratio <= maxRatio
		creates = append(creates, create...)
		fmt.Printf("| %s | %.2f | %.2f | %.3f | %.2f | %s |\n", src.name, job.Seconds(), run.Seconds(), ratio, maxRatio, verdict(ratio <= maxRatio))
	}
	p50 := median(creates)
	met = met && p50 <= maxCreate
	fmt.Printf("\n| create → Job | p50, ms | budget, ms | |\n|---|---|---|---|\n| all sources | %.0f | %d | %s |\n",
		float64(p50.Microseconds())/1000, maxCreate.Milliseconds(), verdict(p50 <= maxCreate))
	return met, nil
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "not met"
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// benchmark is a namespace with the sample project in it.
type benchmark struct {
	client.WithWatch
	namespace string
}

func setUp(ctx context.Context, sources []source) (*benchmark, error) {
	rest, err := config.GetConfig()
	if err != nil {
		return nil, err
	}
	rest.QPS = -1
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	c, err := client.NewWithWatch(rest, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "bench-overhead-"}}
	if err := c.Create(ctx, ns); err != nil {
		return nil, err
	}
	b := &benchmark{c, ns.Name}
	return b, b.createSources(ctx, sources)
}

func (b *benchmark) tearDown() {
	_ = b.Delete(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.namespace}})
}

// compare runs a Job and a DbtRun n times in turn.
func (b *benchmark) compare(ctx context.Context, src source, n int) (job, run time.Duration, create []time.Duration, err error) {
	var jobs, runs []time.Duration
	for i := range n + 1 {
		j, err := b.timeJob(ctx, src, i)
		if err != nil {
			return 0, 0, nil, err
		}
		r, c, err := b.timeRun(ctx, src, i)
		if err != nil {
			return 0, 0, nil, err
		}
		fmt.Fprintf(os.Stderr, "%s %d: Job %.2f s, DbtRun %.2f s, its Job after %d ms\n", src.name, i, j.Seconds(), r.Seconds(), c.Milliseconds())
		if i > 0 {
			jobs, runs, create = append(jobs, j), append(runs, r), append(create, c)
		}
	}
	return median(jobs), median(runs), create, nil
}

func (b *benchmark) timeJob(ctx context.Context, src source, i int) (time.Duration, error) {
	job := src.job(b.namespace, fmt.Sprintf("bare-%s-%d", src.key, i))
	w, err := b.Watch(ctx, &batchv1.JobList{}, client.InNamespace(b.namespace))
	if err != nil {
		return 0, err
	}
	defer w.Stop()
	start := time.Now()
	if err := b.Create(ctx, job); err != nil {
		return 0, err
	}
	return await(w, start, func(o runtime.Object) (bool, error) {
		j, ok := o.(*batchv1.Job)
		if !ok || j.Name != job.Name {
			return false, nil
		}
		for _, c := range j.Status.Conditions {
			if c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue {
				return false, fmt.Errorf("the bare Job %s failed: %s", j.Name, c.Message)
			}
			if c.Type == batchv1.JobComplete && c.Status == corev1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	})
}

func (b *benchmark) timeRun(ctx context.Context, src source, i int) (total, create time.Duration, err error) {
	run := &v1alpha1.DbtRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: fmt.Sprintf("run-%s-%d", src.key, i)},
		Spec:       v1alpha1.DbtRunSpec{ProjectRef: &v1alpha1.ProjectReference{Name: src.key}},
	}
	jobs, err := b.Watch(ctx, &batchv1.JobList{}, client.InNamespace(b.namespace), client.HasLabels{v1alpha1.LabelRun})
	if err != nil {
		return 0, 0, err
	}
	defer jobs.Stop()
	runs, err := b.Watch(ctx, &v1alpha1.DbtRunList{}, client.InNamespace(b.namespace))
	if err != nil {
		return 0, 0, err
	}
	defer runs.Stop()
	start := time.Now()
	if err := b.Create(ctx, run); err != nil {
		return 0, 0, err
	}
	if create, err = await(jobs, start, func(o runtime.Object) (bool, error) {
		j, ok := o.(*batchv1.Job)
		return ok && j.Labels[v1alpha1.LabelRun] == run.Name, nil
	}); err != nil {
		return 0, 0, err
	}
	total, err = await(runs, start, func(o runtime.Object) (bool, error) {
		r, ok := o.(*v1alpha1.DbtRun)
		if !ok || r.Name != run.Name {
			return false, nil
		}
		switch r.Status.Phase {
		case v1alpha1.PhaseFailed, v1alpha1.PhaseCancelled:
			return false, fmt.Errorf("the DbtRun %s failed: %s", r.Name, r.Status.Message)
		case v1alpha1.PhaseSucceeded:
			return true, nil
		}
		return false, nil
	})
	return total, create, err
}

// await returns the time from start to the first event of which done says so.
func await(w watch.Interface, start time.Time, done func(runtime.Object) (bool, error)) (time.Duration, error) {
	timeout := time.After(5 * time.Minute)
	for {
		select {
		case e, open := <-w.ResultChan():
			if !open {
				return 0, fmt.Errorf("the watch ended")
			}
			at := time.Since(start)
			ok, err := done(e.Object)
			if err != nil || ok {
				return at, err
			}
		case <-timeout:
			return 0, fmt.Errorf("not over within 5 minutes")
		}
	}
}
