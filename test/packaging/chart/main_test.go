package chart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	"helm.sh/helm/v4/pkg/action"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"
)

const (
	release   = "dbt-operator"
	namespace = "dbt-operator-system"
)

var (
	root = filepath.Join("..", "..", "..")
	dir  = filepath.Join(root, "charts", "dbt-operator")

	// The one API server of the package, which holds nothing but namespaces, and a client that may do everything on it.
	env        *envtest.Environment
	admin      client.Client
	kubeconfig string
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	stop, err := start()
	defer stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "chart: %v\n", err)
		return 1
	}
	return m.Run()
}

func start() (stop func(), err error) {
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
	env = &envtest.Environment{BinaryAssetsDirectory: assets}
	temp, err := os.MkdirTemp("", "chart-")
	if err != nil {
		return stop, err
	}
	stop = func() { _ = errors.Join(env.Stop(), os.RemoveAll(temp)) }
	config, err := env.Start()
	if err != nil {
		return stop, fmt.Errorf("starting the API server: %w", err)
	}
	config.QPS = -1
	kubeconfig = filepath.Join(temp, "kubeconfig")
	if err := os.WriteFile(kubeconfig, env.KubeConfig, 0o600); err != nil {
		return stop, err
	}
	if admin, err = client.New(config, client.Options{}); err != nil {
		return stop, fmt.Errorf("making a client: %w", err)
	}
	for _, name := range []string{namespace, "team-a", "team-b"} {
		if err := admin.Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return stop, fmt.Errorf("creating namespace %s: %w", name, err)
		}
	}
	return stop, nil
}

// load returns the chart of a folder or an archive.
func load(t *testing.T, path string) *chartv2.Chart {
	t.Helper()
	c, err := loader.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// helm returns Helm's configuration for the API server.
func helm(t *testing.T) *action.Configuration {
	t.Helper()
	flags := genericclioptions.NewConfigFlags(false)
	flags.KubeConfig, flags.Namespace = &kubeconfig, new(string)
	*flags.Namespace = namespace
	config := action.NewConfiguration(action.ConfigurationSetLogger(slog.NewTextHandler(io.Discard, nil)))
	if err := config.Init(flags, namespace, "secret"); err != nil {
		t.Fatal(err)
	}
	return config
}

// values reads values as YAML.
func values(t *testing.T, text string) map[string]any {
	t.Helper()
	out := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// combinations are the values of the chart's ci folder by name, and none.
func combinations(t *testing.T) map[string]map[string]any {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "ci", "*-values.yaml"))
	if err != nil || len(files) < 6 {
		t.Fatalf("%v, %v", files, err)
	}
	out := map[string]map[string]any{"default": {}}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(file)] = values(t, string(content))
	}
	return out
}
