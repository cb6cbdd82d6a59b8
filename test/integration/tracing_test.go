package integration

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/controller/follow"
	tracingcontroller "github.com/dbt-operator/dbt-operator/internal/controller/tracing"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
	"github.com/dbt-operator/dbt-operator/internal/testutil/otlptest"
	"github.com/dbt-operator/dbt-operator/internal/tracing/send"
)

// tracer starts what the manager has with --tracing, with the operator's shipped rights, and returns what stops it.
func (w *world) tracer(kept *store.Store, to *otlptest.Receiver) (stop func()) {
	w.Helper()
	mgr, err := ctrl.NewManager(operator, ctrl.Options{
		Scheme: scheme, Cache: controller.CacheOptions(controller.Scope{Namespaces: []string{w.ns}, Keeps: true}, time.Now),
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: ptr.To(true)},
	})
	w.must(err)
	// The variables that choose endpoint and protocol are those of the process: internal/tracing/send tests them.
	exporter, err := otlptracegrpc.New(w.Context(), otlptracegrpc.WithEndpoint(to.GRPC), otlptracegrpc.WithInsecure())
	w.must(err)
	known := tracingcontroller.NewKnown(mgr.GetClient(), kept)
	sender := send.New(send.Config{Exporter: exporter, Source: known, Notes: known, Now: time.Now, After: time.After})
	w.must(follow.New(tracingcontroller.Name, clock.RealClock{}, mgr.GetClient(), sender).SetupWithManager(mgr))
	w.must(mgr.Add(manager.RunnableFunc(sender.Start)))
	return w.serve(mgr)
}

// A run that somebody's trace asked for is a part of that trace, down to its nodes; and stays one when the operator starts again.
func TestTraceOfARun(t *testing.T) {
	const caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	w := newWorld(t)
	kept, err := store.Open(t.Context(), "mem://")
	w.must(err)
	t.Cleanup(func() { _ = kept.Close() })
	receiver := otlptest.New(t)
	stop := w.tracer(kept, receiver)
	w.project(testutil.MakeDbtProject("shop").Image("dbt:1").Baked("/dbt"))
	asked := testutil.MakeDbtRun("traced").Project("shop").Command("dbt build")
	asked.Annotations = map[string]string{v1alpha1.AnnotationTraceParent: caller}
	run := w.run(asked)
	job, pod := w.begun(run)

	now := time.Now()
	at := func(seconds int) int64 { return now.Add(time.Duration(seconds) * time.Second).UnixMilli() }
	report := journal.Report{RunUID: string(run.UID), Outcome: journal.NodesFailed, Message: "1 node failed: model.shop.orders"}
	var lines bytes.Buffer
	for _, e := range []journal.Entry{
		{Kind: journal.KindBegin, Pod: pod.Name, At: at(0)},
		{Kind: journal.KindCommand, Line: "dbt build", At: at(1)},
		{Kind: journal.KindInvocation, InvocationID: "8a0d29f7-bbc3-48e3-a0e4-36ae38f86fd0"},
		{Kind: journal.KindResult, At: at(2), Node: &journal.Node{ID: "model.shop.stg_orders", ResourceType: "model", Status: "success", Start: at(1), End: at(2)}},
		{Kind: journal.KindResult, At: at(3), Node: &journal.Node{ID: "model.shop.orders", ResourceType: "model", Status: "error", Start: at(2), End: at(3), Message: "Database Error"}},
		{Kind: journal.KindCommandEnd, At: at(4), ExitCode: 1, Outcome: journal.NodesFailed, Message: report.Message},
		{Kind: journal.KindEnd, At: at(5), Report: journal.Encode(report, journal.MaxEndReport)},
	} {
		lines.Write(journal.EncodeEntry(e))
	}
	_, err = kept.Append(t.Context(), store.Run{Namespace: w.ns, UID: string(run.UID)}, journal.StreamJournal, pod.Name, 0, lines.Bytes())
	w.must(err)
	w.kubelet.End(pod, testutil.Exit{Code: journal.ExitNodesFailed, Message: string(journal.Encode(report, journal.MaxSummary))})
	w.kubelet.FailJob(job, "PodFailurePolicy", "the runner said no")
	w.is(run, "over", func(r *v1alpha1.DbtRun) bool { return r.Status.Phase == v1alpha1.PhaseFailed })

	testutil.Eventually(t, "the run's trace", patience, func() (bool, string) {
		return receiver.Came() >= 5, fmt.Sprintf("%d spans", receiver.Came())
	})
	want := []string{
		"DbtRun shop of traced within 00f067aa0ba902b7: failed", "attempt 1 of " + pod.Name + " within DbtRun shop: failed",
		"dbt build of dbt build within attempt 1: failed", "model.shop.orders of error within dbt build: Database Error",
		"model.shop.stg_orders of success within dbt build: ",
	}
	if diff := cmp.Diff(want, tree(t, receiver)); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}

	// Another operator finds the note.
	stop()
	done := w.run(testutil.MakeDbtRun("later").Project("shop").Command("dbt build").Cancel())
	w.is(done, "over", func(r *v1alpha1.DbtRun) bool { return r.Status.Phase == v1alpha1.PhaseCancelled })
	stop = w.tracer(kept, receiver)
	defer stop()
	testutil.Eventually(t, "the trace of the run that ended meanwhile", patience, func() (bool, string) {
		return receiver.Came() > 5, fmt.Sprintf("%d spans", receiver.Came())
	})
	if got := receiver.Came(); got != 6 {
		t.Errorf("%d spans came in all, want 6: that of the run that ended meanwhile, and none again", got)
	}
}

// tree returns a line for each span: what it is about, what it is within, and why it failed.
func tree(t *testing.T, r *otlptest.Receiver) []string {
	t.Helper()
	names := map[string]string{}
	for _, s := range r.Spans() {
		names[string(s.GetSpanId())] = s.GetName()
	}
	var out []string
	for _, s := range r.Spans() {
		if got := fmt.Sprintf("%x", s.GetTraceId()); got != "4bf92f3577b34da6a3ce929d0e0e4736" {
			t.Errorf("%s is of trace %s", s.GetName(), got)
		}
		within, known := names[string(s.GetParentSpanId())]
		if !known {
			within = fmt.Sprintf("%x", s.GetParentSpanId())
		}
		about := ""
		for _, key := range []string{"dbt.run.name", "k8s.pod.name", "dbt.command", "dbt.node.status"} {
			about += s.Attribute(key)
		}
		failed := s.GetStatus().GetMessage()
		if s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR && failed != "Database Error" {
			failed = "failed"
		}
		out = append(out, fmt.Sprintf("%s of %s within %s: %s", s.GetName(), about, within, failed))
	}
	slices.Sort(out)
	return out
}
