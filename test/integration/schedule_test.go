package integration

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/schedule"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

func hourly() *testutil.ScheduleWrapper { return testutil.MakeDbtSchedule("s", "0 * * * *") }

// A tick has one run, which says whose it is and what for; its end is the schedule's to tell; history is trimmed.
func TestScheduleTicks(t *testing.T) {
	o := newOffice(t)
	o.create(hourly().History(1, 1).RunLabel("example.com/team", "core").RunLabel("app.kubernetes.io/instance", "argo").Obj())
	o.ready("s", v1alpha1.ReasonTicking)
	o.has("")
	o.after(0)
	o.has("h0")
	run := o.list()[0]
	owner := metav1.GetControllerOf(run)
	if owner == nil || owner.Kind != "DbtSchedule" || run.Labels["example.com/team"] != "core" || run.Labels["app.kubernetes.io/instance"] != "" || run.Labels[v1alpha1.LabelSchedule] != "s" {
		t.Errorf("metadata of the run: %+v", run.ObjectMeta)
	}
	if trigger := run.Spec.Trigger; trigger.Type != v1alpha1.TriggerSchedule || trigger.ScheduleRef.Name != "s" || !trigger.ScheduledTime.Time.Equal(o.hour) {
		t.Errorf("trigger of the run: %+v", trigger)
	}
	for i, phase := range []v1alpha1.Phase{v1alpha1.PhaseSucceeded, v1alpha1.PhaseFailed, v1alpha1.PhaseSucceeded} {
		o.after(time.Duration(i) * time.Hour)
		o.has([]string{"h0", "h0+ h1", "h0+ h1- h2"}[i])
		o.end([]string{"h0", "h1", "h2"}[i], phase)
	}
	o.has("h1- h2+")
	s := o.status("s", "its last success", func(s *v1alpha1.DbtScheduleStatus) bool { return len(s.Active) == 0 })
	if s.MissedTotal != 0 || s.LastFailureTime == nil || s.LastRun.Phase != v1alpha1.PhaseSucceeded || !s.NextScheduleTime.Time.Equal(o.hour.Add(3*time.Hour)) {
		t.Errorf("status: %+v", s)
	}
}

func TestSchedulePolicies(t *testing.T) {
	for policy, want := range map[v1alpha1.ScheduleConcurrencyPolicy][3]string{
		v1alpha1.ScheduleForbid:  {"h0", "h0+ h1", "h0+ h1"},
		v1alpha1.ScheduleAllow:   {"h0 h1", "h0+ h1", "h0+ h1 h2"},
		v1alpha1.ScheduleReplace: {"h0! h1", "h0!+ h1", "h0!+ h1! h2"},
	} {
		t.Run(string(policy), func(t *testing.T) {
			o := newOffice(t)
			o.create(hourly().Policy(policy).Obj())
			o.after(0)
			o.has("h0")
			o.after(time.Hour)
			o.has(want[0])
			o.end("h0", v1alpha1.PhaseSucceeded)
			o.has(want[1])
			o.after(2 * time.Hour)
			o.has(want[2])
		})
	}
}

// Late, missed and suspended ticks, as far as the policy goes, and all of them counted.
func TestScheduleCatchesUp(t *testing.T) {
	for name, c := range map[string]struct {
		schedule *testutil.ScheduleWrapper
		want     string
	}{
		"latest":       {hourly(), "h5"},
		"all":          {hourly().CatchUp(v1alpha1.CatchUpAll, 3).Policy(v1alpha1.ScheduleAllow), "h3 h4 h5"},
		"none":         {hourly().CatchUp(v1alpha1.CatchUpNone, 1), ""},
		"deadline":     {hourly().Deadline(600), ""},
		"long allowed": {hourly().Deadline(7200).CatchUp(v1alpha1.CatchUpAll, 10).Policy(v1alpha1.ScheduleAllow), "h4 h5"},
	} {
		for _, suspended := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", suspended meanwhile"}[suspended], func(t *testing.T) {
				o := newOffice(t)
				s := c.schedule.Clone()
				if suspended {
					s.Suspend()
				}
				o.create(s.Obj())
				o.after(5*time.Hour + 30*time.Minute)
				if suspended {
					o.ready("s", v1alpha1.ReasonScheduleSuspended)
					o.has("")
					o.edit("s", func(s *v1alpha1.DbtScheduleSpec) { s.Suspend = nil })
				}
				o.has(c.want)
				ran := int64(len(strings.Fields(c.want)))
				o.status("s", "the rest as missed", func(s *v1alpha1.DbtScheduleStatus) bool { return s.MissedTotal == 6-ran })
			})
		}
	}
}

func TestScheduleOnDeploy(t *testing.T) {
	o := newOffice(t)
	o.create(hourly().OnProjectChange().Obj())
	o.status("s", "the project", func(s *v1alpha1.DbtScheduleStatus) bool { return s.Project != nil })
	o.deploy("registry.example.com/dbt:2")
	testutil.Eventually(o, "the deploy's run", patience, func() (bool, string) { o.pass("s"); return len(o.list()) == 1, o.explain() })
	first := o.list()[0]
	if !strings.HasPrefix(first.Name, "s-g2-") || first.Spec.Trigger.Type != v1alpha1.TriggerProjectChange {
		t.Errorf("run %s, %+v", first.Name, first.Spec.Trigger)
	}
	o.has(first.Name)
	o.deploy("registry.example.com/dbt:3")
	o.has(first.Name)
	o.end("s-g2", v1alpha1.PhaseSucceeded)
	second := strings.Replace(first.Name, "-g2-", "-g3-", 1)
	o.has(first.Name + "+ " + second)
}

func TestScheduleChain(t *testing.T) {
	o := newOffice(t)
	o.create(testutil.MakeDbtSchedule("raw", "0 * * * *").Obj())
	o.create(testutil.MakeDbtSchedule("finance", "0 * * * *").Obj())
	o.create(hourly().After("raw", v1alpha1.UpstreamSuccess).After("finance", v1alpha1.UpstreamAlways).Obj())
	all := []string{"raw", "finance", "s"}
	o.after(0)
	o.has("h0 h0", all...)
	o.end("raw-", v1alpha1.PhaseSucceeded)
	o.has("h0 h0+", all...)
	o.end("finance-", v1alpha1.PhaseFailed)
	o.has("h0 h0+ h0-", all...)
	if last := o.list()[2]; !strings.HasPrefix(last.Name, "s-") {
		t.Errorf("the last is %s", last.Name)
	}
	o.end("s-", v1alpha1.PhaseSucceeded)
	o.after(time.Hour)
	o.has("h0+ h0+ h0- h1 h1", all...)
}

// The operator dies after a run is made and before that is recorded; and a create that is carried out and whose reply is
// lost. One run, and the status is repaired.
func TestScheduleCrash(t *testing.T) {
	for name, fault := range map[string]func(*http.Request) (int, bool){
		"before the status patch": func(r *http.Request) (int, bool) {
			if r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/status") {
				return http.StatusServiceUnavailable, false
			}
			return 0, false
		},
		"reply of the create lost": func(r *http.Request) (int, bool) {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/dbtruns") {
				return http.StatusServiceUnavailable, true
			}
			return 0, false
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			o.create(hourly().Policy(v1alpha1.ScheduleAllow).Obj())
			o.ready("s", v1alpha1.ReasonTicking)
			o.wire.inject(fault)
			o.after(0)
			testutil.Eventually(o, "a run", patience, func() (bool, string) { o.pass("s"); return o.runs() == "h0", o.explain() })
			s := &v1alpha1.DbtSchedule{}
			if err := admin.Get(t.Context(), o.request("s").NamespacedName, s); err != nil {
				t.Fatal(err)
			}
			if s.Status.LastScheduleTime != nil {
				t.Fatal("the run was recorded: the test is wrong")
			}
			o.r, o.wire = o.operator()
			o.after(10 * time.Minute)
			o.has("h0")
			o.status("s", "the tick", func(s *v1alpha1.DbtScheduleStatus) bool {
				return s.LastScheduleTime != nil && s.LastScheduleTime.Time.Equal(o.hour) && len(s.Active) == 1 && s.MissedTotal == 0
			})
		})
	}
}

// Two operators that both think they lead: each tick has one run.
func TestScheduleWithTwoOperators(t *testing.T) {
	o := newOffice(t)
	o.create(hourly().Policy(v1alpha1.ScheduleAllow).Obj())
	other, _ := o.operator()
	for hour := range 5 {
		o.after(time.Duration(hour) * time.Hour)
		var both sync.WaitGroup
		for range 3 {
			both.Go(func() { _, _ = other.Reconcile(context.Background(), o.request("s")) })
			both.Go(func() { _, _ = o.r.Reconcile(context.Background(), o.request("s")) })
		}
		both.Wait()
		o.status("s", "the tick", func(s *v1alpha1.DbtScheduleStatus) bool {
			return s.LastScheduleTime != nil && s.LastScheduleTime.Time.Equal(o.clock.Now())
		})
	}
	o.has("h0 h1 h2 h3 h4")
}

func TestScheduleWithoutItsProject(t *testing.T) {
	o := newOffice(t)
	o.create(hourly().OnProjectChange().Obj())
	o.status("s", "the project", func(s *v1alpha1.DbtScheduleStatus) bool { return s.Project != nil })
	project := testutil.MakeDbtProject("shop").Namespace(o.ns).Obj()
	if err := admin.Delete(t.Context(), project); err != nil {
		t.Fatal(err)
	}
	o.ready("s", v1alpha1.ReasonProjectNotFound)
	o.create(testutil.MakeDbtProject("shop").Obj())
	o.ready("s", v1alpha1.ReasonTicking)
	testutil.Eventually(o, "the run of a project that was made again", patience, func() (bool, string) { o.pass("s"); return len(o.list()) == 1, o.explain() })
	if name := o.list()[0].Name; !strings.HasPrefix(name, "s-g1-") {
		t.Errorf("run %s", name)
	}
}

func TestScheduleWhoseNameIsTaken(t *testing.T) {
	o := newOffice(t)
	o.create(hourly().Obj())
	o.ready("s", v1alpha1.ReasonTicking)
	foreign := testutil.MakeDbtRun(schedule.RunName("s", o.hour)).Project("shop").Obj()
	o.create(foreign)
	o.after(0)
	o.ready("s", v1alpha1.ReasonNameTaken)
	before := len(o.wire.count())
	for range 3 {
		o.pass("s")
	}
	if after := len(o.wire.count()); after != before {
		t.Errorf("%d further writes", after-before)
	}
	o.after(time.Hour)
	o.ready("s", v1alpha1.ReasonTicking)
}

// A backfill on a real server: oldest first, two at a time.
func TestScheduleBackfill(t *testing.T) {
	o := newOffice(t)
	hour := o.clock.Now().UTC().Truncate(time.Hour)
	o.create(hourly().Suspend().Backfill(hour.Add(-9*time.Hour), hour.Add(-6*time.Hour), 2).Obj())
	o.hour = hour.Add(time.Hour)
	o.has("h-10 h-9")
	o.end("h-10", v1alpha1.PhaseSucceeded)
	o.has("h-10+ h-8 h-9")
	o.end("h-9", v1alpha1.PhaseSucceeded)
	o.has("h-10+ h-7 h-8 h-9+")
	o.end("h-8", v1alpha1.PhaseSucceeded)
	o.end("h-7", v1alpha1.PhaseSucceeded)
	s := o.status("s", "a backfill that is over", func(s *v1alpha1.DbtScheduleStatus) bool {
		return s.Backfill != nil && s.Backfill.CompletionTime != nil
	})
	if s.Backfill.Phase != v1alpha1.PhaseSucceeded || s.Backfill.Started != 4 || s.LastScheduleTime != nil {
		t.Errorf("status %+v", s.Backfill)
	}
}

// The whole manager, woken by its watches: a tick, its run and its Job; a deploy meanwhile, which the run does not see and
// the next one does (item 39); the run's end.
func TestScheduleInTheManager(t *testing.T) {
	w := newWorld(t)
	w.project(testutil.MakeDbtProject("shop"))
	s := testutil.MakeDbtSchedule("s", "* * * * *").Namespace(w.ns).OnProjectChange().
		Template(testutil.MakeDbtRun("").Project("shop").StartTimeout(86400)).Obj()
	w.must(admin.Create(t.Context(), s))
	get := func(what string, ok func(*v1alpha1.DbtSchedule) bool) {
		w.Helper()
		testutil.Eventually(w, what, patience, func() (bool, string) {
			err := admin.Get(t.Context(), client.ObjectKeyFromObject(s), s)
			return err == nil && ok(s), "not yet"
		})
	}
	get("the project is seen", func(s *v1alpha1.DbtSchedule) bool { return s.Status.Project != nil })
	w.clock.step(2 * time.Minute)
	base := s.DeepCopy()
	metav1.SetMetaDataAnnotation(&s.ObjectMeta, "example.com/touched", "now")
	w.must(admin.Patch(t.Context(), s, client.MergeFrom(base)))
	get("the tick has a run", func(s *v1alpha1.DbtSchedule) bool {
		return s.Status.LastScheduleTime != nil && len(s.Status.Active) == 1
	})
	run := testutil.MakeDbtRun(s.Status.Active[0]).Namespace(w.ns).Obj()
	job, pod := w.begun(run)
	p := testutil.MakeDbtProject("shop").Namespace(w.ns).Obj()
	w.must(admin.Patch(t.Context(), p, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"image":"registry.example.com/dbt:2"}}`))))
	run = w.get(run)
	w.kubelet.End(pod, testutil.Exit{Message: said(run, journal.Succeeded)})
	w.kubelet.CompleteJob(job)
	w.reaches(run, v1alpha1.ReasonSucceeded)
	if image := job.Spec.Template.Spec.Containers[0].Image; image != "registry.example.com/dbt:1.11" {
		t.Errorf("the run under way has %s", image)
	}
	get("the run has succeeded", func(s *v1alpha1.DbtSchedule) bool {
		return s.Status.LastSuccessfulTime != nil && s.Status.LastSucceededScheduleTime != nil
	})
	get("the deploy has a run", func(s *v1alpha1.DbtSchedule) bool {
		return len(s.Status.Active) == 1 && s.Status.Project.Generation == 2
	})
	next := testutil.MakeDbtRun(s.Status.Active[0]).Namespace(w.ns).Obj()
	if image := w.job(next).Spec.Template.Spec.Containers[0].Image; image != "registry.example.com/dbt:2" {
		t.Errorf("the next run has %s", image)
	}
}
