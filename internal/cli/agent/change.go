package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/intent"
	"github.com/dbt-operator/dbt-operator/internal/cli/view"
)

// startRun is what start_run takes.
type startRun struct {
	place
	Project        string         `json:"project" jsonschema:"Name of the DbtProject."`
	Verb           string         `json:"verb,omitempty" jsonschema:"dbt's command, such as run, test or docs generate. Default: build."`
	Select         []string       `json:"select,omitempty" jsonschema:"Nodes to select, as dbt takes them."`
	Exclude        []string       `json:"exclude,omitempty" jsonschema:"Nodes to leave out, as dbt takes them."`
	FullRefresh    bool           `json:"fullRefresh,omitempty" jsonschema:"Build incremental models anew."`
	Commands       []string       `json:"commands,omitempty" jsonschema:"Whole dbt command lines in place of verb, select, exclude and fullRefresh; the first that fails stops the rest."`
	Vars           map[string]any `json:"vars,omitempty" jsonschema:"dbt's variables."`
	Target         string         `json:"target,omitempty" jsonschema:"dbt's target. Default: the project's."`
	Revision       string         `json:"revision,omitempty" jsonschema:"Full git ref or commit in place of the project's, such as refs/pull/12/head."`
	Name           string         `json:"name,omitempty" jsonschema:"Name of the DbtRun: with one, a second call is refused and does not run twice. Default: made up."`
	TimeoutSeconds int            `json:"timeoutSeconds,omitempty" jsonschema:"Time after which it is stopped. Default: the project's."`
	DryRun         bool           `json:"dryRun,omitempty" jsonschema:"Have the API server check it, its policies as well, and keep nothing."`
}

// again is what retry_run takes.
type again struct {
	place
	Run    string `json:"run" jsonschema:"Name of the DbtRun that did not end well."`
	Name   string `json:"name,omitempty" jsonschema:"Name of the new DbtRun: with one, a second call is refused and does not run twice. Default: made up."`
	DryRun bool   `json:"dryRun,omitempty" jsonschema:"Have the API server check it, its policies as well, and keep nothing."`
}

// trigger is what trigger_schedule takes.
type trigger struct {
	place
	Schedule string `json:"schedule" jsonschema:"Name of the DbtSchedule."`
	Name     string `json:"name,omitempty" jsonschema:"Name of the DbtRun: with one, a second call is refused and does not run twice. Default: made up."`
	DryRun   bool   `json:"dryRun,omitempty" jsonschema:"Have the API server check it, its policies as well, and keep nothing."`
}

// cancel is what cancel_run takes.
type cancel struct {
	place
	Run string `json:"run" jsonschema:"Name of the DbtRun."`
}

// made is a run that was made.
type made struct {
	Namespace   string   `json:"namespace"`
	Run         string   `json:"run,omitempty" jsonschema:"Name of the DbtRun: show_run follows it. Unset for a dry run without a name."`
	Project     string   `json:"project"`
	Commands    []string `json:"commands"`
	Target      string   `json:"target,omitempty"`
	RequestedBy string   `json:"requestedBy,omitempty" jsonschema:"In whose name it runs, as the API server stamped it."`
	Agent       string   `json:"agent" jsonschema:"The agent that it says it came through."`
	DryRun      bool     `json:"dryRun,omitempty" jsonschema:"Nothing was kept."`
}

type stopped struct {
	Namespace string   `json:"namespace"`
	Run       string   `json:"run"`
	Phase     string   `json:"phase" jsonschema:"Where it was when it was asked to stop."`
	Notes     []string `json:"notes,omitempty"`
}

func (c *call) startRun(ctx context.Context, in startRun) (made, error) {
	if err := named("project", in.Project, "list_projects"); err != nil {
		return made{}, err
	}
	w := intent.Wish{
		Namespace: c.namespace, Project: in.Project, Name: in.Name, Commands: in.Commands, Words: strings.Fields(in.Verb), Select: in.Select,
		Exclude: in.Exclude, FullRefresh: in.FullRefresh, Target: in.Target, Revision: in.Revision, Timeout: time.Duration(in.TimeoutSeconds) * time.Second,
	}
	if len(in.Vars) > 0 {
		raw, err := json.Marshal(in.Vars)
		if err != nil {
			return made{}, fmt.Errorf("vars: %w", err)
		}
		w.Vars = string(raw)
	}
	run, err := intent.Run(w)
	if err != nil {
		return made{}, err
	}
	return c.create(ctx, run, in.DryRun)
}

func (c *call) retryRun(ctx context.Context, in again) (made, error) {
	of, err := c.run(ctx, in.Run)
	if err != nil {
		return made{}, err
	}
	run, err := intent.Retry(of, in.Name)
	if err != nil {
		return made{}, err
	}
	return c.create(ctx, run, in.DryRun)
}

func (c *call) triggerSchedule(ctx context.Context, in trigger) (made, error) {
	if err := named("schedule", in.Schedule, "list_schedules"); err != nil {
		return made{}, err
	}
	s, err := c.cluster.Schedule(ctx, c.key(in.Schedule))
	if err != nil {
		return made{}, err
	}
	return c.create(ctx, intent.Trigger(s, in.Name), in.DryRun)
}

// create creates a run, which says that it came through an agent.
func (c *call) create(ctx context.Context, run *v1alpha1.DbtRun, dry bool) (made, error) {
	run.Spec.Trigger = &v1alpha1.Trigger{Type: v1alpha1.TriggerManual}
	if run.Annotations == nil {
		run.Annotations = map[string]string{}
	}
	run.Annotations[v1alpha1.AnnotationAgent] = c.client
	if err := c.cluster.Create(ctx, run, dry); err != nil {
		return made{}, err
	}
	return made{
		Namespace: run.Namespace, Run: run.Name, Project: view.Project(run), Commands: cleaned(run.Spec.Commands, maxMessage), Target: run.Spec.Target,
		RequestedBy: line(view.Requester(run)), Agent: c.client, DryRun: dry,
	}, nil
}

func (c *call) cancelRun(ctx context.Context, in cancel) (stopped, error) {
	if err := named("run", in.Run, "list_runs"); err != nil {
		return stopped{}, err
	}
	run, err := c.cluster.Cancel(ctx, c.key(in.Run), false)
	if err != nil {
		return stopped{}, err
	}
	if run.Status.Phase.Finished() {
		c.note("DbtRun %q is over (%s): cancel changes nothing of it", run.Name, run.Status.Phase)
	}
	return stopped{Namespace: run.Namespace, Run: run.Name, Phase: string(view.Phase(run)), Notes: c.notes}, nil
}
