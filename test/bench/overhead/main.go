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
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/bench/kit"
	"github.com/dbt-operator/dbt-operator/test/bench/report"
)

// Budgets of design: a run's end is known at 0.85 of the time in which a Job's is, as its last report comes before kubelet and
// the Job controller have said so; and its Job is there within 50 ms.
const (
	maxRatio  = 0.85
	maxCreate = 50 * time.Millisecond
)

func main() {
	n := flag.Int("n", 7, "runs of each kind")
	image := flag.String("image", "localhost/dbt:1.11", "dbt's image")
	baked := flag.String("baked", "localhost/shop:bench", "an image with the sample project in /dbt, empty to leave it out")
	tail := flag.Int("tail", 0, "measure instead, of so many runs, the time from dbt's last line to the run's end")
	flag.Parse()
	if *tail > 0 {
		met, err := benchTail(context.Background(), *tail, *image)
		report.Exit("tail", met, err)
		return
	}
	met, err := bench(context.Background(), *n, *image, *baked)
	report.Exit("overhead", met, err)
}

func bench(ctx context.Context, n int, image, baked string) (met bool, err error) {
	sources := []source{configMapSource(image)}
	if baked != "" {
		sources = append(sources, bakedSource(baked))
	}
	place, err := kit.Open(ctx, "bench-overhead")
	if err != nil {
		return false, err
	}
	defer place.Close()
	b := &benchmark{place}
	if err := b.createSources(ctx, sources); err != nil {
		return false, err
	}
	found := report.New("overhead")
	table := found.Table(fmt.Sprintf("%d of each in turn; source", n), "Job, s (median)", "DbtRun, s (median)", "ratio", "budget")
	var creates []time.Duration
	for _, src := range sources {
		job, run, create, err := b.compare(ctx, src, n)
		if err != nil {
			return false, err
		}
		ratio := run.Seconds() / job.Seconds()
		creates = append(creates, create...)
		table.Row(ratio <= maxRatio, src.name, report.Seconds(job, 2), report.Seconds(run, 2), fmt.Sprintf("%.3f", ratio), fmt.Sprintf("%.2f", maxRatio))
	}
	p50 := kit.Median(creates)
	found.Durations("create to Job", creates)
	found.Table("create → Job", "p50, ms", "budget, ms").Row(p50 <= maxCreate, "all sources",
		fmt.Sprintf("%.0f", float64(p50.Microseconds())/1000), strconv.FormatInt(maxCreate.Milliseconds(), 10))
	return found.Finish()
}

// benchmark is a namespace with the sample project in it.
type benchmark struct{ *kit.Place }

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
	return kit.Median(jobs), kit.Median(runs), create, nil
}

func (b *benchmark) timeJob(ctx context.Context, src source, i int) (time.Duration, error) {
	job := src.job(b.Namespace, fmt.Sprintf("bare-%s-%d", src.key, i))
	w, err := b.Watch(ctx, &batchv1.JobList{}, client.InNamespace(b.Namespace))
	if err != nil {
		return 0, err
	}
	defer w.Stop()
	start := time.Now()
	if err := b.Create(ctx, job); err != nil {
		return 0, err
	}
	return kit.Await(w, start, kit.Complete(func(j *batchv1.Job) bool { return j.Name == job.Name }))
}

func (b *benchmark) timeRun(ctx context.Context, src source, i int) (total, create time.Duration, err error) {
	run := &v1alpha1.DbtRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: fmt.Sprintf("run-%s-%d", src.key, i)},
		Spec:       v1alpha1.DbtRunSpec{ProjectRef: &v1alpha1.ProjectReference{Name: src.key}},
	}
	jobs, err := b.Watch(ctx, &batchv1.JobList{}, client.InNamespace(b.Namespace), client.HasLabels{v1alpha1.LabelRun})
	if err != nil {
		return 0, 0, err
	}
	defer jobs.Stop()
	runs, err := b.Watch(ctx, &v1alpha1.DbtRunList{}, client.InNamespace(b.Namespace))
	if err != nil {
		return 0, 0, err
	}
	defer runs.Stop()
	start := time.Now()
	if err := b.Create(ctx, run); err != nil {
		return 0, 0, err
	}
	ours := func(j *batchv1.Job) bool { return j.Labels[v1alpha1.LabelRun] == run.Name }
	if create, err = kit.Await(jobs, start, func(o runtime.Object) (bool, error) {
		j, ok := o.(*batchv1.Job)
		return ok && ours(j), nil
	}); err != nil {
		return 0, 0, err
	}
	if total, err = kit.Await(runs, start, kit.Succeeded(run.Name)); err != nil {
		return 0, 0, err
	}
	// The run's end is known before its pod is gone, which must not weigh on the Job that is timed next.
	_, err = kit.Await(jobs, start, kit.Complete(ours))
	return total, create, err
}
