// Package plane is what benchmarks without a kubelet share: an API server and an etcd of their own, the manager's own
// binary on them, and what each process takes. It knows processes; it never knows what is measured.
package plane

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Plane is a control plane with the operator's resources in it, and a client without limits.
type Plane struct {
	client.WithWatch
	env *envtest.Environment
	// Version is the API server's.
	Version string
	// processes play the rest of a cluster, where pods are to be carried out.
	processes []*Process
}

// Start starts kube-apiserver and etcd out of a folder. The working directory is the repository's.
func Start(assets string) (*Plane, error) {
	ctrl.SetLogger(logr.Discard())
	env := &envtest.Environment{BinaryAssetsDirectory: assets, CRDDirectoryPaths: []string{filepath.Join("config", "crd", "bases")}, ErrorIfCRDPathMissing: true}
	config, err := env.Start()
	if err != nil {
		return nil, fmt.Errorf("starting the API server: %w", err)
	}
	config.QPS = -1
	p := &Plane{env: env}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		p.Stop()
		return nil, err
	}
	if p.WithWatch, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		p.Stop()
		return nil, err
	}
	if p.Version, err = version(config); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// version returns the version of an API server.
func version(config *rest.Config) (string, error) {
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return "", err
	}
	v, err := d.ServerVersion()
	if err != nil {
		return "", err
	}
	return v.GitVersion, nil
}

// Stop ends all of it.
func (p *Plane) Stop() {
	for _, each := range p.processes {
		each.Stop()
	}
	_ = p.env.Stop()
}

// Namespace is where benchmarks work.
const Namespace = "default"

// Shop is a project named shop, whose runs do not wait for each other.
func Shop() *v1alpha1.DbtProject {
	project := &v1alpha1.DbtProject{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: Namespace}}
	project.Spec.Image = "registry.example.com/dbt:1.11"
	project.Spec.Source.Image = &v1alpha1.ImageSource{Path: "/dbt"}
	project.Spec.Concurrency = &v1alpha1.Concurrency{Policy: v1alpha1.ConcurrencyAllow}
	return project
}

// CreateShop creates Shop, and the account of its pods, which no controller is there to make.
func (p *Plane) CreateShop(ctx context.Context) error {
	if err := p.Create(ctx, Shop()); err != nil {
		return err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: Namespace}}
	return client.IgnoreAlreadyExists(p.Create(ctx, account))
}

// writers is how many objects Each makes at a time.
const writers = 8

// Each makes n objects, by their numbers from 0, and returns the first error there was.
func Each(n int, one func(i int) error) error {
	var all errgroup.Group
	all.SetLimit(writers)
	for i := range n {
		all.Go(func() error { return one(i) })
	}
	return all.Wait()
}
