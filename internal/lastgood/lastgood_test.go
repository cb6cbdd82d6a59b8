package lastgood_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/lastgood"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

var now = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

func ago(minutes int) time.Time { return now.Add(-time.Duration(minutes) * time.Minute) }

func project() *testutil.ProjectWrapper {
	return testutil.MakeDbtProject("shop").UID("shop-1").Git("https://git.example.com/shop.git")
}

func source() string { return lastgood.SourceDigest(project().Spec.Source) }

// good is a run with target prod that succeeded so many minutes ago.
func good(name string, minutes int) *testutil.RunWrapper {
	return testutil.MakeDbtRun(name).UID("uid-"+name).Good(project().Obj(), "prod", "sha256:"+name, source(), ago(minutes))
}

func TestGood(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		run    *testutil.RunWrapper
		want   bool
	}{
		"build":        {"it builds", good("a", 1).Command("dbt build"), true},
		"default":      {"no command is dbt build", good("a", 1), true},
		"without dbt":  {"the leading word may be left out", good("a", 1).Command("seed"), true},
		"spaces":       {"the rule on commands allows them", good("a", 1).Command("  dbt   run -s a"), true},
		"one of them":  {"one command that builds is enough", good("a", 1).Command("dbt source freshness", "dbt snapshot"), true},
		"parse":        {"nothing was built: what changed would look as if it had been", good("a", 1).Command("dbt parse"), false},
		"compile":      {"nor here", good("a", 1).Command("dbt compile", "dbt docs generate", "dbt ls", "dbt test"), false},
		"word":         {"a word further on is no command", good("a", 1).Command("dbt test -s build"), false},
		"failed":       {"half of it may be built", good("a", 1).Truth(v1alpha1.PhaseFailed, metav1.ConditionFalse, "NodesFailed", ""), false},
		"pull request": {"it is not the project's own ref", good("a", 1).Revision("refs/pull/1/head"), false},
		"resumed":      {"it built only the rest, and what was built before may have changed since", good("b", 1).ResumeFrom("a"), false},
		"inline":       {"it has no project", good("a", 1).NoProject(), false},
		"before": {"a run of an operator that did not record its project", func() *testutil.RunWrapper {
			r := good("a", 1)
			r.Status.Project.UID = ""
			return r
		}(), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := lastgood.Good(c.run.Obj()); got != c.want {
				t.Errorf("%s: %v", c.reason, got)
			}
		})
	}
}

func TestSourceDigest(t *testing.T) {
	base := project().Ref(v1alpha1.GitRef{Branch: "main"}).Path("dbt")
	for name, c := range map[string]struct {
		reason string
		other  *testutil.ProjectWrapper
		same   bool
	}{
		"ref":     {"a deploy changes it", base.Clone().Ref(v1alpha1.GitRef{Tag: "v2"}), true},
		"image":   {"a deploy changes it", base.Clone().Image("registry.example.com/dbt:2"), true},
		"secret":  {"it is the same repository", base.Clone().GitSecret("git"), true},
		"url":     {"another repository", base.Clone().Git("https://git.example.com/bank.git").Path("dbt"), false},
		"path":    {"another folder", base.Clone().Path("other"), false},
		"kind":    {"another kind", base.Clone().Baked("/dbt"), false},
		"shifted": {"the parts do not run into each other", base.Clone().Git("https://git.example.com/shop.gitd").Path("bt"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := lastgood.SourceDigest(base.Spec.Source) == lastgood.SourceDigest(c.other.Spec.Source); got != c.same {
				t.Errorf("%s: the same is %v", c.reason, got)
			}
		})
	}
	if a, b := testutil.MakeDbtProject("x").ConfigMap("a").Spec.Source, testutil.MakeDbtProject("x").ConfigMap("b").Spec.Source; lastgood.SourceDigest(a) == lastgood.SourceDigest(b) {
		t.Error("two ConfigMaps are one")
	}
}

func runs(wrappers ...*testutil.RunWrapper) []v1alpha1.DbtRun {
	var out []v1alpha1.DbtRun
	for _, w := range wrappers {
		out = append(out, *w.Obj())
	}
	return out
}

func remembers(of ...*testutil.RunWrapper) *testutil.ProjectWrapper {
	p := project()
	p.Status.LastGood = lastgood.Of(project().Obj(), runs(of...), now)
	return p
}

// withTarget is a good run with another target.
func withTarget(name, target string, minutes int) *testutil.RunWrapper {
	r := good(name, minutes)
	r.Status.Project.Target = target
	return r
}

// renewed is a project of the same name that was made anew.
func renewed() *testutil.ProjectWrapper { return project().UID("shop-2") }

func TestOf(t *testing.T) {
	for name, c := range map[string]struct {
		reason  string
		project *testutil.ProjectWrapper
		runs    []v1alpha1.DbtRun
		want    string
	}{
		"none":          {"there is nothing to remember", project(), nil, ""},
		"newest":        {"of a target the newest, the newest target first", project(), runs(good("a", 3), withTarget("c", "ci", 5), good("b", 2)), "prod=b ci=c"},
		"ended at once": {"always the same one", project(), runs(good("b", 2), good("a", 2)), "prod=b"},
		"not good":      {"another revision, a failure", project(), runs(good("a", 3), good("b", 2).Revision("refs/pull/1/head"), good("c", 1).Truth(v1alpha1.PhaseFailed, "False", "NodesFailed", "")), "prod=a"},
		"resumed":       {"the one before it counts: what was changed since is all in the difference from that", project(), runs(good("a", 3), good("b", 2).ResumeFrom("x")), "prod=a"},
		"made anew":     {"a project that was deleted and made again has no past", renewed(), runs(good("a", 3)), ""},
		"of another":    {"the index is by name, and so are they", testutil.MakeDbtProject("bank").UID("shop-1"), runs(good("a", 3)), ""},
		"deleted":       {"an older one is never taken in its place", remembers(good("a", 3), good("b", 2)), runs(good("a", 3)), "prod=b"},
		"after it":      {"a newer one is", remembers(good("b", 2)), runs(good("c", 1)), "prod=c"},
		"sending":       {"its files may still come: then it is written once", project(), runs(good("a", 3), good("b", 2).Sending()), "prod=a"},
		"never came":    {"what is the last is not changed by that", project(), runs(good("a", 30), good("b", 20).Sending()), "prod=b"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, g := range lastgood.Of(c.project.Obj(), c.runs, now) {
				got = append(got, g.Target+"="+g.Run)
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
	var many []v1alpha1.DbtRun
	for n := range lastgood.Max + 3 {
		many = append(many, *withTarget(fmt.Sprint("r", n), fmt.Sprint("t", n), 100-n).Obj())
	}
	if got := lastgood.Of(project().Obj(), many, now); len(got) != lastgood.Max || got[0].Target != "t22" || got[lastgood.Max-1].Target != "t3" {
		t.Errorf("%d of many targets are remembered: %+v", len(got), got)
	}
	want := []v1alpha1.GoodRun{{
		Target: "prod", Run: "a", UID: "uid-a", Revision: "commit-of-a", Time: metav1.NewTime(ago(3)), ManifestDigest: "sha256:a", SourceDigest: source(),
	}}
	if diff := cmp.Diff(want, lastgood.Of(project().Obj(), runs(good("a", 3)), now)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestChoose(t *testing.T) {
	moved := remembers(good("a", 3)).Git("https://git.example.com/other.git")
	for name, c := range map[string]struct {
		reason  string
		project *testutil.ProjectWrapper
		target  string
		runs    []v1alpha1.DbtRun
		want    string
	}{
		"last":            {"it need not be remembered yet", project(), "prod", runs(good("a", 3), good("b", 2)), "b sha256:b"},
		"not yet written": {"the status is some seconds behind", remembers(good("a", 3)), "prod", runs(good("a", 3), good("b", 2)), "b sha256:b"},
		"none":            {"nothing was built", project(), "prod", nil, "No run of DbtProject shop has built with target prod and succeeded yet."},
		"other target":    {"what is asked for is what is given", remembers(good("a", 3)), "ci", runs(good("a", 3)), "No run of DbtProject shop has built with target ci and succeeded yet."},
		"no target":       {"the profile's default is a target of its own", remembers(good("a", 3)), "", runs(good("a", 3)), "No run of DbtProject shop has built with the profile's default target and succeeded yet."},
		"made anew":       {"it has no past", renewed(), "prod", runs(good("a", 3)), "No run of DbtProject shop has built with target prod and succeeded yet."},
		"pull request":    {"it is not the project's own ref", project(), "prod", runs(good("a", 3), good("b", 2).Revision("refs/pull/1/head")), "a sha256:a"},
		"deleted":         {"an older one is not taken for it", remembers(good("b", 2)), "prod", runs(good("a", 3)), "DbtRun b, the last good run with target prod, was deleted, and its manifest with it."},
		"moved":           {"another repository", moved, "prod", runs(good("a", 3)), "DbtRun a, the last good run with target prod, was of another source than spec.source of DbtProject shop is now."},
		"and back": {"what was built of the other repository is what the warehouse has", project(), "prod", runs(good("a", 3), func() *testutil.RunWrapper {
			r := good("b", 2)
			r.Status.Project.SourceDigest = "other"
			return r
		}()), "DbtRun b, the last good run with target prod, was of another source than spec.source of DbtProject shop is now."},
		"not kept": {"an older one is not taken for it", project(), "prod", runs(good("a", 3), testutil.MakeDbtRun("b").UID("uid-b").Good(project().Obj(), "prod", "", source(), ago(2))),
			"The operator has no manifest.json of DbtRun b, the last good run with target prod."},
		"sending":    {"it is waited for, rather than an older one taken", project(), "prod", runs(good("a", 3), good("b", 2).Sending()), "waits 8m0s for b"},
		"never came": {"it is not waited for, for ever", project(), "prod", runs(good("a", 30), good("b", 11).Sending()), "The operator has no manifest.json of DbtRun b, the last good run with target prod."},
		"clock":      {"an end in the future, by a clock that was wrong, is the last all the same", project(), "prod", runs(good("a", -60), good("b", 2)), "a sha256:a"},
	} {
		t.Run(name, func(t *testing.T) {
			choice := lastgood.Choose(c.project.Obj(), c.target, c.runs, now)
			got := strings.TrimSpace(choice.State.Run + " " + choice.State.ManifestDigest + choice.State.Message)
			if choice.WaitFor != "" {
				got += fmt.Sprintf("waits %s for %s", choice.Wait, choice.WaitFor)
			} else if choice.State.Target != c.target {
				t.Errorf("target %q", choice.State.Target)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
	at := metav1.NewTime(ago(3))
	want := v1alpha1.StateStatus{Target: "prod", Run: "a", UID: "uid-a", Revision: "commit-of-a", Time: &at, ManifestDigest: "sha256:a"}
	if diff := cmp.Diff(want, lastgood.Choose(project().Obj(), "prod", runs(good("a", 3)), now).State); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Whatever is deleted, and in whatever order it is heard of: a state is never older than the newest run that was good.
func TestNeverOlder(t *testing.T) {
	all := []*testutil.RunWrapper{good("a", 5), good("b", 4), good("c", 3), good("d", 2)}
	for deleted := range 1 << len(all) {
		for heard := range 1 << len(all) {
			p := project()
			var there []v1alpha1.DbtRun
			for i, r := range all {
				if heard>>i&1 == 1 {
					p.Status.LastGood = lastgood.Of(p.Obj(), runs(r), now)
				}
				if deleted>>i&1 == 0 {
					there = append(there, *r.Obj())
				}
			}
			newest := ""
			for i, r := range all {
				if heard>>i&1 == 1 || deleted>>i&1 == 0 {
					newest = r.Name
				}
			}
			got := lastgood.Choose(p.Obj(), "prod", there, now).State
			if got.Run != "" && got.Run != newest {
				t.Fatalf("deleted %04b, heard of %04b: %q, the newest is %q", deleted, heard, got.Run, newest)
			}
		}
	}
}
