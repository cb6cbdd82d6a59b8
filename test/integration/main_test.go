package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil/manifest"
)

// The one API server of the package, a client that may do everything on it, and the manager's own configuration.
var (
	env      *envtest.Environment
	config   *rest.Config
	scheme   = runtime.NewScheme()
	codecs   = serializer.NewCodecFactory(scheme)
	admin    client.Client
	operator *rest.Config
)

// account is the ServiceAccount that the shipped bindings name.
const account = "system:serviceaccount:dbt-operator-system:manager"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if err := start(); err != nil {
		fmt.Fprintf(os.Stderr, "integration: %v\n", err)
		return 1
	}
	defer func() {
		if err := env.Stop(); err != nil {
			fmt.Fprintf(os.Stderr, "integration: stopping the API server: %v\n", err)
		}
	}()
	return m.Run()
}

func start() error {
	ctrl.SetLogger(logr.Discard())
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(apiextensionsv1.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	root := filepath.Join("..", "..")
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join(root, "bin", "k8s")
	}
	for _, name := range []string{"kube-apiserver", "etcd", "kubectl"} {
		if _, err := os.Stat(filepath.Join(assets, name)); err != nil {
			return fmt.Errorf("%s is not in %s: run 'make test-integration', which builds it, or set KUBEBUILDER_ASSETS to a folder that has it", name, assets)
		}
	}
	env = &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join(root, "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
		Scheme:                scheme,
	}
	var err error
	if config, err = env.Start(); err != nil {
		_ = env.Stop()
		return fmt.Errorf("starting the API server with the CRDs of config/crd/bases: %w", err)
	}
	config.QPS, config.Burst = -1, 0
	if admin, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if err := grant(filepath.Join(root, "config", "rbac")); err != nil {
		return err
	}
	// Every test has the policies of an installation over it.
	return install(context.Background(), server{env, admin}, "policy", true)
}

// grant makes the manager's configuration, and gives it the shipped roles by the shipped bindings.
func grant(dir string) error {
	user, err := env.AddUser(envtest.User{Name: account}, nil)
	if err != nil {
		return fmt.Errorf("adding user %s: %w", account, err)
	}
	operator = user.Config()
	operator.QPS, operator.Burst = -1, 0
	ctx := context.Background()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "dbt-operator-system"}}
	if err := admin.Create(ctx, ns); err != nil {
		return fmt.Errorf("creating namespace %s: %w", ns.Name, err)
	}
	for _, name := range []string{"role.yaml", "role_binding.yaml", "leader_election_role.yaml", "collector_role.yaml", "metrics_auth_role.yaml", "user_roles.yaml"} {
		if err := apply(ctx, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// apply creates every object of a manifest.
func apply(ctx context.Context, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return manifest.Create(ctx, admin, content, path)
}
