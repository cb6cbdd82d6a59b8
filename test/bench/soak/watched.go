package main

import (
	"context"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/bench/plane"
)

// watched is what the watch events of runs and Jobs said, from the first on.
type watched struct {
	mu sync.Mutex
	// ended is when each run was seen to have ended; kept are those of them that nobody has asked to delete.
	ended map[string]time.Time
	kept  map[string]time.Time
	// jobs counts the Jobs that were made for each run.
	jobs           map[string]int
	failed, undone int
}

// watchAll follows runs and Jobs until ctx ends.
func watchAll(ctx context.Context, p *plane.Plane) (*watched, error) {
	w := &watched{ended: map[string]time.Time{}, kept: map[string]time.Time{}, jobs: map[string]int{}}
	runs, err := p.Follow(ctx, &v1alpha1.DbtRunList{})
	if err != nil {
		return nil, err
	}
	jobs, err := p.Follow(ctx, &batchv1.JobList{})
	if err != nil {
		return nil, err
	}
	go each(runs, func(e watch.Event) { w.run(e.Object) })
	go each(jobs, func(e watch.Event) {
		if e.Type == watch.Added {
			w.job(e.Object)
		}
	})
	return w, nil
}

func each(w watch.Interface, f func(watch.Event)) {
	for e := range w.ResultChan() {
		f(e)
	}
}

func (w *watched) run(o runtime.Object) {
	run, ok := o.(*v1alpha1.DbtRun)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, was := w.ended[run.Name]
	switch is := run.Status.Phase.Finished(); {
	case was && !is:
		w.undone++
	case is && !was:
		w.ended[run.Name], w.kept[run.Name] = time.Now(), time.Now()
		if run.Status.Phase != v1alpha1.PhaseSucceeded {
			w.failed++
		}
	}
}

func (w *watched) job(o runtime.Object) {
	if job, ok := o.(*batchv1.Job); ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.jobs[job.Labels[v1alpha1.LabelRunUID]]++
	}
}

// due returns the runs that ended before a time, each once.
func (w *watched) due(before time.Time) (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, at := range w.kept {
		if at.Before(before) {
			names = append(names, name)
			delete(w.kept, name)
		}
	}
	return names
}

// counts returns how many runs ended, how many of those not in success, how many had more than one Job, and how many ends
// were taken back.
func (w *watched) counts() (ended, failed, doubled, undone int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.jobs {
		if n > 1 {
			doubled++
		}
	}
	return len(w.ended), w.failed, doubled, w.undone
}
