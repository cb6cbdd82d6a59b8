package doctor

import (
	"errors"
	"fmt"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/kept"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
)

// Need is a right that a command needs.
type Need struct {
	kube.Right
	// For is what it is for.
	For string
	// Must: nothing works without it.
	Must bool
}

// Needs returns the rights that are asked about, for a namespace and the projects in it.
func Needs(namespace, operator string, projects []string) []Need {
	own := func(verb, resource, purpose string, must bool) Need {
		return Need{kube.Right{Verb: verb, Group: v1alpha1.GroupVersion.Group, Resource: resource, Namespace: namespace}, purpose, must}
	}
	needs := []Need{
		own("get", kube.Runs, "show, failures, lineage, diff, and all that is kept of a run", true),
		own("list", kube.Runs, "list, and completion of names", true),
		own("watch", kube.Runs, "--watch", false),
		own("create", kube.Runs, "run, retry, trigger", false),
		own("patch", kube.Runs, "cancel", false),
		own("get", kube.Schedules, "trigger, backfill", false),
		own("patch", kube.Schedules, "backfill", false),
		{kube.Right{Verb: "list", Resource: "pods", Namespace: namespace}, "logs of a run that is under way", false},
		{kube.Right{Verb: "get", Resource: "pods", Subresource: "log", Namespace: namespace}, "logs of a run that is under way", false},
		{kube.Right{Verb: "get", Resource: "services", Subresource: "proxy", Namespace: operator, Name: "https:collector:9443"}, "logs, SQL, whole lineage, docs and diff of what is kept", false},
	}
	for _, p := range projects {
		need := own("use", kube.Projects, "to run it", false)
		need.Name = p
		needs = append(needs, need)
	}
	return needs
}

// Right judges whether the person has a right.
func Right(n Need, may bool, err error) Check {
	c := Check{State: OK, Name: "right", Found: fmt.Sprintf("%s (%s)", n.Right, n.For)}
	switch {
	case err != nil:
		c.State, c.Found, c.Mend = Warn, fmt.Sprintf("%s: it cannot be asked: %s", n.Right, err), "ask an administrator whether you have it"
	case !may:
		c.State, c.Found, c.Mend = Warn, "you lack the "+c.Found, n.Mend()
		if n.Must {
			c.State = Fail
		}
	}
	return c
}

// Store judges what came of reading what is kept.
func Store(o kube.Operator, err error) Check {
	const name = "store"
	switch {
	case o.DeploymentFound && !o.KeepsSomething:
		return warn(name, "the operator runs without --store: nothing is kept, there is no live progress and no resuming", "give it one (docs/results.md)")
	case err == nil || errors.Is(err, kept.ErrNotKept):
		return ok(name, "the collector answers")
	case errors.Is(err, kept.ErrNoToken), errors.Is(err, kept.ErrForbidden):
		return warn(name, err.Error(), "logs and results in the runs' own status can be read without it")
	}
	return fail(name, err.Error(), "see the operator's log: kubectl logs deployment/manager in its namespace")
}
