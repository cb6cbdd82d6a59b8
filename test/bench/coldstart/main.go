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
	setups          string
	profiles        string
	// store is the folder in which managers keep the results of runs.
	store string
}

func main() {
	var o options
	flag.IntVar(&o.runs, "n", 10000, "ended runs, each with its Job and pod")
	flag.StringVar(&o.manager, "manager", "bin/manager", "the manager's binary")
	flag.StringVar(&o.assets, "assets", "bin/k8s", "folder of kube-apiserver and etcd")
	// Longer than the two minutes after which Go's collector runs unasked, and gives back what it can.
	flag.DurationVar(&o.rest, "rest", 3*time.Minute, "how long nothing happens before memory is that of a manager at rest")
	flag.StringVar(&o.setups, "setups", shipped+";"+tight, "how managers are started, one after the other, separated by semicolons: environment variables and limit=MiB, a memory limit as of a container (takes root), separated by commas")
	flag.StringVar(&o.profiles, "profiles", "", "folder for Go's profiles of the start: cpu, and heap and mutex after it; empty for none")
	flag.Parse()
	met, err := bench(context.Background(), o)
	report.Exit("coldstart", met, err)
}

func bench(ctx context.Context, o options) (met bool, err error) {
	variants, err := parseVariants(o.setups)
	if err != nil {
		return false, err
	}
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
	if o.store, err = os.MkdirTemp("", "bench-coldstart-"); err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(o.store) }()
	r := report.New("coldstart")
	r.Kubernetes = p.Version
	for i, v := range variants {
		t := r.Table(fmt.Sprintf("%d ended runs", o.runs), "found", "budget")
		if err := o.measure(ctx, p, fmt.Sprintf("fresh-%d", i), v, t); err != nil {
			return false, fmt.Errorf("%s: %w", v, err)
		}
	}
	return r.Finish()
}

// measure starts a manager, and adds what it took to a table.
func (o options) measure(ctx context.Context, p *plane.Plane, fresh string, v variant, t *report.Table) error {
	took, m, err := o.start(ctx, p, fresh, v)
	if err != nil {
		return err
	}
	defer m.Stop()
	select {
	case <-time.After(o.rest):
	case <-m.Ended():
		return fmt.Errorf("the manager ended; its log is in %s", os.TempDir())
	}
	now, peak, binary, err := m.Memory()
	if err != nil {
		return err
	}
	t.Row(took <= maxStart, v.String()+": manager's start → Job of a new run", report.Seconds(took, 2)+" s", report.Seconds(maxStart, 0)+" s")
	t.Row(peak <= maxPeak, v.String()+": resident, most", report.MiB(peak), report.MiB(maxPeak))
	t.Row(now <= maxRest, v.String()+": resident, at rest", report.MiB(now), report.MiB(maxRest))
	t.Note(v.String()+": of that at rest, the binary itself", report.MiB(binary))
	return plane.KeepProfiles(o.profiles, "heap", "mutex")
}

// start starts the manager where a run waits that nobody has looked at yet, and returns when its Job was there.
func (o options) start(ctx context.Context, p *plane.Plane, name string, v variant) (time.Duration, *plane.Process, error) {
	fresh := asked(name)
	if err := p.Create(ctx, fresh); err != nil {
		return 0, nil, err
	}
	jobs, err := p.Watch(ctx, &batchv1.JobList{}, client.InNamespace(plane.Namespace), client.MatchingLabels{v1alpha1.LabelRun: fresh.Name})
	if err != nil {
		return 0, nil, err
	}
	defer jobs.Stop()
	began := time.Now()
	// It keeps the results of runs, as the shipped Deployment does.
	m, err := p.Manager("bench-coldstart", o.manager, plane.Setup{
		Args: []string{
			"--store=file://" + o.store, "--operator-namespace=" + plane.Namespace, "--collector-bind-address=127.0.0.1:0", plane.ServeProfiles,
		},
		Env: v.env, MemoryLimit: v.limit,
	})
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
