package schedule_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/schedule"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

var six = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

func TestRun(t *testing.T) {
	s := testutil.MakeDbtSchedule("nightly", "0 6 * * *").Namespace("ns").UID("uid").
		Template(testutil.MakeDbtRun("").Project("shop").Command("dbt build").Var("a", "1").TTL(60)).
		RunLabel("example.com/team", "core").RunLabel("app.kubernetes.io/instance", "argo-app").RunLabel("argocd.argoproj.io/instance", "argo-app").
		RunAnnotation("example.com/cost", "7").RunAnnotation("argocd.argoproj.io/tracking-id", "x").RunAnnotation("argocd.argoproj.io/sync-wave", "1").
		RunAnnotation("kubectl.kubernetes.io/last-applied-configuration", "{}")
	s.Labels = map[string]string{"app.kubernetes.io/instance": "argo-app", "example.com/of-the-schedule": "x"}
	s.Annotations = map[string]string{"argocd.argoproj.io/tracking-id": "x"}
	before := s.Obj()
	got := schedule.Run(before, schedule.RunName("nightly", six), v1alpha1.TriggerSchedule, six)
	want := &v1alpha1.DbtRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "nightly-29925000",
			Labels:          map[string]string{"example.com/team": "core", v1alpha1.LabelSchedule: "nightly"},
			Annotations:     map[string]string{"example.com/cost": "7"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "dbtoperator.dev/v1alpha1", Kind: "DbtSchedule", Name: "nightly", UID: "uid", Controller: testutil.Ptr(true), BlockOwnerDeletion: testutil.Ptr(true)}},
		},
		Spec: testutil.MakeDbtRun("").Project("shop").Command("dbt build").Var("a", "1").TTL(60).Spec,
	}
	at := metav1.NewTime(six)
	want.Spec.Trigger = &v1alpha1.Trigger{Type: v1alpha1.TriggerSchedule, ScheduleRef: &v1alpha1.ScheduleReference{Name: "nightly"}, ScheduledTime: &at}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
	// Nothing of the run may share memory with the schedule, which lies in the cache.
	got.Spec.Commands[0], got.Labels["example.com/team"], got.Annotations["example.com/cost"] = "changed", "by", "a test"
	got.Spec.ProjectRef.Name = "other"
	if diff := cmp.Diff(s.Obj(), before); diff != "" {
		t.Errorf("the schedule was changed (-before +after):\n%s", diff)
	}
}

func TestNames(t *testing.T) {
	for want, got := range map[string]string{
		"nightly-29925000":    schedule.RunName("nightly", six.Add(59*time.Second)),
		"nightly-b3-29925000": schedule.BackfillRunName("nightly", 3, six),
		"nightly-g7-fa5e":     schedule.ProjectRunName("nightly", "0c7a", 7),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if schedule.ProjectRunName("s", "a", 1) == schedule.ProjectRunName("s", "b", 1) {
		t.Error("a project that was made again has the run of the first")
	}
}

func TestEventTimes(t *testing.T) {
	const window = "--event-time-start=2026-11-23T06:00:00 --event-time-end=2026-11-24T06:00:00"
	in := []string{"dbt build", "run --select a", "dbt  build # all of it", "dbt test", "build --event-time-start 2026-01-01", "dbt build 'broken", "run-operation build"}
	want := []string{"dbt build " + window, "run " + window + " --select a", "dbt  build " + window + " # all of it", "dbt test", "build --event-time-start 2026-01-01", "dbt build 'broken", "run-operation build"}
	got := schedule.EventTimes(in, six.AddDate(0, 0, -1), six)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"dbt build " + window}, schedule.EventTimes(nil, six.AddDate(0, 0, -1), six)); diff != "" {
		t.Errorf("the default command (-want +got):\n%s", diff)
	}
}

func TestInterval(t *testing.T) {
	ticks, err := schedule.Parse("0 6 * * 1-5", "Europe/Lisbon")
	if err != nil {
		t.Fatal(err)
	}
	monday := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	start, end := ticks.Interval(monday)
	if !start.Equal(monday.AddDate(0, 0, -3)) || !end.Equal(monday) {
		t.Errorf("the interval is %s to %s", start, end)
	}
}

func TestDecideProject(t *testing.T) {
	p := func(name, uid string, generation int64) *v1alpha1.ObservedProject {
		return &v1alpha1.ObservedProject{Name: name, UID: uid, Generation: generation}
	}
	on := func() *testutil.ScheduleWrapper { return testutil.MakeDbtSchedule("s", "@daily").OnProjectChange() }
	for name, c := range map[string]struct {
		reason            string
		schedule          *testutil.ScheduleWrapper
		observed, current *v1alpha1.ObservedProject
		active            int
		want              schedule.Action
		next              *v1alpha1.ObservedProject
	}{
		"off":              {"not asked for; forgotten, so that turning it on makes none", testutil.MakeDbtSchedule("s", "@daily"), p("a", "1", 1), p("a", "1", 2), 0, schedule.Wait, nil},
		"first":            {"the project as it is found is no change", on(), nil, p("a", "1", 5), 0, schedule.Wait, p("a", "1", 5)},
		"same":             {"nothing changed", on(), p("a", "1", 5), p("a", "1", 5), 0, schedule.Wait, p("a", "1", 5)},
		"changed":          {"a deploy", on(), p("a", "1", 5), p("a", "1", 6), 0, schedule.Start, p("a", "1", 6)},
		"changed twice":    {"the newest has the run", on(), p("a", "1", 5), p("a", "1", 9), 0, schedule.Start, p("a", "1", 9)},
		"made again":       {"another object, whatever its generation", on(), p("a", "1", 1), p("a", "2", 1), 0, schedule.Start, p("a", "2", 1)},
		"another project":  {"the template names another: no deploy", on(), p("a", "1", 1), p("b", "2", 7), 0, schedule.Wait, p("b", "2", 7)},
		"gone":             {"project deleted: it may come back", on(), p("a", "1", 1), nil, 0, schedule.Wait, p("a", "1", 1)},
		"busy":             {"it waits, and is not forgotten", on(), p("a", "1", 1), p("a", "1", 2), 1, schedule.Wait, p("a", "1", 1)},
		"busy, allow":      {"beside the other", on().Policy(v1alpha1.ScheduleAllow), p("a", "1", 1), p("a", "1", 2), 1, schedule.Start, p("a", "1", 2)},
		"busy, replace":    {"instead of the other", on().Policy(v1alpha1.ScheduleReplace), p("a", "1", 1), p("a", "1", 2), 1, schedule.Replace, p("a", "1", 2)},
		"suspended":        {"it waits until the schedule goes on", on().Suspend(), p("a", "1", 1), p("a", "1", 2), 0, schedule.Wait, p("a", "1", 1)},
		"suspended, never": {"what is missed is not made up for", on().Suspend().CatchUp(v1alpha1.CatchUpNone, 1), p("a", "1", 1), p("a", "1", 2), 0, schedule.Wait, p("a", "1", 2)},
	} {
		t.Run(name, func(t *testing.T) {
			in := schedule.ProjectInput{Spec: &c.schedule.Spec, Observed: c.observed, Current: c.current, Active: c.active}
			want := schedule.ProjectDecision{Action: c.want, Observed: c.next}
			if diff := cmp.Diff(want, schedule.DecideProject(in)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
			// An author without the right: what would have a run has none, and is dealt with all the same.
			in.Denied = true
			if want.Action != schedule.Wait {
				want.Action = schedule.Skip
			}
			if diff := cmp.Diff(want, schedule.DecideProject(in)); diff != "" {
				t.Errorf("denied (-want +got):\n%s", diff)
			}
		})
	}
}
