package follow

import (
	"time"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Facts are what everyone who is told of a run says of it in their own form. Empty fields are not known.
type Facts struct {
	// Project is the DbtProject's name, empty for an inline project.
	Project, Requester, Trigger, Schedule, Revision, Image string
	ScheduledTime, Start                                   time.Time
}

// FactsOf returns the facts of a run.
func FactsOf(run *v1alpha1.DbtRun) Facts {
	s := run.Status
	f := Facts{Trigger: string(v1alpha1.TriggerManual)}
	if who := run.Spec.RequestedBy; who != nil {
		f.Requester = who.Username
	}
	if t := run.Spec.Trigger; t != nil {
		f.Trigger = string(t.Type)
		if t.ScheduleRef != nil {
			f.Schedule = t.ScheduleRef.Name
		}
		if t.ScheduledTime != nil {
			f.ScheduledTime = t.ScheduledTime.Time
		}
	}
	if s.Project != nil && s.Project.Name != v1alpha1.InlineProject {
		f.Project = s.Project.Name
	}
	if s.Revision != nil {
		f.Revision, f.Image = s.Revision.Source, s.Revision.Image
	}
	if s.StartTime != nil {
		f.Start = s.StartTime.Time
	}
	return f
}
