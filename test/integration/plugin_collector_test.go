package integration

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/collector/live"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
	"github.com/dbt-operator/dbt-operator/internal/testutil/proxied"
)

// shelf is a collector with what it keeps, behind a Service in a namespace of its own.
type shelf struct {
	*team
	namespace string
	store     *store.Store
}

// newShelf starts a collector with the operator's rights.
func newShelf(x *team) *shelf {
	x.Helper()
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
	proxied.Collector{Operator: direct, Admin: x.admin, Namespace: ns.Name, Store: kept, Serving: serving}.Serve(x.T)
	return &shelf{team: x, namespace: ns.Name, store: kept}
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
