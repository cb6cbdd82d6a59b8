// Command warm measures how soon dbt begins its first node when the project was run before: a DbtRun, whose pod is new but
// finds what the run before parsed, beside a hand-written Job with the project and its target folder still in a volume of the
// node, and beside a DbtRun that parses everything. Each is timed from its create call to the line in which dbt starts the
// node. It runs on the cluster's node, and prints a table in Markdown whose rows end in "met" or "not met".
//
//	go run ./test/bench/warm -n 7
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	batchv1 "k8s.io/api/batch/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
	"github.com/dbt-operator/dbt-operator/test/bench/kit"
	"github.com/dbt-operator/dbt-operator/test/bench/report"
)

// maxRatio is the budget of design, beside dbt by hand with a warm target folder.
const maxRatio = 1.1

// starts is what dbt prints when it begins a model. https://docs.getdbt.com/reference/events-logging
const starts = " START "

func main() {
	n := flag.Int("n", 7, "runs of each kind")
	models := flag.Int("models", 500, "models of the project")
	image := flag.String("image", "localhost/dbt:1.12", "dbt's image")
	flag.Parse()
	met, err := bench(context.Background(), *n, *models, *image)
	report.Exit("warm", met, err)
}

func bench(ctx context.Context, n, models int, image string) (met bool, err error) {
	place, err := kit.Open(ctx, "bench-warm")
	if err != nil {
		return false, err
	}
	defer place.Close()
	kept, err := os.MkdirTemp("", "bench-warm-")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(kept) }()
	// The Job's user is another.
	if err := os.Chmod(kept, 0o777); err != nil { //nolint:gosec // a folder of the benchmark's own, for as long as it runs
		return false, err
	}
	b := benchmark{Place: place, image: image, kept: kept}
	if err := b.setUp(ctx, models); err != nil {
		return false, err
	}
	found := map[string][]time.Duration{}
	for i := range n + 1 {
		for _, kind := range []struct {
			name string
			time func(context.Context, string) (time.Duration, error)
		}{{"hand", b.timeJob}, {"warm", b.timeWarm}, {"cold", b.timeCold}} {
			took, err := kind.time(ctx, kind.name+"-"+strconv.Itoa(i))
			if err != nil {
				return false, err
			}
			fmt.Fprintf(os.Stderr, "%s %d: %.2f s\n", kind.name, i, took.Seconds())
			// The first of each makes what the others find.
			if i > 0 {
				found[kind.name] = append(found[kind.name], took)
			}
		}
	}
	r := report.New("warm")
	t := r.Table(fmt.Sprintf("%d models, dbt %s; create → first node, of %d", models, image[len(image)-4:], n), "median, s", "by hand", "budget")
	for name, samples := range found {
		r.Durations(name, samples)
	}
	hand, warm, cold := kit.Median(found["hand"]), kit.Median(found["warm"]), kit.Median(found["cold"])
	ratio := func(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()/hand.Seconds()) }
	t.Note("Job with a warm target/, by hand", report.Seconds(hand, 2), "1.000", "")
	t.Row(warm.Seconds() <= maxRatio*hand.Seconds(), "DbtRun, warm", report.Seconds(warm, 2), ratio(warm), fmt.Sprintf("%.1f", maxRatio))
	t.Note("DbtRun, cold", report.Seconds(cold, 2), ratio(cold), "")
	return r.Finish()
}

// timeWarm times a run of the same files as the one before.
func (b benchmark) timeWarm(ctx context.Context, name string) (time.Duration, error) {
	return b.timeRun(ctx, b.run(name, ""))
}

// timeCold times a run with a variable that no run had before.
func (b benchmark) timeCold(ctx context.Context, name string) (time.Duration, error) {
	return b.timeRun(ctx, b.run(name, name))
}

func (b benchmark) timeRun(ctx context.Context, run *v1alpha1.DbtRun) (time.Duration, error) {
	w, err := b.Watch(ctx, &v1alpha1.DbtRunList{}, client.InNamespace(b.Namespace))
	if err != nil {
		return 0, err
	}
	defer w.Stop()
	jobs, err := b.Watch(ctx, &batchv1.JobList{}, client.InNamespace(b.Namespace))
	if err != nil {
		return 0, err
	}
	defer jobs.Stop()
	start := time.Now()
	if err := b.Create(ctx, run); err != nil {
		return 0, err
	}
	if _, err := kit.Await(w, start, kit.Succeeded(run.Name)); err != nil {
		return 0, err
	}
	// The pod must not weigh on what is timed next.
	labels := client.MatchingLabels{v1alpha1.LabelRun: run.Name}
	if _, err := kit.Await(jobs, start, kit.Complete(func(j *batchv1.Job) bool { return j.Labels[v1alpha1.LabelRun] == run.Name })); err != nil {
		return 0, err
	}
	at, err := b.Said(ctx, labels, runjob.ContainerName, starts)
	if err != nil {
		return 0, fmt.Errorf("the DbtRun %s: %w", run.Name, err)
	}
	return at.Sub(start), nil
}

func (b benchmark) timeJob(ctx context.Context, name string) (time.Duration, error) {
	jobs, err := b.Watch(ctx, &batchv1.JobList{}, client.InNamespace(b.Namespace))
	if err != nil {
		return 0, err
	}
	defer jobs.Stop()
	start := time.Now()
	if err := b.Create(ctx, b.job(name)); err != nil {
		return 0, err
	}
	if _, err := kit.Await(jobs, start, kit.Complete(func(j *batchv1.Job) bool { return j.Name == name })); err != nil {
		return 0, err
	}
	at, err := b.Said(ctx, client.MatchingLabels{batchv1.JobNameLabel: name}, runjob.ContainerName, starts)
	if err != nil {
		return 0, fmt.Errorf("the Job %s: %w", name, err)
	}
	return at.Sub(start), nil
}
