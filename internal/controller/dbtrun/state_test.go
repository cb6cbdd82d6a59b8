package dbtrun

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/lastgood"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

func shop() *testutil.ProjectWrapper {
	return testutil.MakeDbtProject("shop").Namespace("ns").UID("shop-1").Git("https://git.example.com/shop.git").Target("prod")
}

// ended is a good run of shop with target prod that ended so many minutes ago.
func ended(name string, minutes int) *testutil.RunWrapper {
	p := shop().Obj()
	return makeRun(name).Good(p, "prod", "sha256:"+name, lastgood.SourceDigest(p.Spec.Source), start.Add(-time.Duration(minutes)*time.Minute))
}

// with is a bench with a collector.
func with(t *testing.T, objects ...client.Object) *bench {
	t.Helper()
	b := newBench(t, objects...)
	b.keeps(&collector{})
	return b
}

// planOf returns what the runner of a run is told.
func (b *bench) planOf(run *v1alpha1.DbtRun) plan.Plan {
	b.Helper()
	job := &batchv1.Job{}
	if err := b.client.Get(b.Context(), client.ObjectKey{Namespace: "ns", Name: run.Status.Job.Name}, job); err != nil {
		b.Fatal(err)
	}
	for _, e := range job.Spec.Template.Spec.Containers[0].Env {
		if e.Name == plan.EnvVar {
			p, err := plan.Decode(e.Value)
			if err != nil {
				b.Fatal(err)
			}
			return p
		}
	}
	b.Fatal("there is no plan")
	return plan.Plan{}
}

func TestStateIsChosenAsTheJobIsMade(t *testing.T) {
	b := with(t, shop().Obj(), ended("old", 20).Obj(), ended("new", 10).Obj(), makeRun("ci").Project("shop").Target("ci").State("prod").Obj(), makeRun("plain").Project("shop").Target("ci2").Obj())
	run, _ := b.pass("ci")
	if s := run.Status.State; s == nil || s.Run != "new" || s.UID != "uid-new" || s.Target != "prod" || s.Revision != "commit-of-new" {
		t.Fatalf("state %+v, %s", run.Status.State, run.Status.Message)
	}
	if diff := cmp.Diff(&plan.State{Run: "new", Manifest: "sha256:new"}, b.planOf(run).State); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	_, pod := b.podOf("ci")
	pod.Status = testutil.MakePod("p").Runs(start).Status
	if err := b.client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	// What ends later, or goes, does not touch a run that has begun.
	if err := b.client.Create(t.Context(), ended("newer", 0).Obj()); err != nil {
		t.Fatal(err)
	}
	if err := b.client.Delete(t.Context(), ended("new", 10).Obj()); err != nil {
		t.Fatal(err)
	}
	if run, _ = b.pass("ci"); run.Status.State.Run != "new" {
		t.Errorf("it has %s now", run.Status.State.Run)
	}
	if run, _ = b.pass("plain"); run.Status.State != nil || b.planOf(run).State != nil {
		t.Errorf("a run that asks for none has %+v", run.Status.State)
	}
}

func TestNoState(t *testing.T) {
	none := "No run of DbtProject shop has built with target prod and succeeded yet."
	for name, c := range map[string]struct {
		reason  string
		run     *testutil.RunWrapper
		results bool
		failure string // of the run; empty when it begins
		message string // of its state
	}{
		"needed":       {"it fails before it costs anything", makeRun("r").Project("shop").State("").Command("dbt build -s state:modified+"), true, "StateNotFound The run cannot be carried out: spec.commands[0] selects by state:, and there is no state. " + none + " To get one, run the project once with target prod and wait for its end.", none},
		"not needed":   {"it builds all there is", makeRun("r").Project("shop").State("prod").Command("dbt build"), true, "", none},
		"no collector": {"nothing is kept", makeRun("r").Project("shop").State("prod"), false, "InvalidSpec The run cannot be carried out: spec.state: is Auto, and the operator keeps no artifacts of runs: give it a store (--store), or remove the field.", ""},
		"no project":   {"there is nothing to look among", makeRun("r").Inline(shop().Obj()).State(""), true, "InvalidSpec The run cannot be carried out: spec.state: is Auto, but an inline project has no earlier runs: remove it, or name a DbtProject in spec.projectRef.", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, shop().Obj(), c.run.Obj())
			if c.results {
				b.keeps(&collector{})
			}
			run, _ := b.pass("r")
			got := ""
			if run.Status.Phase == v1alpha1.PhaseFailed {
				got = run.Status.Conditions[0].Reason + " " + run.Status.Message
			} else if run.Status.Job == nil || b.planOf(run).State != nil {
				t.Errorf("%s: it does not begin without: %+v", c.reason, run.Status)
			}
			if diff := cmp.Diff(c.failure, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
			message := ""
			if s := run.Status.State; s != nil && s.Run == "" {
				message = s.Message
			}
			if message != c.message {
				t.Errorf("%s: state says %q, want %q", c.reason, message, c.message)
			}
		})
	}
}

// A run waits for the manifest of the last good run, and an older one is not taken in its place.
func TestStateThatIsOnItsWay(t *testing.T) {
	late := ended("late", 1)
	b := with(t, shop().Obj(), ended("old", 20).Obj(), late.Clone().Sending().Obj(), makeRun("ci").Project("shop").Target("ci").State("prod").Obj())
	run, result := b.pass("ci")
	if run.Status.Job != nil || result.RequeueAfter != 5*time.Second || !strings.Contains(run.Status.Message, "Waits for the manifest of run late") {
		t.Fatalf("%+v, again in %s", run.Status, result.RequeueAfter)
	}
	if err := b.client.Delete(t.Context(), late.Obj()); err != nil {
		t.Fatal(err)
	}
	if err := b.client.Create(t.Context(), late.Obj()); err != nil {
		t.Fatal(err)
	}
	if run, _ = b.pass("ci"); run.Status.State == nil || run.Status.State.Run != "late" {
		t.Errorf("%+v", run.Status.State)
	}
}
