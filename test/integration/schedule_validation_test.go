package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones are the same on every machine

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

func TestScheduleValidation(t *testing.T) {
	s := func(line string) *testutil.ScheduleWrapper { return testutil.MakeDbtSchedule("s", line) }
	backfill := func(from, to string) *testutil.ScheduleWrapper {
		parse := func(text string) time.Time {
			at, err := time.Parse(time.DateOnly, text)
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		return s("@daily").Backfill(parse(from), parse(to), 1)
	}
	long := strings.Repeat("s", 53)
	for name, c := range map[string]struct {
		reason   string
		schedule *testutil.ScheduleWrapper
		want     string
	}{
		"weekdays":             {"the usual", s("0 6 * * 1-5").Zone("Europe/Lisbon"), ""},
		"everything":           {"names, lists, steps, either star", s("*/15,7 1-5/2,22 ? jan-MAR,12 mon,SAT"), ""},
		"descriptor":           {"in words", s("@hourly"), ""},
		"31 February":          {"input 21", s("* * 31 2 *"), "schedule never fires"},
		"30 February":          {"by name", s("0 0 30 FEB *"), "schedule never fires"},
		"31 of short months":   {"none of these has 31 days", s("0 0 31 4,jun,9,11 ?"), "schedule never fires"},
		"31 or a Monday":       {"either day field will do", s("0 0 31 2 1"), ""},
		"29 February":          {"every four years", s("0 0 29 2 *"), ""},
		"zone inside":          {"input 21", s("TZ=UTC 0 6 * * *"), "TZ=, @every and seconds are not taken"},
		"zone alone":           {"the parser panics on this one", s("TZ=0"), "schedule must be five cron fields"},
		"every":                {"input 21", s("@every 0s"), "TZ=, @every and seconds are not taken"},
		"reboot":               {"no time", s("@reboot"), "schedule must be five cron fields"},
		"seconds":              {"six fields", s("0 0 6 * * *"), "schedule must be five cron fields"},
		"minute 60":            {"past the hour", s("60 * * * *"), "schedule must be five cron fields"},
		"hour 24":              {"past the day", s("0 24 * * *"), "schedule must be five cron fields"},
		"month 13":             {"past the year", s("0 0 1 13 *"), "schedule must be five cron fields"},
		"weekday 7":            {"Sunday is 0", s("0 0 * * 7"), "schedule must be five cron fields"},
		"step 0":               {"it would never end", s("*/0 * * * *"), "schedule must be five cron fields"},
		"line break":           {"a second line", s("0 6 * * *\n"), "schedule must be five cron fields"},
		"long line":            {"input 19", s(strings.Repeat("1,", 5000) + "1 * * * *"), "Too long"},
		"no such zone":         {"input 21", s("@daily").Zone("Mars/Olympus"), "unknown time zone Mars/Olympus evaluating rule: timeZone must be the name of an IANA time zone"},
		"local zone":           {"the operator's own", s("@daily").Zone("Local"), "timeZone must be the name of an IANA time zone"},
		"zone as a path":       {"it is a file somewhere", s("@daily").Zone("../etc/passwd"), "timeZone must be the name of an IANA time zone"},
		"offset":               {"no name", s("@daily").Zone("+01:00"), "timeZone must be the name of an IANA time zone"},
		"neither":              {"no ticks at all", s(""), "schedule must be set, unless after names"},
		"after alone":          {"the ticks are those of others", s("").After("raw", v1alpha1.UpstreamSuccess), ""},
		"after itself":         {"it would wait for ever", s("@daily").After("s", v1alpha1.UpstreamSuccess), "after must not name this schedule itself"},
		"after another's":      {"input 7", s("@daily").After("other/raw", v1alpha1.UpstreamSuccess), "with no slash"},
		"after twice":          {"which one", s("@daily").After("a", v1alpha1.UpstreamSuccess).After("a", v1alpha1.UpstreamAlways), "Duplicate value"},
		"when":                 {"a closed list", s("@daily").After("a", "Perhaps"), "Unsupported value"},
		"policy":               {"a closed list", s("@daily").Policy("Perhaps"), "Unsupported value"},
		"catch-up":             {"a closed list", s("@daily").CatchUp("Some", 1), "Unsupported value"},
		"catch-up 101":         {"bounded", s("@daily").CatchUp(v1alpha1.CatchUpAll, 101), "should be less than or equal to 100"},
		"deadline":             {"shorter than anything takes", s("@daily").Deadline(9), "should be greater than or equal to 10"},
		"jitter":               {"bounded", s("@daily").Jitter(3601), "should be less than or equal to 3600"},
		"history":              {"none", s("@daily").History(0, 0), ""},
		"history -1":           {"fewer than none", s("@daily").History(-1, 0), "should be greater than or equal to 0"},
		"52 characters":        {"the longest name", testutil.MakeDbtSchedule(long[:52], "@daily"), ""},
		"53 characters":        {"the limit is named", testutil.MakeDbtSchedule(long, "@daily"), "at most 52 characters: the name of a run is the schedule's and up to 11 characters more, 63 in all"},
		"deploy":               {"of a project by name", s("@daily").OnProjectChange(), ""},
		"deploy inline":        {"it has no changes of its own", s("@daily").OnProjectChange().Template(testutil.MakeDbtRun("").Inline(testutil.MakeDbtProject("").Obj())), "onProjectChange needs runTemplate.spec.projectRef"},
		"inline":               {"a project in the template", s("@daily").Template(testutil.MakeDbtRun("").Inline(testutil.MakeDbtProject("").Obj())), ""},
		"no project":           {"the template is checked as a run is", s("@daily").Template(testutil.MakeDbtRun("").Target("ci")), "exactly one of projectRef and project must be set"},
		"template's command":   {"the same", s("@daily").Template(testutil.MakeDbtRun("").Project("shop").Command("rm -rf /")), "a command must be one of build, run"},
		"template's env":       {"input 18", s("@daily").Template(testutil.MakeDbtRun("").Inline(testutil.MakeDbtProject("").Env("LD_PRELOAD", "/x").Obj())), "env holds a name the operator owns"},
		"template's cancel":    {"every run would stop at once", s("@daily").Template(testutil.MakeDbtRun("").Project("shop").Cancel()), "spec.cancel would stop every run at once"},
		"template's label":     {"a team's own", s("@daily").RunLabel("example.com/team", "core"), ""},
		"label of ours":        {"the operator's", s("@daily").RunLabel(v1alpha1.LabelSchedule, "x"), "labels must not hold keys of dbtoperator.dev"},
		"long label":           {"no run could have it", s("@daily").RunLabel("a", strings.Repeat("x", 64)), "values of more than 63 characters"},
		"annotation of ours":   {"the operator's", s("@daily").RunAnnotation(v1alpha1.AnnotationRun, "x"), "annotations must not hold keys of dbtoperator.dev"},
		"backfill":             {"a month", backfill("2026-10-01", "2026-10-31"), ""},
		"backfill of a moment": {"one tick", backfill("2026-10-01", "2026-10-01"), ""},
		"backfill backwards":   {"no range", backfill("2026-10-31", "2026-10-01"), "from must not be later than to"},
		"backfill, no line": {"no ticks of its own", func() *testutil.ScheduleWrapper {
			w := backfill("2026-10-01", "2026-10-31")
			w.Spec.Schedule = ""
			return w.After("a", v1alpha1.UpstreamSuccess)
		}(), "backfill needs schedule"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(c.reason)
			refused(t, c.schedule.Obj(), c.want)
		})
	}
}

// A trigger is the operator's to set, in whole, and nobody's to change.
func TestTriggerValidation(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC))
	ref := &v1alpha1.ScheduleReference{Name: "s"}
	own, err := client.New(operator, client.Options{Scheme: scheme, Mapper: admin.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		trigger v1alpha1.Trigger
		want    string
	}{
		"schedule":          {v1alpha1.Trigger{Type: v1alpha1.TriggerSchedule, ScheduleRef: ref, ScheduledTime: &at}, ""},
		"manual":            {v1alpha1.Trigger{Type: v1alpha1.TriggerManual}, ""},
		"project":           {v1alpha1.Trigger{Type: v1alpha1.TriggerProjectChange, ScheduleRef: ref}, ""},
		"no time":           {v1alpha1.Trigger{Type: v1alpha1.TriggerBackfill, ScheduleRef: ref}, "scheduledTime must be set"},
		"no schedule":       {v1alpha1.Trigger{Type: v1alpha1.TriggerSchedule, ScheduledTime: &at}, "scheduleRef must be set"},
		"manual schedule":   {v1alpha1.Trigger{Type: v1alpha1.TriggerManual, ScheduleRef: ref}, "scheduleRef must be set, unless type is Manual"},
		"manual with time":  {v1alpha1.Trigger{Type: v1alpha1.TriggerManual, ScheduledTime: &at}, "and for no other"},
		"another namespace": {v1alpha1.Trigger{Type: v1alpha1.TriggerProjectChange, ScheduleRef: &v1alpha1.ScheduleReference{Name: "a/s"}}, "with no slash"},
		"type":              {v1alpha1.Trigger{Type: "Magic"}, "Unsupported value"},
	} {
		t.Run(name, func(t *testing.T) {
			run := testutil.MakeDbtRun("r").Project("shop").Obj()
			run.Spec.Trigger = &c.trigger
			refusedTo(t, own, run, c.want)
		})
	}
	run := testutil.MakeDbtRun("triggered").Namespace("default").Project("shop").Obj()
	run.Spec.Trigger = &v1alpha1.Trigger{Type: v1alpha1.TriggerSchedule, ScheduleRef: ref, ScheduledTime: &at}
	if err := own.Create(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Delete(context.Background(), run) })
	for name, change := range map[string]func(*v1alpha1.DbtRunSpec){
		"time":    func(s *v1alpha1.DbtRunSpec) { s.Trigger.ScheduledTime = &metav1.Time{Time: at.Add(time.Hour)} },
		"removed": func(s *v1alpha1.DbtRunSpec) { s.Trigger = nil },
	} {
		changed := run.DeepCopy()
		change(&changed.Spec)
		if err := admin.Update(t.Context(), changed, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "trigger is immutable") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Every field of a schedule may be edited, its template too: the rules that keep a run as it is are the run's alone.
func TestScheduleIsEditable(t *testing.T) {
	s := testutil.MakeDbtSchedule("editable", "@daily").Namespace("default").Template(testutil.MakeDbtRun("").Project("shop").
		Command("dbt build").Var("a", `1`).Target("ci").Timeout(60).StartTimeout(60)).Obj()
	if err := admin.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Delete(context.Background(), s) })
	if s.Spec.ConcurrencyPolicy != v1alpha1.ScheduleForbid || s.Spec.TimeZone != "Etc/UTC" || s.Spec.CatchUp.Policy != v1alpha1.CatchUpLatest ||
		*s.Spec.CatchUp.Limit != 10 || *s.Spec.SuccessfulRunsHistoryLimit != 3 || *s.Spec.FailedRunsHistoryLimit != 3 {
		t.Errorf("defaults are %+v", s.Spec)
	}
	for name, change := range map[string]func(*v1alpha1.DbtScheduleSpec){
		"line":     func(s *v1alpha1.DbtScheduleSpec) { s.Schedule, s.TimeZone = "@hourly", "Europe/Lisbon" },
		"commands": func(s *v1alpha1.DbtScheduleSpec) { s.RunTemplate.Spec.Commands = []string{"dbt run"} },
		"vars":     func(s *v1alpha1.DbtScheduleSpec) { s.RunTemplate.Spec.Vars = nil },
		"target":   func(s *v1alpha1.DbtScheduleSpec) { s.RunTemplate.Spec.Target = "" },
		"timeout":  func(s *v1alpha1.DbtScheduleSpec) { s.RunTemplate.Spec.TimeoutSeconds = nil },
		"project":  func(s *v1alpha1.DbtScheduleSpec) { s.RunTemplate.Spec.ProjectRef.Name = "other" },
		"to inline": func(s *v1alpha1.DbtScheduleSpec) {
			s.RunTemplate.Spec.ProjectRef, s.RunTemplate.Spec.Project = nil, &testutil.MakeDbtProject("x").Spec
		},
	} {
		changed := s.DeepCopy()
		change(&changed.Spec)
		if err := admin.Update(t.Context(), changed, client.DryRunAll); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Plain `kubectl apply` keeps the whole manifest in an annotation, of which there are at most 256 KiB.
func TestCRDsAreSmall(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("..", "..", "config", "crd", "bases", "*.yaml"))
	if err != nil || len(paths) != 3 {
		t.Fatalf("found %v, %v", paths, err)
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 256<<10 {
			t.Errorf("%s has %d bytes", path, info.Size())
		}
	}
}
