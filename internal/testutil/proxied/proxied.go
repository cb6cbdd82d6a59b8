// Package proxied serves the operator's own collector to tests through an API server's proxy, as a cluster does: on an
// address that the proxy takes, behind a Service. It knows Kubernetes and the collector; it never knows what is kept or who
// asks.
package proxied

import (
	"context"
	"crypto/tls"
	"net"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbt-operator/dbt-operator/internal/collector"
	"github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// Collector is what is served, and where.
type Collector struct {
	// Operator has the operator's rights, Admin those to publish it.
	Operator, Admin client.Client
	// Namespace is the operator's own.
	Namespace string
	Store     *store.Store
	Serving   tls.Certificate
}

// Serve serves the collector until the test ends. It skips the test where the machine has no address that the API server's
// proxy takes.
func (c Collector) Serve(t *testing.T) {
	t.Helper()
	elected := make(chan struct{})
	close(elected)
	served, err := collector.New(collector.Config{
		Clock: clock.RealClock{}, Store: c.Store, Cache: c.Operator, Direct: c.Operator, Reviews: c.Operator, Elected: elected, Log: logr.Discard(),
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c.Serving, nil },
		Metrics:     metrics.NewCollector(prometheus.NewRegistry()),
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(reachable(t), "0"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- served.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the collector: %v", err)
		}
	})
	address, _ := listener.Addr().(*net.TCPAddr)
	c.publish(t, address)
}

// reachable returns an address of this machine that the API server's proxy takes: it refuses loopback ones.
func reachable(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	t.Skip("NOT TESTED: this machine has no address beside its loopback ones, to which the API server does not proxy")
	return ""
}

// publish makes the Service collector lead to an address.
func (c Collector) publish(t *testing.T, at *net.TCPAddr) {
	t.Helper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: "collector"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "https", Port: 9443}}},
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: c.Namespace, Name: "collector", Labels: map[string]string{discoveryv1.LabelServiceName: "collector"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{at.IP.String()}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: c.Namespace, Name: "manager"},
		}},
		Ports: []discoveryv1.EndpointPort{{Name: ptr.To("https"), Port: ptr.To(int32(at.Port)), Protocol: ptr.To(corev1.ProtocolTCP)}}, //nolint:gosec // a port
	}
	// The API server proxies to addresses of pods alone.
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: "manager"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "manager", Image: "x"}}},
	}
	for _, o := range []client.Object{service, pod, slice} {
		if err := c.Admin.Create(t.Context(), o); err != nil {
			t.Fatalf("publishing the collector: %v", err)
		}
		t.Cleanup(func() { _ = c.Admin.Delete(context.Background(), o) })
	}
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: at.IP.String(), PodIPs: []corev1.PodIP{{IP: at.IP.String()}}}
	if err := c.Admin.Status().Update(t.Context(), pod); err != nil {
		t.Fatalf("giving the manager's pod its address: %v", err)
	}
}
