package tracing

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Span is one span of a run's trace.
type Span struct {
	ID trace.SpanID
	// Parent is the span of this trace that it is part of; zero for the run's own, which comes first.
	Parent     trace.SpanID
	Name       string
	Kind       trace.SpanKind
	Start, End time.Time
	Attributes []attribute.KeyValue
	Events     []Event
	// Failed says that what the span is about did not end well, Message why: one line of at most 1 KiB.
	Failed  bool
	Message string
}

// Event is something that happened at one time.
type Event struct {
	Name string
	Time time.Time
}

// Attributes of spans. Those of OpenTelemetry's semantic conventions keep their names.
const (
	KeyRunName        = attribute.Key("dbt.run.name")
	KeyRunUID         = attribute.Key("dbt.run.uid")
	KeyRunPhase       = attribute.Key("dbt.run.phase")
	KeyRunReason      = attribute.Key("dbt.run.reason")
	KeyTrigger        = attribute.Key("dbt.run.trigger")
	KeyScheduleName   = attribute.Key("dbt.schedule.name")
	KeyScheduledTime  = attribute.Key("dbt.schedule.time")
	KeyRequester      = attribute.Key("dbt.requester")
	KeyProjectName    = attribute.Key("dbt.project.name")
	KeyTarget         = attribute.Key("dbt.target")
	KeyRevision       = attribute.Key("dbt.revision")
	KeyVersion        = attribute.Key("dbt.version")
	KeyAdapter        = attribute.Key("dbt.adapter")
	KeyBadParent      = attribute.Key("dbt.traceparent.ignored")
	KeyLeftOut        = attribute.Key("dbt.spans.left_out")
	KeyOutcome        = attribute.Key("dbt.outcome")
	KeyCommand        = attribute.Key("dbt.command")
	KeyCommandIndex   = attribute.Key("dbt.command.index")
	KeyCommandMode    = attribute.Key("dbt.command.mode")
	KeyCommandNote    = attribute.Key("dbt.command.note")
	KeyCommandNodes   = attribute.Key("dbt.command.nodes")
	KeyInvocationID   = attribute.Key("dbt.invocation_id")
	KeyNodeID         = attribute.Key("dbt.node.unique_id")
	KeyNodeType       = attribute.Key("dbt.node.resource_type")
	KeyNodeStatus     = attribute.Key("dbt.node.status")
	KeyNodePath       = attribute.Key("dbt.node.path")
	KeyNodeRelation   = attribute.Key("dbt.node.relation")
	KeyNodeRows       = attribute.Key("dbt.node.rows")
	KeyNamespace      = semconv.K8SNamespaceNameKey
	KeyPod            = semconv.K8SPodNameKey
	KeyContainerImage = semconv.ContainerImageNameKey
	KeyExitCode       = semconv.ProcessExitCodeKey
)

// attributes gathers what is said.
type attributes []attribute.KeyValue

// text says something unless it is empty.
func (a *attributes) text(key attribute.Key, value string) {
	if value != "" {
		*a = append(*a, key.String(value))
	}
}

// number says something unless it is not positive.
func (a *attributes) number(key attribute.Key, value int64) {
	if value > 0 {
		*a = append(*a, key.Int64(value))
	}
}
