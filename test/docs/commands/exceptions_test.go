package commands

// exceptions are what calls begin with that nothing here can try, and why. An entry that no page needs is an error.
var exceptions = map[string]string{
	"echo": shells, "eval": shells, "grep": shells, "head": shells, "tail": shells, "jq": shells, "dot": shells,

	"kubectl krew":           "a plugin of its own, which is not here; hack/release has tests of the manifest that it reads",
	"kubectl dbt __complete": "cobra's own, which it adds when it is called; test/integration calls it",

	"docker build": "needs a container engine; test/e2e runs an image that hack/cluster makes of the same binaries",
	"docker push":  "needs a registry",
	"git tag":      "changes the repository that the tests run in; hack/release has its tests",
	"cosign":       "needs a key or an identity to sign with",
	"curl":         "asks a server that the reader has; test/integration, test/gate and test/oidc ask the same paths",

	"gcloud": account, "aws": account, "az": account, "databricks": account,

	"pip install": "changes the machine; the versions are those of the images that test/e2e runs dbt in",
	"dbt build":   "needs dbt on the machine; test/e2e runs it on the same project in a cluster",
}

const (
	shells  = "the shell's own, or on every machine: nothing in it is of this repository"
	account = "needs an account with that provider; docs/warehouses.md says where it was read"
)

// readers are files that pages speak of and that are the reader's own, by page.
var readers = map[string][]string{
	"README.md":               {"nightly.yaml"},
	"docs/security.md":        {"run.yaml"},
	"docs/oidc-transcript.md": {"run.yaml"},
	"docs/install.md":         {"."},
}
