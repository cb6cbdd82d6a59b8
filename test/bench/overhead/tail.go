package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
	"github.com/dbt-operator/dbt-operator/test/bench/kit"
	"github.com/dbt-operator/dbt-operator/test/bench/report"
)

// Budgets of design for the time from dbt's last line to the end of its run.
const (
	maxTailMedian = 100 * time.Millisecond
	maxTail       = time.Second
)

// lastLine begins the last line that dbt writes (https://docs.getdbt.com/reference/events-logging), exited is what a hand-written
// Job says when dbt's process is gone.
const (
	lastLine = "Done. PASS="
	exited   = "dbt has exited."
)

// handEvery is after how many runs one is made by hand.
const handEvery = 5

// benchTail measures, of n runs one after the other, the time from dbt's last line to the watch event that says Succeeded; and,
// in hand-written Jobs among them, how much of it dbt itself takes to exit.
func benchTail(ctx context.Context, n int, image string) (met bool, err error) {
	place, err := kit.Open(ctx, "bench-tail")
	if err != nil {
		return false, err
	}
	defer place.Close()
	b := &benchmark{place}
	src := configMapSource(image)
	if err := b.createSources(ctx, []source{src}); err != nil {
		return false, err
	}
	var tails, own []time.Duration
	for i := range n + 1 {
		tail, err := b.timeTail(ctx, src, i)
		if err != nil {
			return false, err
		}
		fmt.Fprintf(os.Stderr, "tail %d: %d ms\n", i, tail.Milliseconds())
		if i > 0 {
			tails = append(tails, tail)
		}
		if i%handEvery == 1 {
			exit, err := b.timeExit(ctx, src, i)
			if err != nil {
				return false, err
			}
			fmt.Fprintf(os.Stderr, "by hand %d: %d ms\n", i, exit.Milliseconds())
			own = append(own, exit)
		}
	}
	r := report.New("tail")
	r.Durations("tail", tails)
	r.Durations("dbt's exit by hand", own)
	slices.Sort(tails)
	t := r.Table(fmt.Sprintf("dbt's last line → Succeeded, of %d runs", n), "found, ms", "budget, ms")
	row := func(what string, found, budget time.Duration) {
		t.Row(found <= budget, what, fmt.Sprint(found.Milliseconds()), fmt.Sprint(budget.Milliseconds()))
	}
	row("p50", tails[len(tails)/2], maxTailMedian)
	row("p99", tails[min(len(tails)-1, len(tails)*99/100)], maxTail)
	t.Note(fmt.Sprintf("of that dbt's own way to its exit, p50 of %d by hand", len(own)), fmt.Sprint(kit.Median(own).Milliseconds()), "")
	return r.Finish()
}

// timeExit measures in a Job how long dbt takes from its last line to the end of its process.
func (b *benchmark) timeExit(ctx context.Context, src source, i int) (time.Duration, error) {
	src.script = strings.Replace(src.script, "exec ", "", 1) + " && echo '" + exited + "'"
	job := src.job(b.Namespace, fmt.Sprintf("by-hand-%d", i))
	w, err := b.Watch(ctx, &batchv1.JobList{}, client.InNamespace(b.Namespace))
	if err != nil {
		return 0, err
	}
	defer w.Stop()
	if err := b.Create(ctx, job); err != nil {
		return 0, err
	}
	if _, err := kit.Await(w, time.Now(), kit.Complete(func(j *batchv1.Job) bool { return j.Name == job.Name })); err != nil {
		return 0, err
	}
	var said [2]time.Time
	for i, line := range []string{lastLine, exited} {
		if said[i], err = b.Said(ctx, client.MatchingLabels{batchv1.JobNameLabel: job.Name}, job.Spec.Template.Spec.Containers[0].Name, line); err != nil {
			return 0, fmt.Errorf("the log of Job %s: %w", job.Name, err)
		}
	}
	return said[1].Sub(said[0]), nil
}

func (b *benchmark) timeTail(ctx context.Context, src source, i int) (time.Duration, error) {
	run := &v1alpha1.DbtRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: fmt.Sprintf("tail-%d", i)},
		Spec:       v1alpha1.DbtRunSpec{ProjectRef: &v1alpha1.ProjectReference{Name: src.key}},
	}
	runs, err := b.Watch(ctx, &v1alpha1.DbtRunList{}, client.InNamespace(b.Namespace))
	if err != nil {
		return 0, err
	}
	defer runs.Stop()
	start := time.Now()
	if err := b.Create(ctx, run); err != nil {
		return 0, err
	}
	total, err := kit.Await(runs, start, kit.Succeeded(run.Name))
	if err != nil {
		return 0, err
	}
	said, err := b.Said(ctx, client.MatchingLabels{v1alpha1.LabelRun: run.Name}, runjob.ContainerName, lastLine)
	if err != nil {
		return 0, fmt.Errorf("DbtRun %s: %w", run.Name, err)
	}
	return start.Add(total).Sub(said), nil
}
