package kube

import (
	"fmt"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Resources of the API, as roles name them.
const (
	Runs      = "dbtruns"
	Schedules = "dbtschedules"
	Projects  = "dbtprojects"
)

// Cluster is an API server as a person sees it. Its methods may be called by many goroutines at once.
type Cluster struct {
	client client.WithWatch
	core   kubernetes.Interface
	clock  clock.WithTicker
	// http and base are for what no client has: the headers of an answer.
	http *http.Client
	base string
}

// Scheme returns the types of this API and of Kubernetes' own.
func Scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			// Types of this program itself: a test would have found it.
			panic(err)
		}
	}
	return s
}

// New returns the API server that a configuration leads to.
func New(cfg *rest.Config, clk clock.WithTicker) (*Cluster, error) {
	wire, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	c, err := client.NewWithWatch(cfg, client.Options{HTTPClient: wire, Scheme: Scheme(), Mapper: mapper()})
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	core, err := kubernetes.NewForConfigAndClient(cfg, wire)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	host, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	return &Cluster{client: c, core: core, clock: clk, http: wire, base: strings.TrimSuffix(host.String(), "/")}, nil
}

// mapper knows the three kinds: to ask the server what kinds there are takes requests, and rights that not everybody has.
func mapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []string{"DbtRun", "DbtSchedule", "DbtProject"} {
		m.Add(v1alpha1.GroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	return m
}
