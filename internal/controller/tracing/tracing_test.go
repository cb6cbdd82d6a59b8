package tracing

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/outbox"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
	"github.com/dbt-operator/dbt-operator/internal/tracing"
)

var now = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

// nightly is a run of a schedule that ended in a phase.
func nightly(phase v1alpha1.Phase, message string) *v1alpha1.DbtRun {
	tick := metav1.NewTime(now.Add(-time.Hour))
	run := testutil.MakeDbtRun("r").Namespace("ns").UID("u").Project("shop").Target("prod").RequestedBy("ada@example.com").
		Created(now.Add(-time.Hour)).Truth(phase, metav1.ConditionFalse, "NodesFailed", message).Completed(now).Obj()
	run.Annotations = map[string]string{v1alpha1.AnnotationTraceParent: "00-x"}
	run.Spec.Trigger = &v1alpha1.Trigger{Type: v1alpha1.TriggerSchedule, ScheduleRef: &v1alpha1.ScheduleReference{Name: "nightly"}, ScheduledTime: &tick}
	run.Status.Project = &v1alpha1.ProjectStatus{Name: "shop"}
	run.Status.Revision = &v1alpha1.Revision{Source: "4b82", Image: "dbt@sha256:1"}
	run.Status.StartTime = &metav1.Time{Time: now.Add(-time.Minute)}
	return run
}

func TestKnown(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	want := tracing.Run{
		Namespace: "ns", Name: "r", UID: "u", Project: "shop", Target: "prod", Schedule: "nightly", ScheduledTime: now.Add(-time.Hour),
		Trigger: "Schedule", Requester: "ada@example.com", Revision: "4b82", Image: "dbt@sha256:1", TraceParent: "00-x",
		Created: now.Add(-time.Hour), Start: now.Add(-time.Minute), End: now, Reason: "NodesFailed",
	}
	for phase, change := range map[v1alpha1.Phase]func(*tracing.Run){
		v1alpha1.PhaseSucceeded: func(r *tracing.Run) { r.Outcome = tracing.Succeeded },
		v1alpha1.PhaseFailed:    func(r *tracing.Run) { r.Outcome, r.Message = tracing.Failed, "why" },
		v1alpha1.PhaseCancelled: func(r *tracing.Run) { r.Outcome, r.Message = tracing.Cancelled, "why" },
		v1alpha1.PhaseRunning:   func(r *tracing.Run) { r.End, r.Reason = time.Time{}, "" },
	} {
		run := nightly(phase, "why")
		got, err := NewKnown(fake.NewClientBuilder().WithScheme(scheme).WithObjects(run).Build(), nil).Known(t.Context(), outbox.Key{Namespace: "ns", Name: "r", UID: "u"})
		if err != nil {
			t.Fatal(err)
		}
		want := want
		change(&want)
		if phase != v1alpha1.PhaseRunning {
			want.Phase = string(phase)
		}
		if diff := cmp.Diff(want, got.Run); diff != "" {
			t.Errorf("%s (-want +got):\n%s", phase, diff)
		}
	}
}
