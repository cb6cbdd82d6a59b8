package history_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/history"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// runs makes a run for each word, a minute apart, named by the words: "s1" succeeded, "f1" failed, "c1" was cancelled,
// "r1" runs, "d1" succeeded and is being deleted.
func runs(words string) []*v1alpha1.DbtRun {
	phases := map[byte]v1alpha1.Phase{
		's': v1alpha1.PhaseSucceeded, 'f': v1alpha1.PhaseFailed, 'c': v1alpha1.PhaseCancelled, 'r': v1alpha1.PhaseRunning, 'd': v1alpha1.PhaseSucceeded,
	}
	var out []*v1alpha1.DbtRun
	for i, name := range strings.Fields(words) {
		created := time.Date(2026, 11, 24, 6, i, 0, 0, time.UTC)
		run := testutil.MakeDbtRun(name).Created(created).Obj()
		run.Status.Phase = phases[name[0]]
		if name[0] == 'd' {
			run.DeletionTimestamp = &metav1.Time{Time: created}
		}
		out = append(out, run)
	}
	return out
}

func names(runs []*v1alpha1.DbtRun) string {
	var out []string
	for _, r := range runs {
		out = append(out, r.Name)
	}
	return strings.Join(out, " ")
}

func TestExcess(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		runs   string
		limits history.Limits
		want   string
	}{
		"none":               {"nothing to delete", "", history.Limits{Successful: 0, Failed: 0}, ""},
		"within":             {"as many as may be", "s1 s2 f1", history.Limits{Successful: 2, Failed: 1}, ""},
		"over":               {"the oldest go first", "s1 s2 s3 s4", history.Limits{Successful: 2, Failed: 2}, "s1 s2"},
		"each its own":       {"a failure does not push a success out", "s1 f1 f2 f3 s2", history.Limits{Successful: 1, Failed: 2}, "s1 f1"},
		"cancelled":          {"it counts with those that failed", "c1 f1 c2", history.Limits{Successful: 3, Failed: 1}, "c1 f1"},
		"no history at all":  {"limits of 0", "s1 f1 r1", history.Limits{}, "s1 f1"},
		"not over":           {"a run in progress is never deleted", "r1 r2 r3", history.Limits{}, ""},
		"being deleted":      {"it goes already", "d1 d2 s1 s2", history.Limits{Successful: 2, Failed: 2}, ""},
		"negative by a hand": {"an object from before the rule", "s1", history.Limits{Successful: 0, Failed: -1}, "s1"},
	} {
		t.Run(name, func(t *testing.T) {
			in := runs(c.runs)
			slices.Reverse(in) // a cache has no order
			before := slices.Clone(in)
			if got := names(history.Excess(in, c.limits)); got != c.want {
				t.Errorf("%s: got %q, want %q", c.reason, got, c.want)
			}
			if diff := cmp.Diff(before, in); diff != "" {
				t.Errorf("the input was changed:\n%s", diff)
			}
		})
	}
}

func TestLimitsOf(t *testing.T) {
	if got := history.LimitsOf(&v1alpha1.DbtScheduleSpec{}); got != (history.Limits{Successful: 3, Failed: 3}) {
		t.Errorf("defaults are %v", got)
	}
	spec := &v1alpha1.DbtScheduleSpec{SuccessfulRunsHistoryLimit: testutil.Ptr[int32](0), FailedRunsHistoryLimit: testutil.Ptr[int32](7)}
	if got := history.LimitsOf(spec); got != (history.Limits{Successful: 0, Failed: 7}) {
		t.Errorf("limits are %v", got)
	}
}

// Whatever the runs are: what is left is within the limits, and no run that is left is older than one that goes.
func TestExcessKeepsTheNewest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"s", "f", "c", "r", "d"}), 0, 20).Draw(t, "runs")
		in := runs(strings.Join(words, " "))
		limits := history.Limits{Successful: rapid.IntRange(0, 5).Draw(t, "successful"), Failed: rapid.IntRange(0, 5).Draw(t, "failed")}
		gone := history.Excess(in, limits)
		left := map[bool]int{}
		for i, run := range in {
			goes := slices.Contains(gone, run)
			ended := run.Status.Phase.Finished() && run.DeletionTimestamp == nil
			if goes && !ended {
				t.Fatalf("run %d of %v goes, and is not over", i, words)
			}
			good := run.Status.Phase == v1alpha1.PhaseSucceeded
			if ended && !goes {
				left[good]++
			}
			if goes && left[good] > 0 {
				t.Fatalf("run %d of %v goes, and an older one stays", i, words)
			}
		}
		if left[true] > limits.Successful || left[false] > limits.Failed {
			t.Fatalf("of %v %v are left, more than %v", words, left, limits)
		}
	})
}
