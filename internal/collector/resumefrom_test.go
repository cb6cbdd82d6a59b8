package collector

import (
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

func TestResumeFrom(t *testing.T) {
	w := newWorld(t, nil)
	made := w.clock.Now()
	at := func(after time.Duration) func(*v1alpha1.DbtRun) {
		return func(r *v1alpha1.DbtRun) { r.CreationTimestamp = metav1.NewTime(made.Add(after)) }
	}
	before := func(name string, after time.Duration, phase v1alpha1.Phase) {
		run := w.run(name, at(after))
		w.says(w.pod(name, 1), 0, begins, command, result("x"))
		run.Status = testutil.MakeDbtRun(name).Job("job-"+name, "job-"+name).Truth(phase, metav1.ConditionFalse, "NodesFailed", "").Status
		w.ok(w.objects.Status().Update(w.Context(), run))
	}
	before("before", -time.Hour, v1alpha1.PhaseFailed)
	before("at-once", 0, v1alpha1.PhaseFailed)
	before("anew", time.Hour, v1alpha1.PhaseFailed)
	before("at-work", -time.Hour, v1alpha1.PhaseRunning)
	for name, c := range map[string]struct {
		reason, from string
		code         int
		want         string
	}{
		"a": {"what it is for", "before", http.StatusOK, string(lines(begins, command, result("x")))},
		"b": {"clocks have seconds", "at-once", http.StatusOK, string(lines(begins, command, result("x")))},
		"c": {"it was deleted", "gone", http.StatusNotFound, "ns/gone"},
		"d": {"it was deleted and made again, so its nodes are another run's", "anew", http.StatusNotFound, "was created after this run"},
		"e": {"it was deleted and made again, and is under way", "at-work", http.StatusNotFound, "is not over yet"},
		"f": {"it names none", "", http.StatusNotFound, "names no run"},
	} {
		w.run(name, at(0), func(r *v1alpha1.DbtRun) {
			if c.from != "" {
				r.Spec.ResumeFrom = &v1alpha1.RunReference{Name: c.from}
			}
		})
		got := w.do(http.MethodGet, journal.PathJournal+"?from=resumeFrom", w.pod(name, 1), nil)
		if got.code != c.code || !strings.Contains(got.body, c.want) {
			t.Errorf("%s: %d %s, want %d %s", c.reason, got.code, got.body, c.code, c.want)
		}
	}
}
