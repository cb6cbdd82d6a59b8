package tracing

import (
	"context"
	"crypto/sha256"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
)

// Run is what the spans of a DbtRun say of it. Empty fields are left out.
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
	// TraceParent is the caller's, as W3C Trace Context has it, empty when there is none. It is foreign text.
	TraceParent string

	// Created is when the run was asked for, Start when its pod started, zero when none did.
	Created, Start time.Time
	// End is when the run ended. The zero time: it has not, and there are no spans.
	End time.Time
	// Phase and Reason are the run's own words; Message says why it did not end well.
	Phase, Reason, Message string
	Outcome                Outcome
}

// Outcome is how a run ended.
type Outcome string

// Outcomes.
const (
	Succeeded Outcome = "Succeeded"
	Failed    Outcome = "Failed"
	// Cancelled: somebody stopped it, which is no error.
	Cancelled Outcome = "Cancelled"
)

const (
	maxName    = 512
	maxMessage = 1 << 10
	// maxParent bounds what is looked at of a traceparent; one of a version to come may be longer than today's 55 bytes.
	maxParent = 256
)

// bounded returns the run with clean strings.
func (r Run) bounded() Run {
	for _, s := range []*string{
		&r.Namespace, &r.Name, &r.Project, &r.Target, &r.Schedule, &r.Trigger, &r.Requester, &r.Revision, &r.Image, &r.Phase, &r.Reason,
	} {
		*s = text.Line(*s, maxName)
	}
	r.Message = text.Line(r.Message, maxMessage)
	return r
}

// Parent returns the caller's span, and whether the run names one that is well-formed.
func (r Run) Parent() (trace.SpanContext, bool) {
	if len(r.TraceParent) > maxParent {
		return trace.SpanContext{}, false
	}
	parent := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(),
		propagation.MapCarrier{"traceparent": r.TraceParent}))
	return parent, parent.IsValid()
}

// TraceID returns the trace that a run begins: one made of its UID. A run with a Parent is part of that one's trace.
func TraceID(uid string) trace.TraceID {
	sum := sha256.Sum256([]byte("trace\x00" + uid))
	return trace.TraceID(sum[:16])
}

// spanID returns the span of a part of a run.
func spanID(uid string, path ...string) trace.SpanID {
	sum := sha256.Sum256([]byte("span\x00" + uid + "\x00" + strings.Join(path, "\x00")))
	return trace.SpanID(sum[:8])
}

func itoa(n int) string { return strconv.Itoa(n) }
