package oidc

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/collector"
	"github.com/dbt-operator/dbt-operator/internal/collector/live"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/store"
	"github.com/dbt-operator/dbt-operator/test/oidc/oidctest"
)

const (
	lineage = `{"lineage":1,"nodes":[{"id":"model.shop.orders","type":"model"}]}`
	logged  = "1 of 1 OK created sql table model orders\n"
)

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

// startCollector starts the operator's collector, with the operator's rights and what it keeps of a run, behind the Service
// that the gate's manifests name.
func startCollector(t *testing.T, run *v1alpha1.DbtRun) {
	t.Helper()
	operator, err := env.AddUser(envtest.User{Name: "system:serviceaccount:" + system + ":manager"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(operator.Config(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := store.Open(t.Context(), "file://"+t.TempDir(), store.OnError(func(err error) { t.Errorf("the store: %v", err) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	keep(t, kept, run)
	dir := t.TempDir()
	if _, err := oidctest.Certify(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")); err != nil {
		t.Fatal(err)
	}
	serving, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	elected := make(chan struct{})
	close(elected)
	served, err := collector.New(collector.Config{
		Clock: clock.RealClock{}, Store: kept, Cache: c, Direct: c, Reviews: c, Elected: elected, Log: logr.Discard(),
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &serving, nil },
		Metrics:     metrics.NewCollector(prometheus.NewRegistry()),
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(reachable(t), "0"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- served.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the collector: %v", err)
		}
	})
	address, _ := listener.Addr().(*net.TCPAddr)
	publish(t, address)
}

// keep lets a pod of the run have reported its log and its lineage.
func keep(t *testing.T, kept *store.Store, run *v1alpha1.DbtRun) {
	t.Helper()
	runs := live.New(live.Config{Clock: clock.RealClock{}, Store: kept, Live: func(int) {}, Failed: func(string, error) {}, Notify: func(string, string) {}})
	defer runs.Close()
	a := live.Attempt{Run: live.Run{Namespace: run.Namespace, Name: run.Name, UID: string(run.UID), Project: "shop"}, Pod: "p", UID: "pod-uid"}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write([]byte(logged))
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := runs.Append(t.Context(), a, journal.StreamLog, 0, zipped.Bytes(), false); err != nil {
		t.Fatalf("keeping a log: %v", err)
	}
	digest := sha256.Sum256([]byte(lineage))
	if _, err := runs.PutArtifact(t.Context(), a, "lineage.json", hex.EncodeToString(digest[:]), strings.NewReader(lineage)); err != nil {
		t.Fatalf("keeping lineage.json: %v", err)
	}
}

// publish makes the Service collector lead to an address.
func publish(t *testing.T, at *net.TCPAddr) {
	t.Helper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "collector"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "https", Port: 9443}}},
	}
	meta := metav1.ObjectMeta{Namespace: system, Name: "collector", Labels: map[string]string{discoveryv1.LabelServiceName: "collector"}}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{at.IP.String()}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: system, Name: "manager"},
		}},
		Ports: []discoveryv1.EndpointPort{{Name: ptr.To("https"), Port: ptr.To(int32(at.Port)), Protocol: ptr.To(corev1.ProtocolTCP)}}, //nolint:gosec // a port
	}
	// The API server proxies to addresses of pods alone.
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "manager"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "manager", Image: "x"}}},
	}
	for _, o := range []client.Object{service, pod, slice} {
		if err := admin.Create(t.Context(), o); err != nil {
			t.Fatalf("publishing the collector: %v", err)
		}
		t.Cleanup(func() { _ = admin.Delete(context.Background(), o) })
	}
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: at.IP.String(), PodIPs: []corev1.PodIP{{IP: at.IP.String()}}}
	if err := admin.Status().Update(t.Context(), pod); err != nil {
		t.Fatalf("giving the manager's pod its address: %v", err)
	}
}

// The whole way: a person, the gate, the API server's proxy, the operator's collector, and back.
func TestTheWholeLineageAndLogComeThroughTheProxy(t *testing.T) {
	g := newGate(t)
	janes := dex.Login(t, jane, audience)
	run := g.creates(janes)
	startCollector(t, run)
	err := oidctest.Await(t.Context(), "the proxy knows the way to the collector", func() error {
		if got := g.do(http.MethodGet, "/runs/"+run.Name+"/log", janes, ""); got.Code != http.StatusOK || string(got.Body) != logged {
			return errors.New(string(got.Body))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got := g.do(http.MethodGet, "/runs/"+run.Name+"/lineage?whole=true", janes, "")
	if got.Code != http.StatusOK || string(got.Body) != lineage || got.Kind != "application/json" {
		t.Errorf("lineage.json: %d %s %s", got.Code, got.Kind, got.Body)
	}
	// Of a run of which nothing is kept, the collector's own answer.
	other := g.creates(janes)
	if got := g.do(http.MethodGet, "/runs/"+other.Name+"/lineage?whole=true", janes, ""); got.Code != http.StatusNotFound {
		t.Errorf("of a run that kept nothing: %d %s", got.Code, got.Body)
	}
	if got := g.do(http.MethodGet, "/runs/"+run.Name+"/log", dex.Login(t, eve, audience), ""); got.Code != http.StatusForbidden || strings.Contains(string(got.Body), "orders") {
		t.Errorf("eve: %d %s", got.Code, got.Body)
	}
}
