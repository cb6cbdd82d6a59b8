package main

import (
	"context"
	"fmt"
	"os"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/bench/plane"
)

// patience is how long after the last creation runs may take to end, and what they leave to go.
const patience = 3 * time.Minute

// result is what a soak found.
type result struct {
	version                           string
	made, lost, failed, doubled, left int
	undone, kills                     int
	// lives is the manager's memory before each kill, lastLife in the middle and at the end of the life without a kill.
	lives, lastLife []int64
}

// growth returns the last size by the first, 1 when there are not two.
func growth(sizes []int64) float64 {
	if len(sizes) < 2 {
		return 1
	}
	return float64(sizes[len(sizes)-1]) / float64(sizes[0])
}

// soak carries it all out.
func soak(ctx context.Context, o options) (*result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p, err := plane.WithNodes(ctx, o.assets, o.kwok)
	if err != nil {
		return nil, err
	}
	defer p.Stop()
	watched, err := watchAll(ctx, p)
	if err != nil {
		return nil, err
	}
	s := &session{options: o, plane: p, watched: watched, result: &result{version: p.Version}}
	err = s.run(ctx)
	// The watches end before what they watch does.
	cancel()
	return s.result, err
}

// session is a soak under way.
type session struct {
	options
	*result
	plane   *plane.Plane
	watched *watched
	manager *plane.Process
	// age is when the manager was started.
	age time.Time
}

func (s *session) run(ctx context.Context) error {
	if err := s.start(); err != nil {
		return err
	}
	defer func() { s.manager.Stop() }()
	began := time.Now()
	creation := time.NewTicker(time.Duration(float64(time.Second) / s.rate))
	defer creation.Stop()
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for time.Since(began) < s.duration {
		select {
		case <-creation.C:
			if err := s.create(ctx); err != nil {
				return err
			}
		case <-minute.C:
			s.tell(began)
		case <-s.manager.Ended():
			return fmt.Errorf("the manager ended by itself; its log is %s/bench-soak.log", os.TempDir())
		}
		if err := s.replace(began); err != nil {
			return err
		}
		s.deleteEnded(ctx)
	}
	return s.settle(ctx, began)
}

// start starts a manager.
func (s *session) start() (err error) {
	s.manager, err = s.plane.Manager("bench-soak", s.options.manager, plane.Setup{Args: []string{"--runner-delivery=image-volume"}})
	s.age = time.Now()
	return err
}

// replace kills the manager when its time has come, and looks at the memory of the one that lives to the end.
func (s *session) replace(began time.Time) error {
	lastBegins := s.duration - s.last
	switch age := time.Since(s.age); {
	case time.Since(began) < lastBegins && age >= s.killEvery:
		now, _, _, err := s.manager.Memory()
		if err != nil {
			return err
		}
		s.lives = append(s.lives, now)
		s.manager.Stop()
		s.kills++
		return s.start()
	case time.Since(began) >= lastBegins && len(s.lastLife) == 0 && age >= s.last/2:
		return s.weigh()
	}
	return nil
}

// weigh notes the memory of the last manager.
func (s *session) weigh() error {
	now, _, _, err := s.manager.Memory()
	s.lastLife = append(s.lastLife, now)
	return err
}

func (s *session) create(ctx context.Context) error {
	run := &v1alpha1.DbtRun{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("run-%06d", s.made), Namespace: plane.Namespace},
		Spec:       v1alpha1.DbtRunSpec{ProjectRef: &v1alpha1.ProjectReference{Name: "shop"}, Commands: []string{"dbt build"}},
	}
	s.made++
	return s.plane.Create(ctx, run)
}

// deleteEnded deletes the runs that were kept for long enough.
func (s *session) deleteEnded(ctx context.Context) {
	for _, name := range s.watched.due(time.Now().Add(-s.keep)) {
		run := &v1alpha1.DbtRun{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: plane.Namespace}}
		// One that could not be deleted is found among what is left.
		_ = s.plane.Delete(ctx, run, client.PropagationPolicy(metav1.DeletePropagationBackground))
	}
}

func (s *session) tell(began time.Time) {
	ended, _, _, _ := s.watched.counts()
	now, _, _, _ := s.manager.Memory()
	fmt.Fprintf(os.Stderr, "%4.0f min: %6d runs made, %6d ended, %3d managers killed, this one has %d MiB\n", time.Since(began).Minutes(), s.made, ended, s.kills, now>>20)
}

// settle waits until all runs have ended and are gone, and counts what has not.
func (s *session) settle(ctx context.Context, began time.Time) error {
	if err := s.weigh(); err != nil {
		return err
	}
	err := wait.PollUntilContextTimeout(ctx, time.Second, patience, true, func(ctx context.Context) (bool, error) {
		s.deleteEnded(ctx)
		ended, _, _, _ := s.watched.counts()
		left, err := s.leftOver(ctx)
		s.left = left
		return ended == s.made && left == 0, err
	})
	// What is not over or still there by then is what is counted.
	if err != nil && !wait.Interrupted(err) {
		return err
	}
	s.tell(began)
	var ended int
	ended, s.failed, s.doubled, s.undone = s.watched.counts()
	s.lost = s.made - ended
	return nil
}

// leftOver counts the runs, Jobs and pods that are there.
func (s *session) leftOver(ctx context.Context) (n int, err error) {
	for _, list := range []client.ObjectList{&v1alpha1.DbtRunList{}, &batchv1.JobList{}, &corev1.PodList{}} {
		if err := s.plane.List(ctx, list, client.InNamespace(plane.Namespace)); err != nil {
			return 0, err
		}
		switch l := list.(type) {
		case *v1alpha1.DbtRunList:
			n += len(l.Items)
		case *batchv1.JobList:
			n += len(l.Items)
		case *corev1.PodList:
			n += len(l.Items)
		}
	}
	return n, nil
}
