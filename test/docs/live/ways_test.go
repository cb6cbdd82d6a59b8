package live

import (
	"strings"

	"github.com/dbt-operator/dbt-operator/test/docs/pages"
)

// way is how a call is carried out. The zero value: once, in the world of what has ended, to the exit code 0.
type way struct {
	// underWay: in the world where run shop-x7k2p is still going on.
	underWay bool
	// serves: it serves until it is stopped, and says where; a page is read from there.
	serves bool
	// exit is the code that it ends with.
	exit int
}

// ways are those of calls that begin so; the longest counts.
var ways = map[string]way{
	"kubectl dbt docs":   {serves: true},
	"kubectl dbt ui":     {serves: true},
	"kubectl proxy":      {serves: true},
	"kubectl dbt cancel": {underWay: true},
	// The run's own exit code: its project is as wrong as it was.
	"kubectl dbt retry shop-x7k2p --watch": {exit: 1},
	// Whoever is impersonated there lacks rights, which is what it says.
	"kubectl dbt doctor -n team-a --as ada@example.com": {exit: 1},
}

// elsewhere are calls that begin so and are carried out by something else, which is named; or by nothing, and why.
var elsewhere = map[string]string{
	"make test": levels, "make verify": levels, "make lint": levels, "make fmt lint": levels, "make build": levels,
	"make generate manifests api-docs cli-docs": "make verify does, and compares",
	"make test-unit":        levels,
	"make test-integration": levels,
	"make test-e2e":         levels,
	"make test-gate":        levels,
	"make deploy":           levels,
	"make cluster-up":       levels,
	"make cluster-down":     levels,
	"hack/cluster/cluster":  levels,
	"go test ./test/arch":   levels,
	"make release":          "hack/release, into a folder of its own",
	"git tag":               "nothing: it changes the repository that the tests run in",

	"helm":                      "test/packaging installs, upgrades and uninstalls the chart",
	"kubectl apply -k .":        "hack/deploy.sh, of config/local; the page's overlay is built by test/docs/manifests",
	"kubectl delete -k .":       takesAway,
	"kubectl delete crd":        takesAway,
	"kubectl apply -k examples": gate,
	"kubectl apply -k deploy":   gate,
	"kubectl -n dbt-operator-system delete pvc store": takesAway,

	"kubectl create -f nightly.yaml":           "test/integration, TestItem1ProjectTheUserMayNotUse: what the page shows is a refusal",
	"kubectl create -f run.yaml":               "test/integration, TestItem1ProjectTheUserMayNotUse: what the page shows is a refusal",
	"kubectl dbt run shop-ci --revision":       "test/e2e, TestPullRequestDefers and TestGitSource; here it stands in a workflow of GitHub's",
	"kubectl dbt mcp --context staging":        "test/integration, with an agent's client; here there is no other context",
	"kubectl patch cronjob shop-nightly":       "test/docs/manifests, by a dry run: the CronJob is the reader's own",
	"kubectl label namespace dbt-operator-sys": "config/local sets the same label",

	"curl": "test/integration, test/gate and test/oidc ask the same paths",

	"docker": "nothing: it needs a container engine; test/e2e runs an image that hack/cluster makes of the same binaries",
	"cosign": "nothing: it needs a key or an identity to sign with",
	"gcloud": account, "aws": account, "az": account, "databricks": account,
	"pip install": "hack/cluster makes dbt's images of the same versions",
	"dbt build":   "test/e2e runs it on the same project",
	"eval":        shells, "jq": shells, "dot": shells,
}

const (
	levels    = "CI itself: make test and make verify do it, or are it"
	takesAway = "nothing: it takes the operator away that the tests run on; test/packaging uninstalls the chart"
	gate      = "test/docs/manifests, by a dry run: the image is the reader's own; test/gate and test/e2e run the gate"
	account   = "nothing: it needs an account with that provider"
	shells    = "the shell's own, or on every machine"
)

// longest returns the longest key with which a call begins, and what it stands for.
func longest[V any](of map[string]V, call pages.Call) (key string, value V, found bool) {
	line := call.String()
	for k, v := range of {
		if strings.HasPrefix(line, k) && len(k) >= len(key) {
			key, value, found = k, v, true
		}
	}
	return key, value, found
}
