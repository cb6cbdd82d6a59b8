package dbtrun

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// collector is one that knows what a test tells it.
type collector struct {
	kept *journal.Kept
	err  error
	// asked is how often.
	asked int
}

func (c *collector) Endpoint() *plan.Collector { return &plan.Collector{URL: "https://collector"} }

func (c *collector) Kept(context.Context, types.NamespacedName, types.UID) (*journal.Kept, error) {
	c.asked++
	return c.kept, c.err
}

func (c *collector) Deleted(types.NamespacedName, types.UID) {}

// atWork is a run whose pod runs, and what the collector knows of it.
func atWork(t *testing.T) (*bench, *collector, *corev1.Pod) {
	t.Helper()
	b := newBench(t, testutil.MakeDbtProject("shop").Namespace("ns").Obj(), makeRun("r").Project("shop").Obj())
	c := &collector{}
	b.keeps(c)
	b.pass("r")
	_, pod := b.podOf("r")
	pod.Status = testutil.MakePod("p").Runs(start).Status
	if err := b.client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	b.pass("r")
	return b, c, pod
}

func reported(pod *corev1.Pod, finished int32, outcome journal.Outcome) *journal.Kept {
	return &journal.Kept{
		Report:   journal.Report{Selected: 8, Finished: finished, Outcome: outcome, Results: journal.Results{Success: finished}},
		Attempts: []journal.AttemptState{{Pod: pod.Name, Begin: start.UnixMilli(), Outcome: outcome}},
	}
}

// Progress is recorded at most every five seconds, and what was held back is recorded then.
func TestPaceOfProgress(t *testing.T) {
	b, c, pod := atWork(t)
	for _, step := range []struct {
		after    time.Duration
		finished int32
		want     string
		again    time.Duration
	}{
		{0, 1, "1/8", 0}, {time.Second, 2, "1/8", 4 * time.Second}, {4 * time.Second, 3, "1/8", time.Second},
		{5 * time.Second, 4, "4/8", 0}, {6 * time.Second, 4, "4/8", 0}, {7 * time.Second, 5, "4/8", 3 * time.Second},
	} {
		b.clock.SetTime(start.Add(step.after))
		c.kept = reported(pod, step.finished, "")
		got, result := b.pass("r")
		if got.Status.Nodes != step.want || result.RequeueAfter != step.again {
			t.Errorf("after %s: nodes %s, again in %s; want %s, %s", step.after, got.Status.Nodes, result.RequeueAfter, step.want, step.again)
		}
	}
	// The end waits for nothing.
	c.kept = reported(pod, 8, journal.Succeeded)
	if got, _ := b.pass("r"); got.Status.Phase != v1alpha1.PhaseSucceeded || got.Status.Nodes != "8/8" {
		t.Errorf("status is %s %s", got.Status.Phase, got.Status.Nodes)
	}
}

// A run that is over is looked at until its results are there, and what comes is one more write.
func TestResultsArriveAfterTheEnd(t *testing.T) {
	b, c, pod := atWork(t)
	c.kept = reported(pod, 8, journal.Succeeded)
	got, result := b.pass("r")
	if available(got) != v1alpha1.ReasonUploading || result.RequeueAfter != resultsEvery {
		t.Errorf("results are %s, again in %s", available(got), result.RequeueAfter)
	}
	c.kept.Done = true
	if got, result = b.pass("r"); available(got) != v1alpha1.ReasonStored || result.RequeueAfter != 0 {
		t.Errorf("results are %s, again in %s", available(got), result.RequeueAfter)
	}
}

// A collector that cannot say holds nothing up.
func TestCollectorThatCannotSay(t *testing.T) {
	b, c, pod := atWork(t)
	c.err = errors.New("the store is full")
	pod.Status = testutil.MakePod("p").Exits(0, "", start).Status
	if err := b.client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	got, _ := b.pass("r")
	if got.Status.Phase != v1alpha1.PhaseSucceeded || available(got) != v1alpha1.ReasonCollectorUnreachable {
		t.Errorf("status is %s, results %s", got.Status.Phase, available(got))
	}
}

// A run whose pod ended before it had sent everything is read again for as long as something may arrive, and then no more: not
// at each start of the manager either. A store that cannot be read does not change what is known of it.
func TestResultsThatNeverArrive(t *testing.T) {
	b, c, pod := atWork(t)
	c.kept = reported(pod, 8, journal.NodesFailed)
	pod.Status = testutil.MakePod("p").Exits(10, "Error", start).Status
	b.must(b.client.Status().Update(t.Context(), pod))
	if got, _ := b.pass("r"); available(got) != v1alpha1.ReasonIncomplete {
		t.Fatalf("results are %s: %s", available(got), got.Status.Message)
	}
	c.kept, c.err = nil, errors.New("the store is slow")
	for _, step := range []struct {
		after time.Duration
		asks  bool
	}{{20 * time.Minute, true}, {20*time.Minute + time.Second, false}} {
		b.clock.SetTime(start.Add(step.after))
		before := c.asked
		if got, _ := b.pass("r"); available(got) != v1alpha1.ReasonIncomplete || (c.asked > before) != step.asks {
			t.Errorf("after %s results are %s, asked %d times", step.after, available(got), c.asked-before)
		}
	}
}

func TestResumeFromAskedOfNobody(t *testing.T) {
	run := makeRun("r").Project("shop").Obj()
	run.Spec.ResumeFrom = &v1alpha1.RunReference{Name: "before"}
	for name, c := range map[string]struct {
		reason  string
		results Results
		before  *v1alpha1.DbtRun
		begins  bool
	}{
		"no collector":  {"nobody knows what was left", nil, makeRun("before").Project("shop").Job("j", "j").Truth(v1alpha1.PhaseFailed, "False", "NodesFailed", "m").Obj(), false},
		"no such run":   {"nothing to go on from", &collector{}, nil, false},
		"still at work": {"it may end well", &collector{}, makeRun("before").Project("shop").Job("j", "j").Obj(), false},
		"failed":        {"what it is for", &collector{}, makeRun("before").Project("shop").Job("j", "j").Truth(v1alpha1.PhaseFailed, "False", "NodesFailed", "m").Obj(), true},
	} {
		t.Run(name, func(t *testing.T) {
			objects := []client.Object{testutil.MakeDbtProject("shop").Namespace("ns").Concurrency(v1alpha1.ConcurrencyAllow, "").Obj(), run.DeepCopy()}
			if c.before != nil {
				objects = append(objects, c.before)
			}
			b := newBench(t, objects...)
			if c.results != nil {
				b.keeps(c.results)
			}
			if got, _ := b.pass("r"); (got.Status.Job != nil) != c.begins || !c.begins && got.Status.Phase != v1alpha1.PhaseFailed {
				t.Errorf("%s: status is %s %q", c.reason, got.Status.Phase, got.Status.Message)
			}
		})
	}
}

func available(run *v1alpha1.DbtRun) string {
	if c := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionResultsAvailable); c != nil {
		return c.Reason
	}
	return ""
}
