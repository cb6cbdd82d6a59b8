package manifests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

const group = "dbtoperator.dev/v1alpha1"

var (
	root = filepath.Join("..", "..", "..")

	// The one API server of the package, a client that may do everything on it, and the same for kubectl.
	env        *envtest.Environment
	admin      client.Client
	kubeconfig string
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	stop, err := start(context.Background())
	defer stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "manifests: %v\n", err)
		return 1
	}
	return m.Run()
}

func start(ctx context.Context) (stop func(), err error) {
	stop = func() {}
	ctrl.SetLogger(logr.Discard())
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join(root, "bin", "k8s")
	}
	for _, name := range []string{"kube-apiserver", "etcd", "kubectl"} {
		if _, err := os.Stat(filepath.Join(assets, name)); err != nil {
			return stop, fmt.Errorf("%s is not in %s: run 'make test-integration', which builds it, or set KUBEBUILDER_ASSETS to a folder that has it", name, assets)
		}
	}
	env = &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join(root, "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	temp, err := os.MkdirTemp("", "manifests-")
	if err != nil {
		return stop, err
	}
	stop = func() { _ = errors.Join(env.Stop(), os.RemoveAll(temp)) }
	config, err := env.Start()
	if err != nil {
		return stop, fmt.Errorf("starting the API server with the CRDs of config/crd/bases: %w", err)
	}
	config.QPS = -1
	kubeconfig = filepath.Join(temp, "kubeconfig")
	if err := os.WriteFile(kubeconfig, env.KubeConfig, 0o600); err != nil {
		return stop, err
	}
	if admin, err = client.New(config, client.Options{}); err != nil {
		return stop, fmt.Errorf("making a client: %w", err)
	}
	// Those that pages speak of.
	for _, name := range []string{"dbt-operator-system", "team-a"} {
		if err := admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return stop, fmt.Errorf("creating namespace %s: %w", name, err)
		}
	}
	if _, said, err := kubectl(ctx, "apply", "-k", filepath.Join(root, "config", "policy")); err != nil {
		return stop, fmt.Errorf("applying config/policy: %w: %s", err, said)
	}
	return stop, inForce(ctx, config)
}

// inForce waits until the API server serves the kinds, and the policies refuse who has not logged in, which nothing else does.
func inForce(ctx context.Context, config *rest.Config) error {
	config = rest.CopyConfig(config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:anonymous", Groups: []string{"system:masters"}}
	nobody, err := client.New(config, client.Options{})
	if err != nil {
		return err
	}
	for _, kind := range []string{"DbtProject", "DbtRun", "DbtSchedule"} {
		object := &unstructured.Unstructured{Object: base(kind)}
		err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			if err := admin.Create(ctx, object.DeepCopy(), client.DryRunAll); err != nil {
				return false, nil //nolint:nilerr // asked again
			}
			return apierrors.IsForbidden(nobody.Create(ctx, object.DeepCopy(), client.DryRunAll)), nil
		})
		if err != nil {
			return fmt.Errorf("waiting for the policy of %ss: %w", kind, err)
		}
	}
	return nil
}

// kubectl runs kubectl from the repository's root as whoever may do everything.
func kubectl(ctx context.Context, args ...string) (out, said string, err error) {
	binary, err := filepath.Abs(filepath.Join(env.BinaryAssetsDirectory, "kubectl"))
	if err != nil {
		return "", "", err
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// base returns the least object of a kind that is taken.
func base(kind string) map[string]any {
	spec := map[string]map[string]any{
		"DbtProject": {"source": map[string]any{"configMap": map[string]any{"name": "shop-source"}}, "image": "registry.example.com/dbt:1.11"},
		"DbtRun":     {"projectRef": map[string]any{"name": "shop"}, "commands": []any{"dbt build"}},
		"DbtSchedule": {
			"schedule":    "0 6 * * *",
			"runTemplate": map[string]any{"spec": map[string]any{"projectRef": map[string]any{"name": "shop"}, "commands": []any{"dbt build"}}},
		},
	}[kind]
	return map[string]any{
		"apiVersion": group, "kind": kind, "metadata": map[string]any{"name": "of-a-page", "namespace": "default"}, "spec": spec,
	}
}
