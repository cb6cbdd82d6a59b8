package doctor

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/version"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
	"github.com/dbt-operator/dbt-operator/internal/cli/view"
)

// Check is one finding.
type Check = view.Check

// How a check came out.
const (
	OK   = view.OK
	Warn = view.Warn
	Fail = view.Fail
)

func ok(name, found string) Check { return Check{State: OK, Name: name, Found: found} }

func warn(name, found, mend string) Check {
	return Check{State: Warn, Name: name, Found: found, Mend: mend}
}

func fail(name, found, mend string) Check {
	return Check{State: Fail, Name: name, Found: found, Mend: mend}
}

// Failed reports whether any of the checks failed.
func Failed(checks []Check) bool {
	return slices.ContainsFunc(checks, func(c Check) bool { return c.State == Fail })
}

const (
	oldest   = "1.33.0" // that this is built for
	stamping = "1.36.0" // from where the API server can stamp
)

// Server judges the API server's version.
func Server(found string, err error) Check {
	c := Check{State: OK, Name: "API server", Found: found}
	v, parsed := version.ParseGeneric(found)
	switch {
	case err != nil:
		return fail(c.Name, err.Error(), "check the kubeconfig and its context, and that you are logged in")
	case parsed != nil:
		c.State, c.Mend = Warn, "its version cannot be read: it must be Kubernetes 1.33 or later"
	case v.LessThan(version.MustParseGeneric(oldest)):
		c.State, c.Mend = Fail, "update the cluster: the operator needs Kubernetes 1.33 or later"
	case v.LessThan(version.MustParseGeneric(stamping)):
		c.State, c.Mend = Warn, "before Kubernetes 1.36 runs do not name their requester unless they do so themselves; install config/before-1.36"
	}
	return c
}

// Clocks judges how far this machine's clock is from the API server's. server is zero if it does not say.
func Clocks(here, server time.Time) Check {
	const name, warnAt, failAt = "clocks", 30 * time.Second, 5 * time.Minute
	if server.IsZero() {
		return warn(name, "the API server does not say what time it is", "a proxy before it may take the Date header off")
	}
	apart := here.Sub(server).Abs().Truncate(time.Second)
	mend := "set this machine's clock by NTP, or the API server's: ages and schedules are counted by them, and tokens are refused"
	switch {
	case apart >= failAt:
		return fail(name, fmt.Sprintf("this machine and the API server are %s apart", apart), mend)
	case apart >= warnAt:
		return warn(name, fmt.Sprintf("this machine and the API server are %s apart", apart), mend)
	}
	// The header has whole seconds, and the answer takes its time.
	return ok(name, "this machine and the API server agree, within "+warnAt.String())
}

const installCRDs = "install the operator's CRDs of this version: kubectl apply --server-side -k config/crd (docs/install.md)"

// Kinds judges which kinds the cluster has.
func Kinds(served []string, err error) Check {
	const name = "CRDs"
	if err != nil {
		return warn(name, err.Error(), "ask an administrator: everybody may usually ask what kinds there are")
	}
	var missing []string
	for _, r := range []string{kube.Projects, kube.Runs, kube.Schedules} {
		if !slices.Contains(served, r) {
			missing = append(missing, r)
		}
	}
	if len(missing) > 0 {
		return fail(name, fmt.Sprintf("the cluster has no %s in %s", strings.Join(missing, ", "), v1alpha1.GroupVersion), installCRDs)
	}
	return ok(name, "dbtprojects, dbtruns and dbtschedules in "+v1alpha1.GroupVersion.String())
}

// Fields judges whether the CRD of a kind has what this program knows of it.
func Fields(kind string, found []string, err error) Check {
	name := "CRD of " + kind
	if err != nil {
		return warn(name, err.Error(), "it cannot be told whether the CRD is of this version")
	}
	wanted := fieldsOf(map[string]any{"DbtRun": v1alpha1.DbtRunSpec{}, "DbtSchedule": v1alpha1.DbtScheduleSpec{}, "DbtProject": v1alpha1.DbtProjectSpec{}}[kind])
	var missing, unknown []string
	for _, f := range wanted {
		if !slices.Contains(found, f) {
			missing = append(missing, "spec."+f)
		}
	}
	for _, f := range found {
		if !slices.Contains(wanted, f) {
			unknown = append(unknown, "spec."+f)
		}
	}
	switch {
	case len(missing) > 0:
		return fail(name, "it is older than this plugin and lacks "+strings.Join(missing, ", "), installCRDs)
	case len(unknown) > 0:
		return warn(name, "it is newer than this plugin and has "+strings.Join(unknown, ", "), "update the plugin")
	}
	return ok(name, "of this version")
}

func fieldsOf(spec any) []string {
	t := reflect.TypeOf(spec)
	out := make([]string, 0, t.NumField())
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		out = append(out, name)
	}
	return out
}

// Policies judges what the API server made of a forged DbtRun.
func Policies(f kube.Forged, err error) Check {
	const name = "admission policies"
	switch {
	case err != nil:
		return warn(name, "it cannot be tried: "+err.Error(), "somebody who may create DbtRuns can try it, as can hack/policies.sh")
	case f.Taken && f.StampedAs != kube.Forger && f.StampedAs != "":
		return fail(name, "a DbtRun that claims to be a schedule's is taken: the policies that refuse are not in force", "install them: kubectl apply -k config/policy")
	case f.Taken:
		return fail(name, "a DbtRun in somebody else's name is taken: anybody may run any project, and claim to be anybody", "install them: kubectl apply -k config/policy (before Kubernetes 1.36: config/policy/validating)")
	case strings.Contains(f.Refused, "in the name of"):
		return warn(name, "a false requester is refused, and a true one is not stamped", "from Kubernetes 1.36 on, install config/policy/stamping; before, runs name their requester only if they do so themselves")
	case f.Refused == "":
		return warn(name, "it could not be told whether they are in force", "hack/policies.sh tries each of them")
	}
	return ok(name, "a forged requester is replaced, a forged trigger refused")
}

// Operator judges the operator's Deployment.
func Operator(o kube.Operator, namespace string, err error) Check {
	const name = "operator"
	switch {
	case err != nil:
		return warn(name, "it cannot be seen: "+err.Error(), "an administrator can: kubectl -n "+namespace+" get deployment manager")
	case !o.DeploymentFound:
		return fail(name, fmt.Sprintf("there is no Deployment \"manager\" in namespace %q", namespace), "install the operator (docs/install.md), or name its namespace with --operator-namespace")
	case o.Ready == 0:
		return fail(name, fmt.Sprintf("none of its %d replicas is ready (%s)", o.Wanted, o.Image), "see why: kubectl -n "+namespace+" describe deployment manager")
	case o.Ready < o.Wanted:
		return warn(name, fmt.Sprintf("%d of %d replicas are ready (%s)", o.Ready, o.Wanted, o.Image), "see why: kubectl -n "+namespace+" describe deployment manager")
	}
	return ok(name, fmt.Sprintf("%d of %d replicas are ready (%s)", o.Ready, o.Wanted, o.Image))
}
