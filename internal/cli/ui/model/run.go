package model

import (
	"cmp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Run is a row of the list of runs. Times are Unix milliseconds, 0 when there is none yet.
type Run struct {
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	UID       string   `json:"uid"`
	Project   string   `json:"project"`
	Phase     string   `json:"phase"`
	Reason    string   `json:"reason,omitempty"`
	Message   string   `json:"message,omitempty"`
	Requester string   `json:"requester,omitempty"`
	Trigger   string   `json:"trigger"`
	Schedule  string   `json:"schedule,omitempty"`
	Scheduled int64    `json:"scheduled,omitempty"`
	Commands  []string `json:"commands"`
	Created   int64    `json:"created"`
	Started   int64    `json:"started,omitempty"`
	Ended     int64    `json:"ended,omitempty"`
	Done      int32    `json:"done"`
	Total     int32    `json:"total"`
	Failed    int32    `json:"failed"`
}

// Page is all that the API says of a run.
type Page struct {
	Run
	Target      string       `json:"target,omitempty"`
	Vars        []string     `json:"vars,omitempty"`
	Source      string       `json:"source,omitempty"`
	Image       string       `json:"image,omitempty"`
	Dbt         string       `json:"dbt,omitempty"`
	Adapter     string       `json:"adapter,omitempty"`
	Groups      []string     `json:"groups,omitempty"`
	ResumeFrom  string       `json:"resumeFrom,omitempty"`
	Results     []Count      `json:"results"`
	Running     []string     `json:"running,omitempty"`
	Attempts    []Attempt    `json:"attempts,omitempty"`
	Kept        string       `json:"kept,omitempty"`
	KeptMessage string       `json:"keptMessage,omitempty"`
	Artifacts   []Artifact   `json:"artifacts,omitempty"`
	Steps       []CommandRow `json:"steps,omitempty"`
	// Slowest are the nodes that took longest: what there is of a timeline where the journal cannot be read.
	Slowest []Slow `json:"slowest,omitempty"`
}

// Count is how many nodes came to a class of results.
type Count struct {
	Class string `json:"class"`
	Nodes int32  `json:"nodes"`
}

// Attempt is a pod of a run.
type Attempt struct {
	Pod    string `json:"pod"`
	Node   string `json:"node,omitempty"`
	Start  int64  `json:"start,omitempty"`
	End    int64  `json:"end,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Artifact is a file that is kept of a run.
type Artifact struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// CommandRow is a dbt command of a run.
type CommandRow struct {
	Line     string `json:"line"`
	Start    int64  `json:"start,omitempty"`
	End      int64  `json:"end,omitempty"`
	ExitCode *int32 `json:"exitCode,omitempty"`
	Note     string `json:"note,omitempty"`
}

// Slow is a node that took long. Seconds are as the API has them, such as "12.345".
type Slow struct {
	ID      string `json:"id"`
	Seconds string `json:"seconds"`
}

// RowOf returns a run as a row.
func RowOf(run *v1alpha1.DbtRun) Run {
	r := Run{
		Namespace: run.Namespace, Name: run.Name, UID: string(run.UID), Project: projectOf(run),
		Phase: string(cmp.Or(run.Status.Phase, v1alpha1.PhasePending)), Message: run.Status.Message,
		Trigger: string(v1alpha1.TriggerManual), Commands: run.Spec.Commands,
		Created: run.CreationTimestamp.UnixMilli(), Started: milli(run.Status.StartTime), Ended: milli(run.Status.CompletionTime),
	}
	for _, c := range run.Status.Conditions {
		if c.Type == v1alpha1.ConditionSucceeded {
			r.Reason = c.Reason
		}
	}
	if by := run.Spec.RequestedBy; by != nil {
		r.Requester = by.Username
	}
	if t := run.Spec.Trigger; t != nil {
		r.Trigger, r.Scheduled = string(cmp.Or(t.Type, v1alpha1.TriggerManual)), milli(t.ScheduledTime)
		if t.ScheduleRef != nil {
			r.Schedule = t.ScheduleRef.Name
		}
	}
	r.Done, r.Total, r.Failed = nodesOf(run)
	return r
}

func projectOf(run *v1alpha1.DbtRun) string {
	if run.Spec.ProjectRef != nil {
		return run.Spec.ProjectRef.Name
	}
	return v1alpha1.InlineProject
}

// nodesOf returns how many nodes have ended, of how many, and how many of them did not end well.
func nodesOf(run *v1alpha1.DbtRun) (done, total, failed int32) {
	if n := run.Status.FailedNodes; n != nil {
		failed = *n
	}
	if p := run.Status.Progress; p != nil {
		return p.Done, p.Total, failed
	}
	if r := run.Status.Results; r != nil {
		done = r.Success + r.Warn + r.Fail + r.Error + r.Skipped + r.NoOp + r.Reused
	}
	return done, done, failed
}

// PageOf returns all that the API says of a run.
func PageOf(run *v1alpha1.DbtRun) Page {
	p := Page{Run: RowOf(run), Target: run.Spec.Target, Results: countsOf(run.Status.Results)}
	for name := range run.Spec.Vars {
		p.Vars = append(p.Vars, name)
	}
	p.Vars = sorted(p.Vars)
	if r := run.Status.Revision; r != nil {
		p.Source, p.Image, p.Dbt, p.Adapter = r.Source, r.Image, r.Dbt, r.Adapter
	}
	if by := run.Spec.RequestedBy; by != nil {
		p.Groups = by.Groups
	}
	if from := run.Spec.ResumeFrom; from != nil {
		p.ResumeFrom = from.Name
	}
	if run.Status.Progress != nil {
		p.Running = run.Status.Progress.Running
	}
	for _, a := range run.Status.Attempts {
		p.Attempts = append(p.Attempts, Attempt{a.Pod, a.Node, milli(a.StartTime), milli(a.EndTime), a.Reason})
	}
	for _, n := range run.Status.Slowest {
		p.Slowest = append(p.Slowest, Slow{n.UniqueID, n.Seconds})
	}
	for _, c := range run.Status.Commands {
		p.Steps = append(p.Steps, CommandRow{c.Command, milli(c.StartTime), milli(c.EndTime), c.ExitCode, c.Note})
	}
	for _, a := range run.Status.Artifacts {
		p.Artifacts = append(p.Artifacts, Artifact{a.Name, a.Bytes})
	}
	for _, c := range run.Status.Conditions {
		if c.Type == v1alpha1.ConditionResultsAvailable {
			p.Kept, p.KeptMessage = c.Reason, c.Message
		}
	}
	return p
}

func countsOf(r *v1alpha1.Results) []Count {
	out := []Count{}
	if r == nil {
		return out
	}
	for _, c := range []Count{
		{ClassSuccess, r.Success}, {ClassWarn, r.Warn}, {ClassFail, r.Fail}, {ClassError, r.Error}, {ClassSkipped, r.Skipped},
		{ClassNoOp, r.NoOp}, {ClassReused, r.Reused},
	} {
		if c.Nodes > 0 {
			out = append(out, c)
		}
	}
	return out
}

func milli(t *metav1.Time) int64 {
	if t == nil || t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func seconds(ms int64) float64 { return float64(ms) / float64(time.Second/time.Millisecond) }
