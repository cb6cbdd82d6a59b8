// Command coldstart measures what a manager takes to start where many ended runs are: the time until it carries out the
// first run that is new, and its memory, at its peak and at rest. The manager's own binary works on an API server and an
// etcd of its own. It prints a table in Markdown whose rows end in "met" or "not met".
//
//	go run ./test/bench/coldstart -n 10000 -manager bin/manager -assets bin/k8s
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/bench/kit"
	"github.com/dbt-operator/dbt-operator/test/bench/plane"
)

// Budgets of design, for 10,000 ended runs.
const (
	maxStart = 5 * time.Second
	maxPeak  = 150 << 20
	maxRest  = 80 << 20
)

// rest is how long nothing happens before memory is that of a manager at rest: longer than the two minutes after which
// Go's collector runs unasked, and gives back what it can.
const rest = 3 * time.Minute

func main() {
	n := flag.Int("n", 10000, "ended runs, each with its Job and pod")
	manager := flag.String("manager", "bin/manager", "the manager's binary")
	assets := flag.String("assets", "bin/k8s", "folder of kube-apiserver and etcd")
	flag.Parse()
	met, err := bench(context.Background(), *n, *manager, *assets)
	kit.Exit("coldstart", met, err)
}

func bench(ctx context.Context, n int, binary, assets string) (met bool, err error) {
	p, err := plane.Start(assets)
	if err != nil {
		return false, err
	}
	defer p.Stop()
	began := time.Now()
	if err := fill(ctx, p, n); err != nil {
		return false, fmt.Errorf("making what is there before: %w", err)
	}
	fmt.Fprintf(os.Stderr, "%d ended runs made in %s\n", n, time.Since(began).Round(time.Second))
	took, m, err := start(ctx, p, binary)
	if err != nil {
		return false, err
	}
	defer m.Stop()
	select {
	case <-time.After(rest):
	case <-m.Ended():
		return false, fmt.Errorf("the manager ended; its log is in %s", os.TempDir())
	}
	now, peak, err := m.Memory()
	if err != nil {
		return false, err
	}
	fmt.Printf("| with %d ended runs | found | budget | |\n|---|---|---|---|\n", n)
	fmt.Printf("| manager's start → Job of a new run | %.2f s | %.0f s | %s |\n", took.Seconds(), maxStart.Seconds(), kit.Verdict(took <= maxStart))
	fmt.Printf("| resident, most | %d MiB | %d MiB | %s |\n", peak>>20, maxPeak>>20, kit.Verdict(peak <= maxPeak))
	fmt.Printf("| resident, at rest | %d MiB | %d MiB | %s |\n", now>>20, maxRest>>20, kit.Verdict(now <= maxRest))
	return took <= maxStart && peak <= maxPeak && now <= maxRest, nil
}

// start starts the manager where a run waits that nobody has looked at yet, and returns when its Job was there.
func start(ctx context.Context, p *plane.Plane, binary string) (time.Duration, *plane.Manager, error) {
	fresh := asked("fresh")
	if err := p.Create(ctx, fresh); err != nil {
		return 0, nil, err
	}
	jobs, err := p.Watch(ctx, &batchv1.JobList{}, client.InNamespace(plane.Namespace), client.MatchingLabels{v1alpha1.LabelRun: fresh.Name})
	if err != nil {
		return 0, nil, err
	}
	defer jobs.Stop()
	began := time.Now()
	m, err := p.Manager("bench-coldstart", binary)
	if err != nil {
		return 0, nil, err
	}
	took, err := kit.Await(jobs, began, func(o runtime.Object) (bool, error) {
		_, ok := o.(*batchv1.Job)
		return ok, nil
	})
	if err != nil {
		m.Stop()
		return 0, nil, fmt.Errorf("waiting for the Job of DbtRun %s (the manager's log is in %s): %w", fresh.Name, os.TempDir(), err)
	}
	return took, m, nil
}
