package command

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
	"github.com/dbt-operator/dbt-operator/internal/cli/view"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
)

// redraw is how often the time that a run has taken is brought up to date on a terminal.
const redraw = time.Second

// watch shows a run until its end, and returns its exit code as an error.
func (a *app) watch(ctx context.Context, cluster *kube.Cluster, of types.NamespacedName) error {
	runs := make(chan *v1alpha1.DbtRun)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		ended <- cluster.Follow(ctx, of, func(run *v1alpha1.DbtRun) (bool, error) {
			select {
			case runs <- run:
			case <-ctx.Done():
				return true, nil
			}
			return run.Status.Phase.Finished(), nil
		})
	}()
	show := a.shows()
	ticks := a.Clock.NewTicker(redraw)
	defer ticks.Stop()
	var last *v1alpha1.DbtRun
	for {
		select {
		case last = <-runs:
			show.run(last)
		case <-ticks.C():
			if last != nil {
				show.tick(last)
			}
		case err := <-ended:
			return a.end(ctx, of, last, err, show)
		}
	}
}

func (a *app) end(ctx context.Context, of types.NamespacedName, last *v1alpha1.DbtRun, err error, show *shower) error {
	show.clear()
	switch {
	case ctx.Err() != nil:
		a.note("DbtRun %q goes on: stop it with `kubectl dbt cancel %s`, watch it with `kubectl dbt logs -f %s`", of.Name, of.Name, of.Name)
		return &exit{exitInterrupted, nil}
	case err != nil:
		return &exit{ExitUnknown, err}
	case last == nil || !last.Status.Phase.Finished():
		return &exit{ExitUnknown, fmt.Errorf("it is not known how DbtRun %q ended", of.Name)}
	}
	if err := a.say(a.style().End(last)); err != nil {
		return err
	}
	if code := exitOf(last); code != 0 {
		return &exit{code, nil}
	}
	return nil
}

// exitOf returns the exit code that stands for a run's end.
func exitOf(run *v1alpha1.DbtRun) int {
	_, reason := conditions.Succeeded(run.Status.Conditions)
	switch {
	case run.Status.Phase == v1alpha1.PhaseSucceeded:
		return 0
	case run.Status.Phase == v1alpha1.PhaseCancelled:
		return ExitCancelled
	case reason == v1alpha1.ReasonNodesFailed:
		return ExitNodesFailed
	}
	return ExitFailed
}

// shower shows a run as it goes on: on a terminal some lines that are drawn anew, elsewhere lines one after the other.
type shower struct {
	a     *app
	steps view.Steps
	// drawn is how many lines stand on the terminal that are to be drawn anew.
	drawn int
}

func (a *app) shows() *shower { return &shower{a: a, steps: view.Steps{Style: a.style()}} }

func (s *shower) terminal() bool { return s.a.Width() > 0 }

func (s *shower) run(run *v1alpha1.DbtRun) {
	if !s.terminal() {
		for _, line := range s.steps.Lines(run, s.a.Clock.Now()) {
			s.write(line + "\n")
		}
		return
	}
	s.clear()
	for _, line := range s.steps.Failed(run) {
		s.write(line + "\n")
	}
	s.draw(run)
}

func (s *shower) tick(run *v1alpha1.DbtRun) {
	if s.terminal() && !run.Status.Phase.Finished() {
		s.clear()
		s.draw(run)
	}
}

func (s *shower) draw(run *v1alpha1.DbtRun) {
	lines := s.a.style().Progress(run, s.a.Clock.Now())
	s.write(strings.Join(lines, "\n") + "\n")
	s.drawn = len(lines)
}

// clear takes away what is to be drawn anew.
func (s *shower) clear() {
	if s.drawn > 0 {
		s.write(fmt.Sprintf("\x1b[%dA\x1b[J", s.drawn))
	}
	s.drawn = 0
}

func (s *shower) write(text string) { _, _ = io.WriteString(s.a.Out, text) } // a terminal that is gone is seen at the end
