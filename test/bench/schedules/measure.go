package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/schedule"
	"github.com/dbt-operator/dbt-operator/test/bench/plane"
)

const (
	// patience is how long after the tick runs are waited for.
	patience = 3 * time.Minute
)

// measure starts an API server and the manager, makes the schedules, and times their runs from the moment they are due to
// the watch event that says they are there.
func measure(ctx context.Context, s scenario, n int, manager, assets string, workers int) (*result, error) {
	c, err := plane.Start(assets)
	if err != nil {
		return nil, err
	}
	defer c.Stop()
	m, err := c.Manager("bench-schedules", manager, plane.Setup{Args: []string{fmt.Sprintf("--schedule-workers=%d", workers)}})
	if err != nil {
		return nil, err
	}
	defer m.Stop()
	tick := time.Now().Truncate(time.Minute).Add(2*time.Minute + time.Duration(n/100)*time.Second).Truncate(time.Minute)
	began := time.Now()
	due, err := makeSchedules(ctx, c, s, n, tick)
	if err != nil {
		return nil, err
	}
	if left := time.Until(tick); left < 5*time.Second {
		return nil, fmt.Errorf("making the schedules took until %s before their tick: too slow a machine, or too many schedules", left)
	}
	fmt.Fprintf(os.Stderr, "%s: %d schedules made in %s, %s before their tick\n", s.name, n, time.Since(began).Round(time.Second/10), time.Until(tick).Round(time.Second))
	before := plane.Processors()
	r, err := follow(ctx, c, due)
	if err != nil {
		return nil, err
	}
	r.spent = plane.ProcessorsSince(before)
	return r, nil
}

// makeSchedules makes schedules that all tick at one minute, and returns when each run is due, by the schedule's name.
func makeSchedules(ctx context.Context, c *plane.Plane, s scenario, n int, tick time.Time) (map[string]time.Time, error) {
	if err := c.CreateShop(ctx); err != nil {
		return nil, err
	}
	due := map[string]time.Time{}
	var mu sync.Mutex
	err := plane.Each(n, func(i int) error {
		name := fmt.Sprintf("s-%05d", i)
		uid, err := makeSchedule(ctx, c, s, name, tick)
		mu.Lock()
		defer mu.Unlock()
		due[name] = tick.Add(schedule.Jitter(uid, &s.jitter))
		return err
	})
	return due, err
}

func makeSchedule(ctx context.Context, c client.Client, s scenario, name string, tick time.Time) (types.UID, error) {
	obj := &v1alpha1.DbtSchedule{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: plane.Namespace}}
	obj.Spec.Schedule = fmt.Sprintf("%d %d * * *", tick.UTC().Minute(), tick.UTC().Hour())
	obj.Spec.JitterSeconds = ptr.To(s.jitter)
	// So that each firing asks whether the author may.
	obj.Spec.RequestedBy = &v1alpha1.Requester{Username: "bench", Groups: []string{"system:masters"}}
	obj.Spec.RunTemplate.Spec.ProjectRef = &v1alpha1.ProjectReference{Name: "shop"}
	err := c.Create(ctx, obj)
	return obj.UID, err
}

// follow watches runs as they are made.
func follow(ctx context.Context, c *plane.Plane, due map[string]time.Time) (*result, error) {
	w, err := c.Follow(ctx, &v1alpha1.DbtRunList{})
	if err != nil {
		return nil, err
	}
	defer w.Stop()
	r, seen := &result{}, map[string]bool{}
	timeout := time.After(patience + time.Minute)
	// What is made twice is made soon after.
	var quiet <-chan time.Time
	for {
		select {
		case e, open := <-w.ResultChan():
			at := time.Now()
			run, ok := e.Object.(*v1alpha1.DbtRun)
			if !open || !ok {
				return nil, fmt.Errorf("the watch ended with %v", e.Object)
			}
			if e.Type != watch.Added {
				continue
			}
			name := run.Labels[v1alpha1.LabelSchedule]
			if seen[name] {
				r.twice++
				continue
			}
			seen[name] = true
			r.skews = append(r.skews, at.Sub(due[name]))
			if len(seen) == len(due) {
				quiet = time.After(10 * time.Second)
			}
		case <-quiet:
			return r, nil
		case <-timeout:
			return r, nil
		}
	}
}
