package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
	"github.com/dbt-operator/dbt-operator/test/bench/kit"
	"github.com/dbt-operator/dbt-operator/test/bench/plane"
)

// patience is how long all of them may take.
const patience = 20 * time.Minute

// kind is what is created, and when one of it is over.
type kind interface {
	name() string
	list() client.ObjectList
	make(i int) (client.Object, error)
	// over returns the name of one that is over, "" of one that is not. Its error is that of one that failed.
	over(o runtime.Object) (string, error)
	// needs starts what carries them out beside Kubernetes, nil when nothing does.
	needs(ctx context.Context, p *plane.Plane, o options) (stopper, error)
}

type stopper interface{ Stop() }

// measure carries out n of a kind on a control plane of their own.
func measure(ctx context.Context, o options, n int, k kind) (*result, error) {
	p, err := plane.WithNodes(ctx, o.assets, o.kwok)
	if err != nil {
		return nil, err
	}
	defer p.Stop()
	m, err := k.needs(ctx, p, o)
	if err != nil {
		return nil, err
	}
	if m != nil {
		defer m.Stop()
	}
	// One goes through before, so that everything is up.
	if _, err := carryOut(ctx, p, k, 0, 1, 1, time.Minute); err != nil {
		return nil, fmt.Errorf("the first of all (logs are in %s): %w", os.TempDir(), err)
	}
	r := &result{what: k.name(), version: p.Version}
	requests, etcd, err := p.Requests(ctx)
	if err != nil {
		return nil, err
	}
	spent := plane.Processors()
	profile := o.profileWork(ctx, p, k)
	if r.ends, err = carryOut(ctx, p, k, 1, n, o.clients, patience); err != nil {
		return nil, err
	}
	r.spent = plane.ProcessorsSince(spent)
	if err := profile(); err != nil {
		return nil, err
	}
	if r.byVerb, r.etcd, err = p.Requests(ctx); err != nil {
		return nil, err
	}
	r.etcd -= etcd
	for verb := range r.byVerb {
		r.byVerb[verb] -= requests[verb]
		r.requests += r.byVerb[verb]
	}
	return r, nil
}

// profiled is how much of the work the processor profiles have, in seconds.
const profiled = 20

// profileWork begins a processor profile of the API server, and one of the manager where there is one, and returns what
// waits for them and takes the manager's others. Each kind has its folder.
func (o options) profileWork(ctx context.Context, p *plane.Plane, k kind) func() error {
	if o.profiles == "" {
		return func() error { return nil }
	}
	folder := filepath.Join(o.profiles, k.name())
	var all errgroup.Group
	all.Go(func() error { return p.KeepServerProfile(ctx, folder, profiled) })
	if _, managed := k.(dbtRuns); managed {
		all.Go(func() error { return plane.KeepProfiles(folder, fmt.Sprintf("profile?seconds=%d", profiled)) })
		return func() error { return errors.Join(all.Wait(), plane.KeepProfiles(folder, "heap", "mutex")) }
	}
	return all.Wait
}

// carryOut creates n from a number on, and returns when each was over, in order.
func carryOut(ctx context.Context, p *plane.Plane, k kind, from, n, clients int, within time.Duration) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	w, err := p.Follow(ctx, k.list())
	if err != nil {
		return nil, err
	}
	defer w.Stop()
	began := time.Now()
	var all errgroup.Group
	all.Go(func() error {
		var creating errgroup.Group
		creating.SetLimit(clients)
		for i := range n {
			creating.Go(func() error {
				object, err := k.make(from + i)
				if err != nil {
					return err
				}
				return p.Create(ctx, object)
			})
		}
		if err := creating.Wait(); err != nil {
			cancel()
			return err
		}
		return nil
	})
	var ends []time.Duration
	all.Go(func() (err error) {
		ends, err = count(ctx, w, k, n, began)
		return err
	})
	return ends, all.Wait()
}

// count waits until n are over.
func count(ctx context.Context, w watch.Interface, k kind, n int, began time.Time) ([]time.Duration, error) {
	over := map[string]bool{}
	var ends []time.Duration
	for {
		select {
		case e, open := <-w.ResultChan():
			if !open || e.Type == watch.Error {
				return nil, fmt.Errorf("the watch ended with %v", e.Object)
			}
			name, err := k.over(e.Object)
			if err != nil {
				return nil, err
			}
			if name == "" || over[name] {
				continue
			}
			over[name] = true
			if ends = append(ends, time.Since(began)); len(ends) == n {
				return ends, nil
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d were over: %w", len(ends), n, ctx.Err())
		}
	}
}

// dbtRuns are carried out by the operator.
type dbtRuns struct{}

func (dbtRuns) name() string { return "DbtRuns" }

func (dbtRuns) list() client.ObjectList { return &v1alpha1.DbtRunList{} }

func (dbtRuns) make(i int) (client.Object, error) { return run(i), nil }

func run(i int) *v1alpha1.DbtRun {
	return &v1alpha1.DbtRun{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("run-%05d", i), Namespace: plane.Namespace},
		Spec:       v1alpha1.DbtRunSpec{ProjectRef: &v1alpha1.ProjectReference{Name: "shop"}, Commands: []string{"dbt build"}},
	}
}

func (dbtRuns) over(o runtime.Object) (string, error) {
	r, ok := o.(*v1alpha1.DbtRun)
	if !ok || !r.Status.Phase.Finished() {
		return "", nil
	}
	if r.Status.Phase != v1alpha1.PhaseSucceeded {
		return "", fmt.Errorf("DbtRun %s: %s", r.Name, r.Status.Message)
	}
	return r.Name, nil
}

func (dbtRuns) needs(_ context.Context, p *plane.Plane, o options) (stopper, error) {
	return p.Manager("bench-throughput", o.manager, plane.Setup{Args: []string{"--runner-delivery=" + string(delivery), plane.ServeProfiles}})
}

// delivery has pods of one container, as with the image volumes of a cluster of today.
const delivery = runjob.DeliverByImageVolume

// bareJobs are the same Jobs without the operator.
type bareJobs struct{}

func (bareJobs) name() string { return "Jobs" }

func (bareJobs) list() client.ObjectList { return &batchv1.JobList{} }

func (bareJobs) make(i int) (client.Object, error) {
	of := run(i)
	of.UID = "0"
	job, err := jobOf(of)
	if err != nil {
		return nil, err
	}
	job.OwnerReferences = nil
	return job, nil
}

// jobOf returns the Job that the operator makes of a run.
func jobOf(run *v1alpha1.DbtRun) (*batchv1.Job, error) {
	return runjob.Build(run, runjob.Resolve(run, plane.Shop(), [][]string{{"dbt", "build"}}), runjob.Options{OperatorImage: "registry.example.com/dbt-operator:1", Delivery: delivery})
}

func (bareJobs) over(o runtime.Object) (string, error) {
	done, err := kit.Complete(func(*batchv1.Job) bool { return true })(o)
	if err != nil || !done {
		return "", err
	}
	return o.(*batchv1.Job).Name, nil //nolint:forcetypeassert // it is done, so it is a Job
}

func (bareJobs) needs(context.Context, *plane.Plane, options) (stopper, error) { return nil, nil }
