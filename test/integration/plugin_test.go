package integration

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/command"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// printed is what `kubectl dbt` printed, and its exit code.
type printed struct {
	out, err string
	code     int
}

// output is written by a command while a test reads it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// dbt runs `kubectl dbt` as somebody in the team's namespace.
func (x *team) dbt(p *person, args ...string) printed {
	x.Helper()
	var out, errs output
	return x.dbtInto(x.Context(), p, &out, &errs, args...)
}

func (x *team) dbtInto(ctx context.Context, p *person, out, errs *output, args ...string) printed {
	x.Helper()
	kubeconfig := filepath.Join(x.TempDir(), "kubeconfig")
	x.ok("kubeconfig", os.WriteFile(kubeconfig, p.kubeconfig, 0o600))
	code := command.Execute(ctx, command.Env{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: errs},
		Clock:     clock.RealClock{}, Version: "v0.0.0-test", Width: func() int { return 0 },
	}, append(placed(args, "--kubeconfig", kubeconfig, "--namespace", x.ns), args[1:]...))
	return printed{out.String(), errs.String(), code}
}

// placed puts flags behind the command's name: nothing may stand behind a --.
func placed(args []string, flags ...string) []string { return append([]string{args[0]}, flags...) }

func (x *team) says(what string, got printed, code int, out string, errs ...string) {
	x.Helper()
	if got.code != code || out != "" && !strings.Contains(got.out, out) {
		x.Errorf("%s: exit code %d, want %d\nstdout: %s\nwant: %s\nstderr: %s", what, got.code, code, got.out, out, got.err)
	}
	for _, e := range errs {
		if !strings.Contains(got.err, e) {
			x.Errorf("%s: stderr\n%s\nwant %q", what, got.err, e)
		}
	}
}

// runner is somebody who has the shipped role dbt-runner, and may use shop.
func (x *team) runner(name string) *person {
	x.Helper()
	p := x.person(name)
	x.bind(name, "ClusterRole", "dbt-runner")
	x.grant(name, usesShop)
	x.may(name, true, runs...)
	return p
}

// status records a status as the operator does.
func (x *team) status(run *v1alpha1.DbtRun, phase v1alpha1.Phase, reason string, change ...func(*v1alpha1.DbtRunStatus)) {
	x.Helper()
	current := fresh(x, run)
	current.Status.Phase = phase
	truth := map[v1alpha1.Phase]metav1.ConditionStatus{v1alpha1.PhaseSucceeded: metav1.ConditionTrue, v1alpha1.PhaseFailed: metav1.ConditionFalse, v1alpha1.PhaseCancelled: metav1.ConditionFalse}[phase]
	if truth == "" {
		truth = metav1.ConditionUnknown
	}
	current.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionSucceeded, Status: truth, Reason: reason, LastTransitionTime: metav1.Now()}}
	current.Status.Artifacts = run.Status.Artifacts
	for _, c := range change {
		c(&current.Status)
	}
	x.ok("status", x.admin.Status().Update(x.Context(), current))
}

// specs compares specs but for what the API server stamps.
func specs(a, b v1alpha1.DbtRunSpec) string {
	return cmp.Diff(a, b, cmpopts.IgnoreFields(v1alpha1.DbtRunSpec{}, "RequestedBy"))
}

// The plugin creates what somebody would write by hand, and its manifest is one that can be applied.
func TestPluginRunCreatesWhatApplyWould(t *testing.T) {
	x := newTeam(t)
	ada := x.runner("plugin-ada")
	flags := []string{"run", "shop", "build", "--select", "tag:nightly+", "--full-refresh", "--vars", `{start_date: "2026-11-01", n: 3}`, "--target", "ci", "--timeout", "2h"}
	x.says("run", x.dbt(ada, append(flags, "--name", "one")...), 0, "dbtrun.dbtoperator.dev/one created\n")
	manifest := x.dbt(ada, append(flags, "--name", "two", "--dry-run=client", "-o", "yaml")...)
	x.says("manifest", manifest, 0, "kind: DbtRun")
	if out, err := x.kubectl(ada, manifest.out, "apply", "-f", "-"); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, manifest.out)
	}
	one := fresh(x, x.run("one").Obj())
	want := x.run("one").Command("dbt build --select tag:nightly+ --full-refresh").Target("ci").Timeout(7200).
		Var("start_date", `"2026-11-01"`).Var("n", "3").Obj()
	if diff := specs(want.Spec, one.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if diff := specs(one.Spec, fresh(x, x.run("two").Obj()).Spec); diff != "" {
		t.Errorf("kubectl apply makes another (-plugin +apply):\n%s", diff)
	}
	x.stamped("run", one.Spec.RequestedBy, "plugin-ada")
	x.says("server dry run", x.dbt(ada, "run", "shop", "--name", "three", "--dry-run=server"), 0, "three created (server dry run)\n")
	if err := x.admin.Get(t.Context(), client.ObjectKey{Namespace: x.ns, Name: "three"}, &v1alpha1.DbtRun{}); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("a dry run was kept: %v", err)
	}
	x.says("a made-up name", x.dbt(ada, "run", "shop", "-o", "name"), 0, "dbtrun.dbtoperator.dev/shop-")
	x.says("name taken", x.dbt(ada, "run", "shop", "--name", "one"), 1, "", `DbtRun "one" exists already in namespace`)
	x.says("refused by a rule", x.dbt(ada, "run", "shop", "--name", "four", "--revision", "main"), 1, "", "spec.revision: ", "must be a full ref such as refs/heads/main")
	x.says("refused here", x.dbt(ada, "run", "shop", "--", "build", "--state", "x"), 1, "", "--state, which the operator sets")
}

// Where several managers divide the projects, what the plugin creates goes to the manager of its project.
func TestPluginRunsAreOfTheShardOfTheirProject(t *testing.T) {
	x := newTeam(t)
	x.ok("project", x.admin.Create(t.Context(), testutil.MakeDbtProject("blue").Namespace(x.ns).Label(v1alpha1.LabelShard, "blue").Obj()))
	x.ok("failed", x.admin.Create(t.Context(), testutil.MakeDbtRun("failed").Namespace(x.ns).Project("blue").Label(v1alpha1.LabelShard, "blue").Obj()))
	x.status(testutil.MakeDbtRun("failed").Namespace(x.ns).Obj(), v1alpha1.PhaseFailed, "NodesFailed")
	ada, blind := x.runner("plugin-shard-ada"), x.person("plugin-shard-blind")
	rights := []right{{"create", "dbtoperator.dev", "dbtruns", ""}, {"get", "dbtoperator.dev", "dbtruns", ""}, {"use", "dbtoperator.dev", "dbtprojects", ""}}
	for _, p := range []*person{ada, blind} {
		x.grant(p.name, rights...)
		x.may(p.name, true, rights...)
	}
	for name, c := range map[string]struct {
		reason string
		who    *person
		args   []string
		want   string
	}{
		"run":        {"of the project's", ada, []string{"run", "blue"}, "blue"},
		"retry":      {"of the other run's", blind, []string{"retry", "failed"}, "blue"},
		"undivided":  {"there is nothing to copy", ada, []string{"run", "shop"}, ""},
		"unreadable": {"the API server says what it makes of it", blind, []string{"run", "blue"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			x.says(c.reason, x.dbt(c.who, append(c.args, "--name", "new-"+name)...), 0, "created")
			if got := fresh(x, testutil.MakeDbtRun("new-"+name).Namespace(x.ns).Obj()).Labels[v1alpha1.LabelShard]; got != c.want {
				t.Errorf("%s: the run is of shard %q, want %q", c.reason, got, c.want)
			}
		})
	}
}

// Whoever lacks a right is told which, and where it comes from.
func TestPluginSaysWhichRightIsLacking(t *testing.T) {
	x := newTeam(t)
	noUse, noCreate, nobody := x.person("plugin-nouse"), x.person("plugin-nocreate"), x.person("plugin-nobody")
	x.bind("plugin-nouse", "ClusterRole", "dbt-runner")
	x.bind("plugin-nocreate", "ClusterRole", "dbt-viewer")
	x.may("plugin-nouse", true, runs...)
	x.may("plugin-nocreate", true, right{"list", "dbtoperator.dev", "dbtruns", ""})
	x.ok("run", x.admin.Create(t.Context(), x.run("r").Obj()))
	x.ok("schedule", x.admin.Create(t.Context(), x.schedule("s").Obj()))
	for name, c := range map[string]struct {
		reason string
		who    *person
		args   []string
		want   string
	}{
		"run without use":        {"the policy's own words, and nothing before them", noUse, []string{"run", "shop"}, `error: User "plugin-nouse" cannot run DbtProject "shop" in namespace "` + x.ns + `": that needs the verb "use" on dbtprojects.dbtoperator.dev "shop"; ask an administrator of the namespace for a Role with it.` + "\n"},
		"retry without use":      {"a retry is a run", noUse, []string{"trigger", "s"}, `cannot run DbtProject "shop"`},
		"backfill without use":   {"writing a schedule is scheduling", noUse, []string{"backfill", "s", "--from", "2026-10-01", "--to", "2026-10-02"}, `cannot schedule runs of DbtProject "shop"`},
		"run without create":     {"verb, resource, namespace, and the role that has it", noCreate, []string{"run", "shop"}, `error: user "plugin-nocreate" lacks the verb "create" on dbtruns.dbtoperator.dev in namespace "` + x.ns + `"; ask an administrator for it; the ClusterRole dbt-runner has it` + "\n"},
		"cancel without patch":   {"by name", noCreate, []string{"cancel", "r"}, `user "plugin-nocreate" lacks the verb "patch" on dbtruns.dbtoperator.dev "r" in namespace "` + x.ns + `"`},
		"list without list":      {"the other role", nobody, []string{"list"}, `user "plugin-nobody" lacks the verb "list" on dbtruns.dbtoperator.dev in namespace "` + x.ns + `"; ask an administrator for it; the ClusterRole dbt-viewer has it`},
		"show without get":       {"by name", nobody, []string{"show", "r"}, `lacks the verb "get" on dbtruns.dbtoperator.dev "r"`},
		"show what is not there": {"its kind, name and namespace", noCreate, []string{"show", "x"}, `error: there is no DbtRun "x" in namespace "` + x.ns + `"` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := x.dbt(c.who, c.args...); got.code != 1 || !strings.Contains(got.err, c.want) {
				t.Errorf("%s: exit code %d, stderr\n%s\nwant\n%s", c.reason, got.code, got.err, c.want)
			}
		})
	}
}

func TestPluginRetriesCancelsAndTriggers(t *testing.T) {
	x := newTeam(t)
	ada := x.runner("plugin-eve")
	run := x.run("nightly").Command("dbt seed", "dbt build").Target("ci").Var("a", "1").Timeout(60).Obj()
	x.ok("run", x.admin.Create(t.Context(), run))
	x.says("retry of a run under way", x.dbt(ada, "retry", "nightly"), 1, "", `DbtRun "nightly" is not over (Pending)`)
	x.says("cancel", x.dbt(ada, "cancel", "nightly"), 0, "dbtrun.dbtoperator.dev/nightly asked to stop\n")
	if !ptr.Deref(fresh(x, run).Spec.Cancel, false) {
		t.Error("cancel is not set")
	}
	x.status(run, v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled)
	x.says("cancel of what is over", x.dbt(ada, "cancel", "nightly"), 0, "", "is over (Cancelled)")
	x.says("retry", x.dbt(ada, "retry", "nightly", "--name", "again"), 0, "dbtrun.dbtoperator.dev/again created\n")
	want := x.run("again").Command("dbt seed", "dbt build").Target("ci").Var("a", "1").Timeout(60).ResumeFrom("nightly").Obj()
	if diff := specs(want.Spec, fresh(x, want).Spec); diff != "" {
		t.Errorf("retry (-want +got):\n%s", diff)
	}

	s := x.schedule("hourly").Template(testutil.MakeDbtRun("").Project("shop").Command("dbt test")).RunLabel("team", "a").Obj()
	x.ok("schedule", x.admin.Create(t.Context(), s))
	x.says("trigger", x.dbt(ada, "trigger", "hourly", "--name", "now"), 0, "dbtrun.dbtoperator.dev/now created\n")
	now := fresh(x, x.run("now").Obj())
	if diff := specs(x.run("now").Command("dbt test").Obj().Spec, now.Spec); diff != "" || now.Labels["team"] != "a" {
		t.Errorf("trigger: labels %v, spec (-want +got):\n%s", now.Labels, diff)
	}
	x.stamped("trigger", now.Spec.RequestedBy, "plugin-eve")
}

func TestPluginBackfills(t *testing.T) {
	x := newTeam(t)
	ada := x.runner("plugin-bo")
	s := x.schedule("hourly").Zone("Europe/Lisbon").Obj()
	x.ok("schedule", x.admin.Create(t.Context(), s))
	october := []string{"backfill", "hourly", "--from", "2026-10-24", "--to", "2026-10-25"}
	x.says("backfill", x.dbt(ada, append(october, "--max-active", "2", "--on-failure", "Continue")...), 0, "dbtschedule.dbtoperator.dev/hourly backfill set\n", "is yours from now on")
	got := fresh(x, s).Spec.Backfill
	want := &v1alpha1.Backfill{
		// Clocks go back on the second of these days: it has 25 hours.
		From: metav1.NewTime(time.Date(2026, 10, 23, 23, 0, 0, 0, time.UTC)), To: metav1.NewTime(time.Date(2026, 10, 25, 23, 59, 59, 0, time.UTC)),
		MaxActive: ptr.To[int32](2), OnFailure: v1alpha1.BackfillContinue,
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b metav1.Time) bool { return a.Equal(&b) })); diff != "" {
		t.Errorf("backfill (-want +got):\n%s", diff)
	}
	x.says("the same again", x.dbt(ada, october...), 1, "", "has a backfill of just this range")
	x.says("another meanwhile", x.dbt(ada, "backfill", "hourly", "--from", "2026-01-01", "--to", "2026-01-02"), 1, "", "has a backfill under way")
	x.says("stop", x.dbt(ada, "backfill", "hourly", "--stop"), 0, "hourly backfill removed\n")
	if got := fresh(x, s).Spec.Backfill; got != nil {
		t.Errorf("the backfill is still there: %v", got)
	}
}

func TestPluginLists(t *testing.T) {
	x := newTeam(t)
	ada := x.runner("plugin-li")
	for _, name := range []string{"one", "two"} {
		x.says("run", x.dbt(ada, "run", "shop", "--name", name), 0, "")
	}
	x.ok("run", x.admin.Create(t.Context(), x.run("other").Obj()))
	x.status(x.run("two").Obj(), v1alpha1.PhaseFailed, v1alpha1.ReasonNodesFailed)
	names := func(args ...string) string {
		got := x.dbt(ada, append([]string{"list", "-o", "name"}, args...)...)
		x.says("list", got, 0, "")
		return strings.ReplaceAll(got.out, "dbtrun.dbtoperator.dev/", "")
	}
	for name, c := range map[string]struct {
		reason string
		args   []string
		want   string
	}{
		"failed":       {"by the API server", []string{"--failed"}, "two\n"},
		"phase":        {"the same", []string{"--phase", "Failed"}, "two\n"},
		"project":      {"none of it", []string{"--project", "other"}, ""},
		"both":         {"two fields at once", []string{"--project", "shop", "--failed"}, "two\n"},
		"requester":    {"who was stamped", []string{"--requester", "plugin-li", "--failed"}, "two\n"},
		"no requester": {"nobody of that name", []string{"--requester", "joe"}, ""},
		"label":        {"nothing has it", []string{"-l", "a=b"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := names(c.args...); got != c.want {
				t.Errorf("%s: %q, want %q", c.reason, got, c.want)
			}
		})
	}
	table := x.dbt(ada, "list", "--failed", "-o", "wide")
	if fields := strings.Fields(table.out); len(fields) < 10 || fields[0] != "NAME" || fields[10] != "two" || !strings.Contains(table.out, "plugin-li") {
		t.Errorf("table:\n%s", table.out)
	}
	x.says("no such phase", x.dbt(ada, "list", "--phase", "Done"), 1, "", `--phase: found "Done": must be one of Pending, `)
	x.says("completion", x.dbt(ada, "__complete", "run", "--namespace", x.ns, ""), 0, "shop\n")
}

// A run that is watched is shown until its end, and its end is the exit code.
func TestPluginWatches(t *testing.T) {
	x := newTeam(t)
	ada := x.runner("plugin-wa")
	for name, c := range map[string]struct {
		reason string
		phase  v1alpha1.Phase
		why    string
		code   int
	}{
		"succeeded": {"as dbt", v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded, 0},
		"nodes":     {"as dbt, when nodes failed", v1alpha1.PhaseFailed, v1alpha1.ReasonNodesFailed, 1},
		"error":     {"as dbt, when it could not", v1alpha1.PhaseFailed, v1alpha1.ReasonDbtError, 2},
		"timed-out": {"not dbt's own end", v1alpha1.PhaseFailed, v1alpha1.ReasonTimedOut, 2},
		"cancelled": {"a code of its own", v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var out output
			done := make(chan printed, 1)
			go func() { done <- x.dbtInto(x.Context(), ada, &out, &output{}, "run", "shop", "--name", name, "--watch") }()
			run := x.run(name).Obj()
			testutil.Eventually(x, "the run is shown as pending", patience, func() (bool, string) {
				return strings.Contains(out.String(), "Pending"), out.String()
			})
			x.status(run, v1alpha1.PhaseRunning, v1alpha1.ReasonRunning, func(s *v1alpha1.DbtRunStatus) {
				s.Progress = &v1alpha1.Progress{Total: 4, Done: 1, Running: []string{"model.shop.orders"}}
			})
			testutil.Eventually(x, "its progress is shown", patience, func() (bool, string) {
				return strings.Contains(out.String(), "Running  1/4 nodes, running model.shop.orders\n"), out.String()
			})
			x.status(run, c.phase, c.why, func(s *v1alpha1.DbtRunStatus) {
				s.Failures = []v1alpha1.Failure{{UniqueID: "model.shop.a", Status: "error", Message: "no such column"}}
			})
			got := <-done
			if got.code != c.code || !strings.Contains(got.out, "error  model.shop.a: no such column\n") || !strings.Contains(got.out, "DbtRun "+name+" "+strings.ToLower(string(c.phase))) {
				t.Errorf("%s: exit code %d, want %d\n%s%s", c.reason, got.code, c.code, got.out, got.err)
			}
		})
	}
	x.says("not begun", x.dbt(ada, "run", "shop", "--revision", "main", "--watch"), command.ExitUnknown, "", "spec.revision")
}
