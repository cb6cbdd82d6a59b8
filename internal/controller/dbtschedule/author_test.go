package dbtschedule

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// authorized fails unless Authorized is as wanted, as "True Allowed", with a message that holds part.
func (b *bench) authorized(s *v1alpha1.DbtSchedule, want, part string) {
	b.Helper()
	c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAuthorized)
	if c == nil {
		b.Fatalf("no condition Authorized")
	}
	if got := string(c.Status) + " " + c.Reason; got != want || !strings.Contains(c.Message, part) {
		b.Errorf("Authorized is %s: %q; want %s with %q", got, c.Message, want, part)
	}
}

const asked = "ada [finance system:authenticated]: use dbtprojects shop"

// The author is asked for once when the spec is new, once before each firing, and never else; runs carry the author.
func TestAuthorIsCheckedAtEachFiring(t *testing.T) {
	b := newBench(t, shop(), hourly().Author("ada", "finance").Policy(v1alpha1.ScheduleAllow).Obj())
	s := b.settle("s")
	b.authorized(s, "True Allowed", `User "ada", the schedule's author, may run DbtProject "shop".`)
	want := []string{asked}
	for hour := 6; hour < 9; hour++ {
		b.goTo(at(hour, 0), "s")
		want = append(want, asked)
	}
	b.has("each tick", "06:00 07:00 08:00")
	if diff := cmp.Diff(want, b.reviews); diff != "" {
		t.Errorf("questions (-want +got):\n%s", diff)
	}
	for _, run := range b.list() {
		if diff := cmp.Diff(&v1alpha1.Requester{Username: "ada", Groups: []string{"finance"}}, run.Spec.RequestedBy); diff != "" {
			t.Errorf("requester of %s (-want +got):\n%s", run.Name, diff)
		}
	}
	if got := b.said(); got != "RunCreated RunCreated RunCreated" {
		t.Errorf("events: %s", got)
	}
}

// An author who lost the right: the tick is skipped and counted, said once, and the next goes on when it is given back.
func TestAuthorWithoutTheRight(t *testing.T) {
	for name, c := range map[string]struct {
		schedule *testutil.ScheduleWrapper
		want     string
		missed   int64
	}{
		"forbid":  {hourly(), "09:00", 3},
		"replace": {hourly().Policy(v1alpha1.ScheduleReplace), "09:00", 3},
		"all":     {hourly().Policy(v1alpha1.ScheduleAllow).CatchUp(v1alpha1.CatchUpAll, 10), "09:00", 3},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, shop(), c.schedule.Author("ada").Obj())
			b.settle("s")
			b.deny(true)
			s := b.goTo(at(6, 0), "s")
			b.has("denied", "")
			b.authorized(s, "False Denied", `that needs the verb "use" on dbtprojects.dbtoperator.dev "shop" in namespace "ns"`)
			b.is(s, "False Denied", "see the condition Authorized")
			if s.Status.MissedTotal != 1 || !s.Status.LastMissedTime.Time.Equal(at(6, 0)) {
				t.Errorf("%d missed, last %v", s.Status.MissedTotal, s.Status.LastMissedTime)
			}
			if got := b.said(); got != "TicksMissed Denied AuthorDenied" {
				t.Errorf("events: %s", got)
			}
			b.goTo(at(8, 0), "s")
			if got := b.said(); strings.Contains(got, "AuthorDenied") {
				t.Errorf("said again: %s", got)
			}
			questions := len(b.reviews)
			b.settle("s")
			if len(b.reviews) != questions {
				t.Errorf("asked between ticks: %v", b.reviews[questions:])
			}
			b.deny(false)
			s = b.goTo(at(9, 0), "s")
			b.has("given back", c.want)
			b.authorized(s, "True Allowed", "may run")
			b.is(s, "True Ticking", "")
			if s.Status.MissedTotal != c.missed {
				t.Errorf("%d missed, want %d", s.Status.MissedTotal, c.missed)
			}
			if got := b.said(); got != "RunCreated Ticking AuthorAllowed" {
				t.Errorf("events: %s", got)
			}
		})
	}
}

// Replace cancels nothing for a tick that has no run.
func TestAuthorWithoutTheRightCancelsNothing(t *testing.T) {
	b := newBench(t, shop(), hourly().Policy(v1alpha1.ScheduleReplace).Author("ada").Obj())
	b.goTo(at(6, 0), "s")
	b.deny(true)
	b.goTo(at(7, 0), "s")
	b.has("the run that is there goes on", "06:00")
}

func TestDeployWithoutTheRight(t *testing.T) {
	b := newBench(t, shop(), hourly().OnProjectChange().Author("ada").Obj())
	b.settle("s")
	b.deny(true)
	b.deploy("shop")
	s := b.settle("s")
	b.has("denied", "")
	b.authorized(s, "False Denied", "shop")
	if s.Status.Project.Generation != 2 {
		t.Errorf("the change is not dealt with: %+v", s.Status.Project)
	}
	b.deny(false)
	b.settle("s")
	b.has("what was denied is past", "")
	b.deploy("shop")
	b.settle("s")
	if got := b.runs(); !strings.HasPrefix(got, "s-g3-") {
		t.Errorf("runs %q", got)
	}
}

// A backfill waits, and is looked at again though no tick comes.
func TestBackfillWithoutTheRight(t *testing.T) {
	b := newBench(t, shop(), hourly().Suspend().Backfill(at(1, 0), at(2, 0), 1).Author("ada").Obj())
	b.deny(true)
	s := b.settle("s")
	b.has("denied", "")
	b.authorized(s, "False Denied", "shop")
	if s.Status.Backfill.Phase != v1alpha1.PhaseRunning || s.Status.Backfill.CompletionTime != nil {
		t.Errorf("backfill %+v", s.Status.Backfill)
	}
	if _, result := b.pass("s"); result.RequeueAfter != recheck {
		t.Errorf("again in %s", result.RequeueAfter)
	}
	b.deny(false)
	b.settle("s")
	b.has("given back", "b01:00")
}

// What cannot be asked is not taken for a yes, nor for a no: the tick waits.
func TestAuthorCannotBeAsked(t *testing.T) {
	b := newBench(t, shop(), hourly().Author("ada").Obj())
	b.settle("s")
	b.clock.SetTime(at(6, 0))
	b.unanswered = true
	if _, err := b.r.Reconcile(t.Context(), request()); err == nil || !strings.Contains(err.Error(), `whether the author of DbtSchedule ns/s may use dbtprojects shop`) {
		t.Errorf("error %v", err)
	}
	b.has("not asked", "")
	b.unanswered = false
	s := b.settle("s")
	b.has("asked", "06:00")
	if s.Status.MissedTotal != 0 {
		t.Errorf("%d missed", s.Status.MissedTotal)
	}
}

// A schedule without an author makes runs without a requester, asks for nobody, and says so.
func TestNoAuthor(t *testing.T) {
	b := newBench(t, shop(), hourly().Obj())
	s := b.goTo(at(6, 0), "s")
	b.has("as before", "06:00")
	b.authorized(s, "Unknown NoAuthor", "spec.requestedBy is not set")
	if run := b.list()[0]; run.Spec.RequestedBy != nil || len(b.reviews) > 0 {
		t.Errorf("requester %+v, questions %v", run.Spec.RequestedBy, b.reviews)
	}
	if got := b.said(); got != "RunCreated" {
		t.Errorf("events: %s", got)
	}
	b.edit("s", func(s *v1alpha1.DbtScheduleSpec) { s.RequestedBy = &v1alpha1.Requester{Username: "ada"} })
	s = b.settle("s")
	b.authorized(s, "True Allowed", "ada")
}

// A new author is asked for at once, so that the condition never speaks of another.
func TestNewAuthor(t *testing.T) {
	b := newBench(t, shop(), hourly().Author("ada").Obj())
	b.deny(true)
	s := b.settle("s")
	b.authorized(s, "False Denied", `"ada"`)
	b.deny(false)
	b.edit("s", func(s *v1alpha1.DbtScheduleSpec) { s.RequestedBy = &v1alpha1.Requester{Username: "ben"} })
	s = b.settle("s")
	b.authorized(s, "True Allowed", `"ben"`)
}

func TestReviewOf(t *testing.T) {
	inline := testutil.MakeDbtProject("x").Obj()
	for name, c := range map[string]struct {
		reason   string
		schedule *testutil.ScheduleWrapper
		want     string
	}{
		"project":            {"by name", hourly().Author("ada", "finance"), asked},
		"inline":             {"as strong as pods", hourly().Template(testutil.MakeDbtRun("").Inline(inline)).Author("ada"), "ada [system:authenticated]: create pods"},
		"authenticated once": {"it was recorded", hourly().Author("ada", "system:authenticated"), "ada [system:authenticated]: use dbtprojects shop"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(c.reason)
			b := newBench(t, shop(), c.schedule.Obj())
			b.settle("s")
			if diff := cmp.Diff([]string{c.want}, b.reviews); diff != "" {
				t.Errorf("questions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAuthorityIsBounded(t *testing.T) {
	s := hourly().Author(strings.Repeat("a", 1024)).Obj()
	s.Spec.RequestedBy.OmittedGroups = testutil.Ptr[int32](4936)
	got := authority(s, *reviewOf(s).Spec.ResourceAttributes, false)
	if got.Status != metav1.ConditionFalse || len(got.Message) > 1900 || !strings.Contains(got.Message, "4936 groups of the author could not be recorded") {
		t.Errorf("%+v", got)
	}
}

// Schedules of one author and project that tick together ask once; a moment later it is asked again.
func TestAnswersAreSharedForAMoment(t *testing.T) {
	second := hourly().Author("ada", "finance").Obj()
	second.Name, second.UID = "s2", "s2"
	b := newBench(t, shop(), hourly().Author("ada", "finance").Obj(), second)
	b.settle("s")
	b.settle("s2")
	b.reviews = nil
	b.clock.SetTime(at(6, 0))
	b.settle("s")
	b.settle("s2")
	if len(b.reviews) != 1 || len(b.list()) != 2 {
		t.Errorf("questions %v, runs %q; want one for two runs", b.reviews, b.runs())
	}
	b.deny(true)
	b.end(b.list()[0].Name, good)
	b.goTo(at(7, 0), "s")
	if len(b.reviews) != 2 || len(b.list()) != 2 {
		t.Errorf("questions %v, runs %q; want it asked again, and no run", b.reviews, b.runs())
	}
}
