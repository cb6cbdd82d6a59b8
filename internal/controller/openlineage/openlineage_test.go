package openlineage

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/openlineage"
	"github.com/dbt-operator/dbt-operator/internal/outbox"
	"github.com/dbt-operator/dbt-operator/internal/store"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

var now = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

func waiting() *v1alpha1.DbtRun {
	return testutil.MakeDbtRun("r").Namespace("ns").UID("u").Project("shop").Obj()
}

func started() *v1alpha1.DbtRun {
	run := waiting()
	run.Status.StartTime = &metav1.Time{Time: now.Add(-time.Hour)}
	return run
}

// ended is a run that ended in a phase, whose results are as the reason of ResultsAvailable says.
func ended(phase v1alpha1.Phase, results string) *v1alpha1.DbtRun {
	run := started()
	run.Status.Phase, run.Status.Message = phase, "why"
	run.Status.CompletionTime = &metav1.Time{Time: now.Add(-time.Minute)}
	run.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionResultsAvailable, Reason: results}}
	return run
}

func TestKnown(t *testing.T) {
	ctx := t.Context()
	kept, err := store.Open(ctx, "file://"+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	at := store.Run{Namespace: "ns", UID: "u"}
	for part, content := range map[string]string{"p1": `{"k":"begin"}` + "\n" + `{"torn`, "p2": "{}\n"} {
		if _, err := kept.Append(ctx, at, journal.StreamJournal, part, 0, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	run := ended(v1alpha1.PhaseCancelled, v1alpha1.ReasonStored)
	k := NewKnown(fake.NewClientBuilder().WithScheme(scheme).WithObjects(run).Build(), kept)
	key := outbox.Key{Namespace: "ns", Name: "r", UID: "u"}
	got, err := k.Known(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	want := openlineage.Run{
		Namespace: "ns", Name: "r", UID: "u", Trigger: "Manual",
		Start: now.Add(-time.Hour), End: now.Add(-time.Minute), Outcome: openlineage.Abort, Message: "why",
	}
	if diff := cmp.Diff(want, got.Run); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
	if got.Lineage != nil {
		t.Error("lineage that the run does not name")
	}
	body, err := got.Journal(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		t.Fatal(err)
	}
	lines := []string{`{"k":"begin"}` + "\n" + `{"torn` + "\n{}\n\n", "{}\n\n" + `{"k":"begin"}` + "\n" + `{"torn` + "\n"}
	if string(b) != lines[0] && string(b) != lines[1] {
		t.Errorf("journal is %q", b)
	}
	if _, err := k.Known(ctx, outbox.Key{Namespace: "ns", Name: "r", UID: "another"}); !errors.Is(err, outbox.ErrGone) {
		t.Errorf("a run of the same name: got %v, want ErrGone", err)
	}
	if note, err := k.Get(ctx, key); note != nil || err != nil {
		t.Errorf("note before the first: %q, %v", note, err)
	}
	if err := k.Set(ctx, key, []byte("mark")); err != nil {
		t.Fatal(err)
	}
	if note, err := k.Get(ctx, key); string(note) != "mark" || err != nil {
		t.Errorf("note: %q, %v", note, err)
	}
}

// What a DbtProject says of its datasets is said in the events of its runs.
func TestDatasetsAreTheProjects(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	const mine = "postgres://warehouse.example.com:5432"
	project := testutil.MakeDbtProject("shop").Obj()
	project.Namespace, project.Annotations = "ns", map[string]string{v1alpha1.AnnotationDatasetNamespace: mine}
	elsewhere := testutil.MakeDbtRun("elsewhere").Namespace("other").UID("v").Project("shop").Obj()
	k := NewKnown(fake.NewClientBuilder().WithScheme(scheme).WithObjects(waiting(), elsewhere, project).Build(), nil)
	for key, want := range map[outbox.Key]string{
		{Namespace: "ns", Name: "r", UID: "u"}:            mine,
		{Namespace: "other", Name: "elsewhere", UID: "v"}: "",
	} {
		got, err := k.Known(t.Context(), key)
		if err != nil || got.Run.DatasetNamespace != want {
			t.Errorf("%s: %q, %v; want %q", key, got.Run.DatasetNamespace, err, want)
		}
	}
}

func TestDescribeNamesTheRequester(t *testing.T) {
	if got := describe(waiting()).Requester; got != "" {
		t.Errorf("nobody asked, and %q did", got)
	}
	run := testutil.MakeDbtRun("r").RequestedBy("ada@example.com", "finance").Obj()
	if got := describe(run).Requester; got != "ada@example.com" {
		t.Errorf("requester %q", got)
	}
}
