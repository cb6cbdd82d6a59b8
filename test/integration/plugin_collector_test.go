package integration

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/collector"
	"github.com/dbt-operator/dbt-operator/internal/collector/live"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/store"
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

// shelf is a collector with what it keeps, behind a Service in a namespace of its own.
type shelf struct {
	*team
	namespace string
	store     *store.Store
}

// newShelf starts a collector with the operator's rights.
func newShelf(x *team) *shelf {
	x.Helper()
	at := reachable(x.T)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "plugin-collector-"}}
	x.ok("namespace", x.admin.Create(x.Context(), ns))
	direct, err := client.New(operator, client.Options{Scheme: scheme})
	x.ok("client", err)
	kept, err := store.Open(x.Context(), "mem://")
	x.ok("store", err)
	x.Cleanup(func() { _ = kept.Close() })
	pages := httptest.NewTLSServer(http.NotFoundHandler())
	serving := pages.TLS.Certificates[0]
	pages.Close()
	elected := make(chan struct{})
	close(elected)
	served, err := collector.New(collector.Config{
		Clock: clock.RealClock{}, Store: kept, Cache: direct, Direct: direct, Reviews: direct, Elected: elected, Log: logr.Discard(),
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &serving, nil },
		Metrics:     metrics.NewCollector(prometheus.NewRegistry()),
	})
	x.ok("collector", err)
	listener, err := (&net.ListenConfig{}).Listen(x.Context(), "tcp", net.JoinHostPort(at, "0"))
	x.ok("listen", err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- served.Serve(ctx, listener) }()
	x.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			x.Errorf("the collector: %v", err)
		}
	})
	address, _ := listener.Addr().(*net.TCPAddr)
	s := &shelf{team: x, namespace: ns.Name, store: kept}
	s.publish(address)
	return s
}

// publish makes the Service collector lead to an address.
func (s *shelf) publish(at *net.TCPAddr) {
	s.Helper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "collector"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "https", Port: 9443}}},
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: s.namespace, Name: "collector", Labels: map[string]string{discoveryv1.LabelServiceName: "collector"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{at.IP.String()}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: s.namespace, Name: "manager"},
		}},
		Ports: []discoveryv1.EndpointPort{{Name: ptr.To("https"), Port: ptr.To(int32(at.Port)), Protocol: ptr.To(corev1.ProtocolTCP)}}, //nolint:gosec // a port
	}
	// The API server proxies to addresses of pods alone.
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "manager"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "manager", Image: "x"}}},
	}
	for _, o := range []client.Object{service, pod, slice} {
		s.ok("publishing the collector", s.admin.Create(s.Context(), o))
	}
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: at.IP.String(), PodIPs: []corev1.PodIP{{IP: at.IP.String()}}}
	s.ok("the manager's address", s.admin.Status().Update(s.Context(), pod))
}

// keep lets a pod of a run have reported entries, a log and artifacts.
func (s *shelf) keep(run *v1alpha1.DbtRun, pod, log string, entries []journal.Entry, artifacts map[string]string) {
	s.Helper()
	runs := live.New(live.Config{Clock: clock.RealClock{}, Store: s.store, Live: func(int) {}, Failed: func(string, error) {}, Notify: func(string, string) {}})
	defer runs.Close()
	a := live.Attempt{Run: live.Run{Namespace: run.Namespace, Name: run.Name, UID: string(run.UID), Project: "shop"}, Pod: pod, UID: "uid-" + pod}
	var zipped, lines bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write([]byte(log))
	s.ok("log", errors.Join(err, z.Close()))
	_, err = runs.Append(s.Context(), a, journal.StreamLog, 0, zipped.Bytes(), false)
	s.ok("log", err)
	for _, e := range entries {
		lines.Write(journal.EncodeEntry(e))
	}
	_, err = runs.Append(s.Context(), a, journal.StreamJournal, 0, lines.Bytes(), false)
	s.ok("journal", err)
	for name, content := range artifacts {
		digest := sha256.Sum256([]byte(content))
		_, err := runs.PutArtifact(s.Context(), a, name, hex.EncodeToString(digest[:]), strings.NewReader(content))
		s.ok(name, err)
		run.Status.Artifacts = append(run.Status.Artifacts, v1alpha1.Artifact{Name: name, Bytes: int64(len(content))})
	}
}

// account logs a ServiceAccount of the team's namespace in, by a token.
func (x *team) account(name string) *person {
	x.Helper()
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: x.ns, Name: name}}
	x.ok("account", x.admin.Create(x.Context(), sa))
	r := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](600)}}
	x.ok("token", x.admin.SubResource("token").Create(x.Context(), sa, r))
	file := clientcmdapi.NewConfig()
	file.Clusters["c"] = &clientcmdapi.Cluster{Server: x.env.Config.Host, CertificateAuthorityData: x.env.Config.CAData}
	file.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: r.Status.Token}
	file.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	file.CurrentContext = "x"
	raw, err := clientcmd.Write(*file)
	x.ok("kubeconfig", err)
	return &person{name: fmt.Sprintf("system:serviceaccount:%s:%s", x.ns, name), kubeconfig: raw}
}
