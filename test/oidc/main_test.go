package oidc

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
	"github.com/dbt-operator/dbt-operator/internal/testutil/manifest"
	"github.com/dbt-operator/dbt-operator/test/oidc/oidctest"
)

const (
	root = "../.."
	// team is the namespace of runs that the gate's manifests name, gateNamespace the gate's own, system the operator's.
	team          = "team-a"
	gateNamespace = "dbt-gate"
	system        = "dbt-operator-system"
)

// The one provider and the one API server of the package, and a client that may do everything on it.
var (
	scheme = runtime.NewScheme()
	dex    *oidctest.Provider
	env    *envtest.Environment
	admin  client.Client
	assets string
	// auditLog is the API server's, of who created runs.
	auditLog string
	// unmet says what the tests need and is not there; then they are skipped.
	unmet string
	// fastapi is the one gate of the package; without Python it is nil, and noGate says so.
	fastapi *oidctest.Gate
	noGate  string
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "oidc-")
	if err != nil {
		fmt.Fprintf(os.Stderr, "oidc: %v\n", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	defer stop()
	if err := start(ctx, dir); err != nil {
		fmt.Fprintf(os.Stderr, "oidc: %v\n", err)
		return 1
	}
	code := m.Run()
	// Not when a test was chosen by name that says nothing to the gate.
	if code == 0 && fastapi != nil && flag.Lookup("test.run").Value.String() == "" {
		if err := logIsClean(fastapi.Process.Output()); err != nil {
			fmt.Fprintf(os.Stderr, "oidc: %v\n", err)
			return 1
		}
	}
	return code
}

func start(ctx context.Context, dir string) error {
	ctrl.SetLogger(logr.Discard())
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	if assets = os.Getenv("KUBEBUILDER_ASSETS"); assets == "" {
		assets = filepath.Join(root, "bin", "k8s")
	}
	for tool, how := range map[string]string{
		filepath.Join(assets, "kube-apiserver"):      "make test-gate builds it",
		filepath.Join(assets, "kubectl"):             "make test-gate builds it",
		filepath.Join(root, "config", "policy"):      "it is part of the repository",
		filepath.Join(root, "examples/fastapi-gate"): "it is part of the repository",
	} {
		if _, err := os.Stat(tool); err != nil {
			unmet = fmt.Sprintf("NOT TESTED: %s is not there: %s", tool, how)
			return nil
		}
	}
	if unmet = oidctest.Unmet(); unmet != "" {
		return nil
	}
	var err error
	if dex, err = oidctest.StartProvider(ctx, dir); err != nil {
		return err
	}
	if err := startAPIServer(ctx, dir); err != nil {
		return err
	}
	if err := install(ctx); err != nil {
		return err
	}
	token, err := oidctest.GateToken(ctx, admin, gateNamespace)
	if err != nil {
		return err
	}
	fastapi, noGate, err = oidctest.StartGate(ctx, dir, oidctest.GateConfig{
		Provider: dex, Namespace: team, APIServer: env.Config.Host, CA: env.Config.CAData, Token: token,
	})
	return err
}

func stop() {
	if fastapi != nil {
		fastapi.Process.Stop()
	}
	if env != nil {
		if err := env.Stop(); err != nil {
			fmt.Fprintf(os.Stderr, "oidc: stopping the API server: %v\n", err)
		}
	}
	if dex != nil {
		dex.Process.Stop()
	}
}

// startAPIServer starts an API server that takes the provider's tokens, by the configuration that docs/oidc.md explains.
func startAPIServer(ctx context.Context, dir string) error {
	configuration, err := authentication()
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "authentication.yaml")
	if err := os.WriteFile(file, configuration, 0o600); err != nil {
		return err
	}
	env = &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join(root, "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
		Scheme:                scheme,
		// Other tests may keep the machine busy.
		ControlPlaneStartTimeout: 2 * time.Minute,
	}
	auditLog = filepath.Join(dir, "audit.log")
	env.ControlPlane.GetAPIServer().Configure().Set("authentication-config", file).
		Set("audit-policy-file", filepath.Join("testdata", "audit.yaml")).Set("audit-log-path", auditLog)
	config, err := env.Start()
	if err != nil {
		return fmt.Errorf("starting the API server: %w", err)
	}
	config.QPS, config.Burst = -1, 0
	admin, err = client.New(config, client.Options{Scheme: scheme})
	return err
}

// authentication returns the API server's configuration for the provider.
func authentication() ([]byte, error) {
	tmpl, err := template.ParseFiles(filepath.Join("testdata", "authentication.yaml"))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = tmpl.Execute(&out, map[string]string{
		"Issuer": dex.Issuer, "Audience": audience, "CA": strings.ReplaceAll(strings.TrimSpace(string(dex.CA)), "\n", "\n        "),
	})
	return out.Bytes(), err
}

// install installs what an administrator does: roles, policies, the team's namespace with its project and bindings, and
// the gate's manifests.
func install(ctx context.Context) error {
	for _, name := range []string{team, system, elsewhere} {
		if err := admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return fmt.Errorf("creating namespace %s: %w", name, err)
		}
	}
	for _, file := range []string{"config/rbac/role.yaml", "config/rbac/role_binding.yaml", "config/rbac/user_roles.yaml", "test/oidc/testdata/team.yaml"} {
		content, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return err
		}
		if err := manifest.Create(ctx, admin, content, file); err != nil {
			return err
		}
	}
	for _, folder := range []string{"config/policy", "examples/fastapi-gate/deploy"} {
		content, err := exec.CommandContext(ctx, filepath.Join(assets, "kubectl"), "kustomize", filepath.Join(root, folder)).Output()
		if err != nil {
			return fmt.Errorf("building %s: %w", folder, err)
		}
		if err := manifest.Create(ctx, admin, content, folder); err != nil {
			return err
		}
	}
	// The API server tells of new kinds a moment after they were installed.
	err := oidctest.Await(ctx, "DbtProject shop is created", func() error {
		return admin.Create(ctx, testutil.MakeDbtProject("shop").Namespace(team).Obj())
	})
	if err != nil {
		return err
	}
	return policiesAreInForce(ctx)
}

// policiesAreInForce returns when a run is stamped, and nobody's run is refused: the API server takes policies up a moment
// after they were created.
func policiesAreInForce(ctx context.Context) error {
	config := rest.CopyConfig(env.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:anonymous", Groups: []string{"system:masters"}}
	nobody, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	return oidctest.Await(ctx, "the policies are in force", func() error {
		probe := testutil.MakeDbtRun("probe").Namespace(team).Project("shop").Obj()
		if err := nobody.Create(ctx, probe.DeepCopy(), client.DryRunAll); err == nil {
			return errors.New("a run of nobody's is taken")
		}
		if err := admin.Create(ctx, probe, client.DryRunAll); err != nil || probe.Spec.RequestedBy == nil {
			return fmt.Errorf("a run is not stamped: %w", err)
		}
		return nil
	})
}
