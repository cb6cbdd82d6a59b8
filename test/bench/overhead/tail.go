package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

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

// lastLine begins the last line that dbt writes. https://docs.getdbt.com/reference/events-logging
const lastLine = "Done. PASS="

// benchTail measures, of n runs one after the other, the time from dbt's last line to the watch event that says Succeeded.
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
	var tails []time.Duration
	for i := range n + 1 {
		tail, err := b.timeTail(ctx, src, i)
		if err != nil {
			return false, err
		}
		fmt.Fprintf(os.Stderr, "tail %d: %d ms\n", i, tail.Milliseconds())
		if i > 0 {
			tails = append(tails, tail)
		}
	}
	r := report.New("tail")
	r.Durations("tail", tails)
	slices.Sort(tails)
	t := r.Table(fmt.Sprintf("dbt's last line → Succeeded, of %d runs", n), "found, ms", "budget, ms")
	row := func(what string, found, budget time.Duration) {
		t.Row(found <= budget, what, fmt.Sprint(found.Milliseconds()), fmt.Sprint(budget.Milliseconds()))
	}
	row("p50", tails[len(tails)/2], maxTailMedian)
	row("p99", tails[min(len(tails)-1, len(tails)*99/100)], maxTail)
	return r.Finish()
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
