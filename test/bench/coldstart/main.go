// Command coldstart measures what a manager takes to start where many ended runs are: the time until it carries out the
// first run that is new, and its memory, at its peak and at rest. The manager's own binary works on an API server and an
// etcd of its own, with the memory limit of a container where one is given. It prints a table in Markdown whose rows end in
// "met" or "not met", and can keep Go's profiles of the manager.
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
	"github.com/dbt-operator/dbt-operator/test/bench/report"
)

// Budgets of design, for 10,000 ended runs.
const (
	maxStart = 5 * time.Second
	maxPeak  = 150 << 20
	maxRest  = 80 << 20
)

// options are the command's flags.
type options struct {
	runs            int
	manager, assets string
	rest            time.Duration
	limit           int64
	goMemLimit      string
	profiles        string
}

func (o options) String() string {
	s := fmt.Sprintf("%d ended runs", o.runs)
	if o.limit > 0 {
		s += fmt.Sprintf(", memory limit %d MiB", o.limit)
	}
	if o.goMemLimit != "" {
		s += ", GOMEMLIMIT " + o.goMemLimit
	}
	return s
}

func main() {
	var o options
	flag.IntVar(&o.runs, "n", 10000, "ended runs, each with its Job and pod")
	flag.StringVar(&o.manager, "manager", "bin/manager", "the manager's binary")
	flag.StringVar(&o.assets, "assets", "bin/k8s", "folder of kube-apiserver and etcd")
	// Longer than the two minutes after which Go's collector runs unasked, and gives back what it can.
	flag.DurationVar(&o.rest, "rest", 3*time.Minute, "how long nothing happens before memory is that of a manager at rest")
	flag.Int64Var(&o.limit, "memory-limit", 0, "memory limit of the manager in MiB, as of a container (takes root); 0 for none")
	flag.StringVar(&o.goMemLimit, "gomemlimit", "", "GOMEMLIMIT of the manager, such as 140MiB; empty for none")
	flag.StringVar(&o.profiles, "profiles", "", "folder for Go's profiles of the start: cpu, and heap and mutex after it; empty for none")
	flag.Parse()
	met, err := bench(context.Background(), o)
	report.Exit("coldstart", met, err)
}

func bench(ctx context.Context, o options) (met bool, err error) {
	p, err := plane.Start(o.assets)
	if err != nil {
		return false, err
	}
	defer p.Stop()
	began := time.Now()
	if err := fill(ctx, p, o.runs); err != nil {
		return false, fmt.Errorf("making what is there before: %w", err)
	}
	fmt.Fprintf(os.Stderr, "%d ended runs made in %s\n", o.runs, time.Since(began).Round(time.Second))
	took, m, err := start(ctx, p, o)
	if err != nil {
		return false, err
	}
	defer m.Stop()
	select {
	case <-time.After(o.rest):
	case <-m.Ended():
		return false, fmt.Errorf("the manager ended; its log is in %s", os.TempDir())
	}
	now, peak, binary, err := m.Memory()
	if err != nil {
		return false, err
	}
	if o.profiles != "" {
		if err := keep(o.profiles, "heap", "mutex"); err != nil {
			return false, err
		}
	}
	r := report.New("coldstart")
	r.Kubernetes = p.Version
	t := r.Table("with "+o.String(), "found", "budget")
	t.Row(took <= maxStart, "manager's start → Job of a new run", report.Seconds(took, 2)+" s", report.Seconds(maxStart, 0)+" s")
	t.Row(peak <= maxPeak, "resident, most", report.MiB(peak), report.MiB(maxPeak))
	t.Row(now <= maxRest, "resident, at rest", report.MiB(now), report.MiB(maxRest))
	t.Note("of that at rest, the binary itself", report.MiB(binary))
	return r.Finish()
}

// start starts the manager where a run waits that nobody has looked at yet, and returns when its Job was there.
func start(ctx context.Context, p *plane.Plane, o options) (time.Duration, *plane.Process, error) {
	fresh := asked("fresh")
	if err := p.Create(ctx, fresh); err != nil {
		return 0, nil, err
	}
	jobs, err := p.Watch(ctx, &batchv1.JobList{}, client.InNamespace(plane.Namespace), client.MatchingLabels{v1alpha1.LabelRun: fresh.Name})
	if err != nil {
		return 0, nil, err
	}
	defer jobs.Stop()
	setup, clean, err := o.setup()
	if err != nil {
		return 0, nil, err
	}
	defer clean()
	began := time.Now()
	m, err := p.Manager("bench-coldstart", o.manager, setup)
	if err != nil {
		return 0, nil, err
	}
	profile := o.profileStart()
	took, err := kit.Await(jobs, began, func(o runtime.Object) (bool, error) {
		_, ok := o.(*batchv1.Job)
		return ok, nil
	})
	if err == nil {
		err = profile()
	}
	if err != nil {
		m.Stop()
		return 0, nil, fmt.Errorf("waiting for the Job of DbtRun %s (the manager's log is in %s): %w", fresh.Name, os.TempDir(), err)
	}
	return took, m, nil
}

// setup is a manager that keeps the results of runs in a folder of its own, as the shipped Deployment does.
func (o options) setup() (s plane.Setup, clean func(), err error) {
	kept, err := os.MkdirTemp("", "bench-coldstart-")
	if err != nil {
		return s, nil, err
	}
	s.Args = []string{"--store=file://" + kept, "--operator-namespace=" + plane.Namespace, "--collector-bind-address=127.0.0.1:0"}
	if o.profiles != "" {
		s.Args = append(s.Args, "--pprof-bind-address="+profiler)
	}
	if o.goMemLimit != "" {
		s.Env = []string{"GOMEMLIMIT=" + o.goMemLimit}
	}
	s.MemoryLimit = o.limit << 20
	return s, func() { _ = os.RemoveAll(kept) }, nil
}
