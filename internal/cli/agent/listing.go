package agent

import (
	"context"
	"fmt"
	"strings"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/view"
)

// list is what list_projects and list_schedules take.
type list struct {
	place
	AllNamespaces bool   `json:"allNamespaces,omitempty" jsonschema:"Of all namespaces in place of one."`
	Limit         int    `json:"limit,omitempty" jsonschema:"How many at most, 1 to 100. Default: 20."`
	After         string `json:"after,omitempty" jsonschema:"The next of the answer before."`
}

func (l list) namespaceOf(c *call) string {
	if l.AllNamespaces {
		return ""
	}
	return c.namespace
}

type project struct {
	Namespace  string      `json:"namespace"`
	Name       string      `json:"name"`
	Source     string      `json:"source,omitempty" jsonschema:"Where its code is."`
	Image      string      `json:"image,omitempty"`
	Target     string      `json:"target,omitempty" jsonschema:"dbt's target that runs have unless they name another."`
	Author     string      `json:"author,omitempty" jsonschema:"Who changed it last."`
	Conditions []condition `json:"conditions"`
}

type projectList struct {
	Projects []project `json:"projects" jsonschema:"By namespace and name."`
	Next     string    `json:"next,omitempty" jsonschema:"There are more: give this as after."`
}

func (c *call) listProjects(ctx context.Context, in list) (projectList, error) {
	limit, err := within("limit", in.Limit, defaultItems, maxItems)
	if err != nil {
		return projectList{}, err
	}
	all, err := c.cluster.Projects(ctx, in.namespaceOf(c))
	if err != nil {
		return projectList{}, err
	}
	page, next := some(all, in.After, limit, func(p v1alpha1.DbtProject) string { return p.Namespace + "/" + p.Name })
	out := projectList{Projects: []project{}, Next: next}
	for i := range page {
		p := &page[i]
		out.Projects = append(out.Projects, project{
			Namespace: p.Namespace, Name: p.Name, Source: line(sourceOf(p)), Image: line(p.Spec.Image), Target: p.Spec.Target,
			Author: authorOf(p.Spec.RequestedBy), Conditions: conditionsOf(p.Status.Conditions),
		})
	}
	return out, nil
}

// sourceOf says where the code of a project is. A URL holds no password: the API refuses one.
func sourceOf(p *v1alpha1.DbtProject) string {
	switch s := p.Spec.Source; {
	case s.Git != nil:
		at := s.Git.URL
		if r := s.Git.Ref; r != nil {
			at += " at " + strings.TrimSpace(r.Branch+" "+r.Tag+" "+r.Commit)
		}
		if s.Git.Path != "" {
			at += ", folder " + s.Git.Path
		}
		return "git " + at
	case s.ConfigMap != nil:
		return "ConfigMap " + s.ConfigMap.Name
	case s.Image != nil:
		return "image, folder " + s.Image.Path
	}
	return ""
}

func authorOf(by *v1alpha1.Requester) string {
	if by == nil {
		return ""
	}
	return line(by.Username)
}

type schedule struct {
	Namespace     string      `json:"namespace"`
	Name          string      `json:"name"`
	Project       string      `json:"project"`
	Commands      []string    `json:"commands"`
	Cron          string      `json:"cron,omitempty"`
	TimeZone      string      `json:"timeZone,omitempty"`
	After         []string    `json:"after,omitempty" jsonschema:"The DbtSchedules whose runs it follows."`
	Suspended     bool        `json:"suspended,omitempty"`
	Author        string      `json:"author,omitempty" jsonschema:"In whose name its runs are made."`
	Active        []string    `json:"active,omitempty" jsonschema:"Its runs that are under way."`
	LastRun       string      `json:"lastRun,omitempty"`
	LastPhase     string      `json:"lastPhase,omitempty"`
	LastSucceeded string      `json:"lastSucceeded,omitempty"`
	LastFailed    string      `json:"lastFailed,omitempty"`
	Next          string      `json:"next,omitempty" jsonschema:"When it makes its next run."`
	Missed        int64       `json:"missed,omitempty" jsonschema:"Ticks of which no run was made."`
	Backfill      string      `json:"backfill,omitempty"`
	Conditions    []condition `json:"conditions"`
}

type scheduleList struct {
	Schedules []schedule `json:"schedules" jsonschema:"By namespace and name."`
	Next      string     `json:"next,omitempty" jsonschema:"There are more: give this as after."`
}

func (c *call) listSchedules(ctx context.Context, in list) (scheduleList, error) {
	limit, err := within("limit", in.Limit, defaultItems, maxItems)
	if err != nil {
		return scheduleList{}, err
	}
	all, err := c.cluster.Schedules(ctx, in.namespaceOf(c))
	if err != nil {
		return scheduleList{}, err
	}
	page, next := some(all, in.After, limit, func(s v1alpha1.DbtSchedule) string { return s.Namespace + "/" + s.Name })
	out := scheduleList{Schedules: []schedule{}, Next: next}
	for i := range page {
		out.Schedules = append(out.Schedules, scheduleOf(&page[i]))
	}
	return out, nil
}

func scheduleOf(s *v1alpha1.DbtSchedule) schedule {
	template := &v1alpha1.DbtRun{Spec: s.Spec.RunTemplate.Spec}
	out := schedule{
		Namespace: s.Namespace, Name: s.Name, Project: line(view.Project(template)), Commands: cleaned(template.Spec.Commands, maxName),
		Cron: s.Spec.Schedule, TimeZone: s.Spec.TimeZone, Suspended: s.Spec.Suspend != nil && *s.Spec.Suspend,
		Author: authorOf(s.Spec.RequestedBy), Active: s.Status.Active, LastSucceeded: stamp(s.Status.LastSuccessfulTime),
		LastFailed: stamp(s.Status.LastFailureTime), Next: stamp(s.Status.NextScheduleTime), Missed: s.Status.MissedTotal,
		Conditions: conditionsOf(s.Status.Conditions),
	}
	for _, up := range s.Spec.After {
		out.After = append(out.After, up.Schedule)
	}
	if last := s.Status.LastRun; last != nil {
		out.LastRun, out.LastPhase = last.Name, string(last.Phase)
	}
	if b := s.Status.Backfill; b != nil {
		out.Backfill = fmt.Sprintf("%s: %d of %d runs begun", b.Phase, b.Started, b.Total)
	}
	return out
}
