package openlineage

import (
	"cmp"
	"time"

	"github.com/google/uuid"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
)

// DefaultProducer names who makes the events.
const DefaultProducer = "https://github.com/dbt-operator/dbt-operator"

// DefaultCluster is what job namespaces begin with when nothing else is configured.
const DefaultCluster = "kubernetes"

// Options hold for all runs.
type Options struct {
	// Cluster is what job namespaces begin with; DefaultCluster when empty.
	Cluster string
	// DatasetNamespace is that of datasets of runs that name none themselves; when it is empty too, one is made of the
	// adapter's name: see docs/lineage.md.
	DatasetNamespace string
	// Producer is a URI that names who makes the events; DefaultProducer when empty.
	Producer string
}

// Run is what the events of a DbtRun say of it. Empty fields are left out.
type Run struct {
	Namespace, Name, UID string
	// Project is the name of the DbtProject, empty for a project written into the run itself.
	Project string
	// Target of the profile, empty for the profile's own.
	Target string
	// Schedule is the DbtSchedule that made the run; ScheduledTime the tick it was made for.
	Schedule      string
	ScheduledTime time.Time
	// Trigger is Manual, Schedule and the like.
	Trigger string
	// Requester is the authenticated user that asked for the run.
	Requester string
	// Revision is the pinned source, Image the image by digest.
	Revision, Image string
	// DatasetNamespace of this run's project; Options.DatasetNamespace when empty.
	DatasetNamespace string

	// Start is when the run started, and must not change any more. The zero time: it has not.
	Start time.Time
	// End is when the run ended, with Outcome and, unless that is Complete, Message. The zero time: it has not.
	End time.Time
	// Outcome is Complete, Fail, or Abort for a run that was cancelled.
	Outcome Type
	Message string
}

const (
	maxName    = 512
	maxMessage = 4 << 10
)

// bounded returns the run with clean strings.
func (r Run) bounded() Run {
	for _, s := range []*string{
		&r.Namespace, &r.Name, &r.UID, &r.Project, &r.Target, &r.Schedule, &r.Trigger, &r.Requester, &r.Revision,
		&r.Image, &r.DatasetNamespace,
	} {
		*s = text.Line(*s, maxName)
	}
	r.Message = text.Line(r.Message, maxMessage)
	return r
}

// RunID returns the OpenLineage run of a DbtRun: its UID, which Kubernetes makes a UUID, or a UUID made of it.
func RunID(uid string) string {
	if id, err := uuid.Parse(uid); err == nil {
		return id.String()
	}
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(DefaultProducer+"/dbtruns/"+uid)).String()
}

// NodeRunID returns the OpenLineage run of a node's nth execution, from 0, in a DbtRun.
func NodeRunID(uid, node string, nth int) string {
	return uuid.NewSHA1(uuid.MustParse(RunID(uid)), []byte(node+"#"+itoa(nth))).String()
}

// jobNamespace returns CLUSTER/NAMESPACE.
func (b *builder) jobNamespace() string {
	return cmp.Or(b.options.Cluster, DefaultCluster) + "/" + b.run.Namespace
}

// jobName returns the job that a DbtRun is an execution of: what makes it come back. A run that nothing makes come
// back is a job of its own.
func (b *builder) jobName() string {
	if b.run.Schedule != "" {
		return "dbtschedule/" + b.run.Schedule
	}
	return b.base()
}

// base returns what the jobs of nodes begin with. It is the same for runs by hand and by schedule, and another for
// another target, which writes other datasets.
func (b *builder) base() string {
	base := "dbtrun/" + b.run.Name
	switch {
	case b.run.Project != "":
		base = "dbtproject/" + b.run.Project
	case b.run.Schedule != "":
		base = "dbtschedule/" + b.run.Schedule
	}
	if b.run.Target != "" {
		base += "/" + b.run.Target
	}
	return base
}
