package lastgood

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Manifest is the artifact that is a state.
const Manifest = "manifest.json"

// Max is the number of targets that are remembered of a project.
const Max = 20

// building are the commands after which the warehouse is as the project says.
var building = []string{"build", "run", "seed", "snapshot"}

// Good reports whether a run is good. It parses nothing: indexes and predicates are made of it.
func Good(run *v1alpha1.DbtRun) bool {
	return run.Status.Phase == v1alpha1.PhaseSucceeded && run.Spec.ProjectRef != nil && run.Spec.Revision == "" &&
		run.Spec.ResumeFrom == nil && run.Status.Project != nil && run.Status.Project.UID != "" && builds(run.Spec.Commands)
}

// builds reports whether one of these command lines builds. None stands for the default, `dbt build`.
func builds(commands []string) bool {
	return len(commands) == 0 || slices.ContainsFunc(commands, func(line string) bool {
		words := strings.Fields(line)
		if len(words) > 1 && words[0] == "dbt" {
			words = words[1:]
		}
		return len(words) > 0 && slices.Contains(building, words[0])
	})
}

// SourceDigest tells sources apart that no deploy leads from one to the other of: another repository or folder, another
// ConfigMap, another path in the image. The ref of a git source is left out, and so is the image: they are what a deploy
// changes.
func SourceDigest(s v1alpha1.Source) string {
	var parts []string
	switch {
	case s.Git != nil:
		parts = []string{"git", s.Git.URL, s.Git.Path}
	case s.ConfigMap != nil:
		parts = []string{"configMap", s.ConfigMap.Name}
	case s.Image != nil:
		parts = []string{"image", s.Image.Path}
	default:
		return ""
	}
	h := sha256.New()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(p), p) // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// Of returns what a project's status says of its last good runs: of each target the newest of what it said before and of
// runs, newest first, at most Max. Runs that are not good, or of another project, are left out, and so is one whose files
// are still on their way.
func Of(project *v1alpha1.DbtProject, runs []v1alpha1.DbtRun, now time.Time) []v1alpha1.GoodRun {
	newest := map[string]v1alpha1.GoodRun{}
	for _, g := range project.Status.LastGood {
		newest[g.Target] = g
	}
	for i := range runs {
		run := &runs[i]
		if !of(project, run) || pending(run, now) {
			continue
		}
		g := goodRun(run)
		if before, ok := newest[g.Target]; !ok || before.UID == g.UID || newer(g, before) {
			newest[g.Target] = g
		}
	}
	var out []v1alpha1.GoodRun
	for _, g := range newest {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b v1alpha1.GoodRun) int {
		return cmp.Or(b.Time.Compare(a.Time.Time), cmp.Compare(a.Target, b.Target))
	})
	return out[:min(len(out), Max)]
}

// of reports whether a run is a good one of this very project: not of one that had its name before.
func of(project *v1alpha1.DbtProject, run *v1alpha1.DbtRun) bool {
	return Good(run) && run.Spec.ProjectRef.Name == project.Name && run.Status.Project.UID == project.UID
}

func goodRun(run *v1alpha1.DbtRun) v1alpha1.GoodRun {
	g := v1alpha1.GoodRun{
		Target: run.Status.Project.Target, Run: run.Name, UID: run.UID, Time: succeeded(run),
		ManifestDigest: ManifestDigest(run), SourceDigest: run.Status.Project.SourceDigest,
	}
	if run.Status.Revision != nil {
		g.Revision = run.Status.Revision.Source
	}
	return g
}

// succeeded returns when a run was recorded to have succeeded. That is the operator's own clock; when the run's pod ended
// is its node's.
func succeeded(run *v1alpha1.DbtRun) metav1.Time {
	if c := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionSucceeded); c != nil {
		return c.LastTransitionTime
	}
	return run.CreationTimestamp
}

// newer orders by time; times have whole seconds, so names decide between two that ended at once, always the same way.
func newer(a, b v1alpha1.GoodRun) bool {
	return cmp.Or(a.Time.Compare(b.Time.Time), cmp.Compare(a.Run, b.Run), cmp.Compare(a.UID, b.UID)) > 0
}

// ManifestDigest returns the digest of a run's manifest.json, empty when none was kept.
func ManifestDigest(run *v1alpha1.DbtRun) string {
	for _, a := range run.Status.Artifacts {
		if a.Name == Manifest {
			return a.Digest
		}
	}
	return ""
}

// Patience is how long after its end the files of a run are waited for.
const Patience = 10 * time.Minute

// pending reports whether the manifest of a run that succeeded may still come.
func pending(run *v1alpha1.DbtRun, now time.Time) bool {
	if ManifestDigest(run) != "" {
		return false
	}
	c := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionResultsAvailable)
	if c != nil && (c.Reason == v1alpha1.ReasonStored || c.Reason == v1alpha1.ReasonIncomplete) {
		return false
	}
	end := succeeded(run)
	return now.Sub(end.Time) < Patience
}

// Choice is what the state of a run is.
type Choice struct {
	// State is what the run's status is to say. Its Run is empty when there is none, and its Message says why.
	State v1alpha1.StateStatus
	// WaitFor is the last good run, whose manifest is still on its way; empty when nothing is to be waited for.
	WaitFor string
	// Wait is how long to wait at most.
	Wait time.Duration
}

// Choose returns the state of a run of a project that begins now: the manifest of the last good run of target. runs are
// the good runs of the project's name, all that are there.
func Choose(project *v1alpha1.DbtProject, target string, runs []v1alpha1.DbtRun, now time.Time) Choice {
	var last *v1alpha1.GoodRun
	there := map[types.UID]*v1alpha1.DbtRun{}
	for i := range runs {
		run := &runs[i]
		if !of(project, run) || run.Status.Project.Target != target {
			continue
		}
		there[run.UID] = run
		if g := goodRun(run); last == nil || newer(g, *last) {
			last = &g
		}
	}
	for i := range project.Status.LastGood {
		if g := project.Status.LastGood[i]; g.Target == target && there[g.UID] == nil && (last == nil || newer(g, *last)) {
			last = &g
		}
	}
	none := func(format string, args ...any) Choice {
		return Choice{State: v1alpha1.StateStatus{Target: target, Message: fmt.Sprintf(format, args...)}}
	}
	if last == nil {
		return none("No run of DbtProject %s has built with %s and succeeded yet.", project.Name, named(target))
	}
	run := there[last.UID]
	switch {
	case run == nil:
		return none("DbtRun %s, the last good run with %s, was deleted, and its manifest with it.", last.Run, named(target))
	case last.SourceDigest != SourceDigest(project.Spec.Source):
		return none("DbtRun %s, the last good run with %s, was of another source than spec.source of DbtProject %s is now.", last.Run, named(target), project.Name)
	case last.ManifestDigest != "":
		return Choice{State: v1alpha1.StateStatus{
			Target: target, Run: last.Run, UID: last.UID, Revision: last.Revision, Time: &last.Time, ManifestDigest: last.ManifestDigest,
		}}
	case pending(run, now):
		return Choice{WaitFor: last.Run, Wait: last.Time.Add(Patience).Sub(now)}
	default:
		return none("The operator has no manifest.json of DbtRun %s, the last good run with %s.", last.Run, named(target))
	}
}

// named returns how a target is called in a message.
func named(target string) string {
	if target == "" {
		return "the profile's default target"
	}
	return "target " + target
}
