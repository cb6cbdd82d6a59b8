package e2e

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

// A schedule that ticks each minute for three minutes makes three real runs of dbt, each once; dbt is told its tick;
// history is trimmed; and the runs go with the schedule.
func TestScheduleTicksEachMinute(t *testing.T) {
	w := newWorld(t)
	w.project(duckdb111, fixtures.Shop())
	s := &v1alpha1.DbtSchedule{
		ObjectMeta: metav1.ObjectMeta{Name: "minutely", Namespace: w.namespace},
		Spec: v1alpha1.DbtScheduleSpec{
			Schedule: "* * * * *", TimeZone: "Europe/Lisbon", ConcurrencyPolicy: v1alpha1.ScheduleAllow,
			SuccessfulRunsHistoryLimit: ptr.To[int32](2),
			RunTemplate: v1alpha1.RunTemplate{Spec: v1alpha1.DbtRunSpec{
				ProjectRef: &v1alpha1.ProjectReference{Name: "shop"},
				Commands:   []string{"dbt build", `dbt show --inline "select '{{ env_var(\"DBT_SCHEDULED_TIME\") }}' as tick"`},
			}},
		},
	}
	w.create(s)
	// ticks are the scheduled times of runs that succeeded, by name of the run.
	ticks := map[string]time.Time{}
	told := false
	w.eventually("three runs that succeeded", 3*time.Minute+patience, func() (bool, string) {
		for _, run := range w.scheduled() {
			if run.Status.Phase == v1alpha1.PhaseFailed {
				w.Fatalf("DbtRun %s failed: %s", run.Name, run.Status.Message)
			}
			if run.Status.Phase != v1alpha1.PhaseSucceeded || run.DeletionTimestamp != nil {
				continue
			}
			at := run.Spec.Trigger.ScheduledTime.UTC()
			if _, seen := ticks[run.Name]; !seen {
				told = told || w.logHolds(run.Name, at.Format(time.RFC3339))
			}
			ticks[run.Name] = at
		}
		return len(ticks) >= 3, strings.Join(w.names(), " ")
	})
	if !told {
		t.Error("dbt was not told its tick: no log holds it")
	}
	seen := map[time.Time]string{}
	for name, at := range ticks {
		if other, twice := seen[at]; twice || at.Second() != 0 || at.Before(s.CreationTimestamp.Time) {
			t.Errorf("the tick %s has the runs %s and %s", at, name, other)
		}
		seen[at] = name
	}
	w.eventually("a trimmed history", patience, func() (bool, string) {
		over := 0
		for _, run := range w.scheduled() {
			if run.Status.Phase == v1alpha1.PhaseSucceeded {
				over++
			}
		}
		return over <= 2, strings.Join(w.names(), " ")
	})
	if err := cluster.Get(w.Context(), client.ObjectKeyFromObject(s), s); err != nil {
		t.Fatal(err)
	}
	if s.Status.MissedTotal != 0 || s.Status.LastSuccessfulTime == nil || s.Status.NextScheduleTime == nil {
		t.Errorf("status %+v", s.Status)
	}
	if err := cluster.Delete(w.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.eventually("the end of the runs with their schedule", patience, func() (bool, string) {
		return len(w.scheduled()) == 0, strings.Join(w.names(), " ")
	})
}

// scheduled returns the runs that schedules made.
func (w *world) scheduled() []v1alpha1.DbtRun {
	w.Helper()
	list := &v1alpha1.DbtRunList{}
	if err := cluster.List(w.Context(), list, client.InNamespace(w.namespace), client.HasLabels{v1alpha1.LabelSchedule}); err != nil {
		w.Fatal(err)
	}
	return list.Items
}

func (w *world) names() []string {
	var out []string
	for _, run := range w.scheduled() {
		out = append(out, run.Name+"="+string(run.Status.Phase))
	}
	return out
}

// logHolds reports whether the log of a run's pod holds a text.
func (w *world) logHolds(run, text string) bool {
	for _, p := range w.pods() {
		if p.Annotations[v1alpha1.AnnotationRun] == run && strings.Contains(w.log(p.Name, 200), text) {
			return true
		}
	}
	return false
}
