package agent

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
	"github.com/dbt-operator/dbt-operator/internal/cli/view"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
)

// listRuns is what list_runs takes.
type listRuns struct {
	place
	AllNamespaces bool   `json:"allNamespaces,omitempty" jsonschema:"Of all namespaces in place of one."`
	Project       string `json:"project,omitempty" jsonschema:"Of this DbtProject alone."`
	Phase         string `json:"phase,omitempty" jsonschema:"In this phase alone: Pending, Queued, Running, Succeeded, Failed or Cancelled."`
	Requester     string `json:"requester,omitempty" jsonschema:"That this user asked for alone."`
	Labels        string `json:"labels,omitempty" jsonschema:"With these labels alone, as a selector of kubectl, such as dbtoperator.dev/schedule=nightly."`
	Limit         int    `json:"limit,omitempty" jsonschema:"How many at most, 1 to 100. Default: 20."`
	After         string `json:"after,omitempty" jsonschema:"The next of the answer before."`
}

// runLine is a run in a list.
type runLine struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Project   string `json:"project"`
	Phase     string `json:"phase"`
	Nodes     string `json:"nodes,omitempty" jsonschema:"Nodes that are done, of all."`
	Failed    int32  `json:"failed,omitempty" jsonschema:"Nodes that failed."`
	Requester string `json:"requester,omitempty"`
	Created   string `json:"created"`
	Duration  string `json:"duration,omitempty"`
	Message   string `json:"message,omitempty"`
}

type runList struct {
	Runs []runLine `json:"runs" jsonschema:"The newest first."`
	Next string    `json:"next,omitempty" jsonschema:"There are more: give this as after."`
}

var (
	phases = []v1alpha1.Phase{
		v1alpha1.PhasePending, v1alpha1.PhaseQueued, v1alpha1.PhaseRunning, v1alpha1.PhaseSucceeded, v1alpha1.PhaseFailed, v1alpha1.PhaseCancelled,
	}
	// position is what runKey returns.
	position = regexp.MustCompile(`^[0-9]{19}/[^/]+/[^/]+$`)
)

func (c *call) listRuns(ctx context.Context, in listRuns) (runList, error) {
	limit, err := within("limit", in.Limit, defaultItems, maxItems)
	if err != nil {
		return runList{}, err
	}
	if phase := v1alpha1.Phase(in.Phase); phase != "" && !slices.Contains(phases, phase) {
		return runList{}, fmt.Errorf("phase: found %q: give Pending, Queued, Running, Succeeded, Failed or Cancelled", in.Phase)
	}
	if in.After != "" && !position.MatchString(in.After) {
		return runList{}, fmt.Errorf("after: found %q: give the next of an answer of list_runs, as it is", in.After)
	}
	f := kube.Filter{Namespace: c.namespace, Project: in.Project, Phase: v1alpha1.Phase(in.Phase), Requester: in.Requester, Selector: in.Labels}
	if in.AllNamespaces {
		f.Namespace = ""
	}
	all, err := c.cluster.Runs(ctx, f)
	if err != nil {
		return runList{}, err
	}
	page, next := some(all, in.After, limit, runKey)
	out := runList{Runs: []runLine{}, Next: next}
	for i := range page {
		out.Runs = append(out.Runs, c.line(&page[i]))
	}
	return out, nil
}

// runKey is smaller the newer a run is, as kube lists them.
func runKey(run v1alpha1.DbtRun) string {
	return fmt.Sprintf("%019d/%s/%s", math.MaxInt64-run.CreationTimestamp.Unix(), run.Namespace, run.Name)
}

func (c *call) line(run *v1alpha1.DbtRun) runLine {
	out := runLine{
		Namespace: run.Namespace, Name: run.Name, Project: line(view.Project(run)), Phase: string(view.Phase(run)), Nodes: run.Status.Nodes,
		Requester: line(view.Requester(run)), Created: stamp(&run.CreationTimestamp), Duration: view.Took(run, c.Clock.Now()), Message: line(run.Status.Message),
	}
	if n := run.Status.FailedNodes; n != nil {
		out.Failed = *n
	}
	return out
}

func stamp(at *metav1.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// showRun is what show_run takes.
type showRun struct {
	place
	Run         string `json:"run" jsonschema:"Name of the DbtRun."`
	WaitSeconds int    `json:"waitSeconds,omitempty" jsonschema:"Wait for the run's end first, 1 to 120 seconds at most. Default: do not wait."`
}

// condition is a condition of an object.
type condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

func conditionsOf(list []metav1.Condition) []condition {
	out := []condition{}
	for _, c := range list {
		out = append(out, condition{c.Type, string(c.Status), c.Reason, clean(c.Message, maxMessage)})
	}
	return out
}

type commandState struct {
	Command  string `json:"command"`
	ExitCode *int32 `json:"exitCode,omitempty" jsonschema:"0 is success, 1 nodes failed, 2 dbt itself failed. Unset: it has not ended."`
	Note     string `json:"note,omitempty"`
}

type podState struct {
	Pod      string `json:"pod"`
	ExitCode *int32 `json:"exitCode,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// runPage is all that is said of a run.
type runPage struct {
	runLine
	Over        bool                    `json:"over" jsonschema:"The run has ended."`
	Reason      string                  `json:"reason,omitempty" jsonschema:"Why it is in its phase, in one word of the API, such as NodesFailed."`
	Target      string                  `json:"target,omitempty"`
	Trigger     string                  `json:"trigger,omitempty" jsonschema:"What it was made for; unset: a person or program made it."`
	Agent       string                  `json:"agent,omitempty" jsonschema:"The agent through which its requester asked for it."`
	Schedule    string                  `json:"schedule,omitempty" jsonschema:"The DbtSchedule that made it."`
	GoesOnFrom  string                  `json:"goesOnFrom,omitempty" jsonschema:"The DbtRun of which it does what was left."`
	CancelAsked bool                    `json:"cancelAsked,omitempty"`
	Started     string                  `json:"started,omitempty"`
	Ended       string                  `json:"ended,omitempty"`
	Source      string                  `json:"source,omitempty" jsonschema:"Revision of the code."`
	Image       string                  `json:"image,omitempty"`
	Dbt         string                  `json:"dbt,omitempty"`
	Asked       []string                `json:"asked" jsonschema:"The dbt commands that were asked for."`
	Commands    []commandState          `json:"commands,omitempty" jsonschema:"Those that have begun."`
	Running     []string                `json:"running,omitempty" jsonschema:"Nodes that run now."`
	Results     *v1alpha1.Results       `json:"results,omitempty" jsonschema:"Nodes by how they ended."`
	Failures    []string                `json:"failures,omitempty" jsonschema:"Nodes that failed, at most 10: read_failures says more."`
	Slowest     []v1alpha1.NodeDuration `json:"slowest,omitempty"`
	Pods        []podState              `json:"pods,omitempty"`
	Conditions  []condition             `json:"conditions"`
	Kept        []string                `json:"kept,omitempty" jsonschema:"Artifacts that are kept of it."`
	Notes       []string                `json:"notes,omitempty"`
}

func (c *call) showRun(ctx context.Context, in showRun) (runPage, error) {
	run, err := c.run(ctx, in.Run)
	if err != nil {
		return runPage{}, err
	}
	if in.WaitSeconds != 0 {
		seconds, err := within("waitSeconds", in.WaitSeconds, 0, maxWait)
		if err != nil {
			return runPage{}, err
		}
		if run, err = c.wait(ctx, run, time.Duration(seconds)*time.Second); err != nil {
			return runPage{}, err
		}
		if !run.Status.Phase.Finished() {
			c.note("the run had not ended after %d seconds: it goes on", seconds)
		}
	}
	return c.page(run), nil
}

// wait returns a run when it has ended, or as it is after a while.
func (c *call) wait(ctx context.Context, run *v1alpha1.DbtRun, most time.Duration) (*v1alpha1.DbtRun, error) {
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	last := make(chan *v1alpha1.DbtRun, 1)
	last <- run
	ended := make(chan error, 1)
	go func() {
		ended <- c.cluster.Follow(within, c.key(run.Name), func(run *v1alpha1.DbtRun) (bool, error) {
			<-last
			last <- run
			return run.Status.Phase.Finished(), nil
		})
	}()
	var err error
	select {
	case <-c.Clock.After(most):
		cancel()
		<-ended //nolint:errcheck // that it was cancelled
	case err = <-ended:
	}
	return <-last, err
}

func (c *call) page(run *v1alpha1.DbtRun) runPage {
	_, reason := conditions.Succeeded(run.Status.Conditions)
	out := runPage{
		runLine: c.line(run), Over: run.Status.Phase.Finished(), Reason: reason, Target: run.Spec.Target,
		Agent: line(run.Annotations[v1alpha1.AnnotationAgent]), CancelAsked: run.Spec.Cancel != nil && *run.Spec.Cancel,
		Started: stamp(run.Status.StartTime), Ended: stamp(run.Status.CompletionTime), Asked: cleaned(run.Spec.Commands, maxMessage),
		Results: run.Status.Results, Slowest: run.Status.Slowest, Conditions: conditionsOf(run.Status.Conditions),
	}
	out.Message = clean(run.Status.Message, maxMessage)
	if t := run.Spec.Trigger; t != nil {
		out.Trigger = string(t.Type)
		if t.ScheduleRef != nil {
			out.Schedule = t.ScheduleRef.Name
		}
	}
	if run.Spec.ResumeFrom != nil {
		out.GoesOnFrom = run.Spec.ResumeFrom.Name
	}
	if r := run.Status.Revision; r != nil {
		out.Source, out.Image, out.Dbt = line(r.Source), line(r.Image), line(strings.TrimSpace(r.Dbt+" "+r.Adapter))
	}
	if p := run.Status.Progress; p != nil {
		out.Running = cleaned(p.Running, maxName)
	}
	for _, s := range run.Status.Commands {
		out.Commands = append(out.Commands, commandState{clean(s.Command, maxMessage), s.ExitCode, line(s.Note)})
	}
	for _, f := range run.Status.Failures {
		out.Failures = append(out.Failures, line(f.UniqueID))
	}
	for _, a := range run.Status.Attempts {
		out.Pods = append(out.Pods, podState{a.Pod, a.ExitCode, line(a.Reason)})
	}
	for _, a := range run.Status.Artifacts {
		out.Kept = append(out.Kept, line(a.Name))
	}
	out.Notes = c.notes
	return out
}

func cleaned(list []string, limit int) []string {
	out := []string{}
	for _, s := range list {
		out = append(out, clean(s, limit))
	}
	return out
}
