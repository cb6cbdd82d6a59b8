package dbtrun

import (
	"context"
	"errors"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/admission"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/lastgood"
	"github.com/dbt-operator/dbt-operator/internal/lifecycle"
)

// gatherState finds the state of a run that has not begun. It looks at the runs themselves beside what the project's status
// remembers: that is written some seconds after a run has ended. The cache will do. All DbtRuns of a namespace come to it
// over one watch, in the order of their changes, so whoever sees this run sees how every run was when this one was made.
func (r *Reconciler) gatherState(ctx context.Context, seen *observed) error {
	run := seen.Run
	if run.Spec.State != v1alpha1.StateAuto || seen.Job != nil || run.Status.Job != nil || seen.Invalid != nil || seen.project == nil {
		return nil
	}
	if r.results == nil {
		seen.Invalid = errors.New("spec.state: is Auto, and the operator keeps no artifacts of runs: give it a store (--store), or remove the field")
		return nil
	}
	target := seen.Resolved.Target
	if run.Spec.StateTarget != "" {
		target = run.Spec.StateTarget
	}
	good, err := controller.GoodRuns(ctx, r.client, client.ObjectKeyFromObject(seen.project))
	if err != nil {
		return err
	}
	choice := lastgood.Choose(seen.project, target, good, seen.Now)
	if choice.WaitFor != "" {
		seen.State = lifecycle.State{WaitFor: choice.WaitFor, Wait: choice.Wait}
		return nil
	}
	seen.Resolved.State = &choice.State
	if why := admission.NeedsState(seen.Resolved.Commands); choice.State.Run == "" && why != "" {
		seen.State.Missing = missing(why, choice.State)
	}
	return nil
}

func missing(why string, state v1alpha1.StateStatus) string {
	once := "run the project once with target " + state.Target
	if state.Target == "" {
		once = "run the project once"
	}
	return fmt.Sprintf("%s, and there is no state. %s To get one, %s and wait for its end", why, state.Message, once)
}
