package oidc

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/collector/live"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
	"github.com/dbt-operator/dbt-operator/internal/testutil/proxied"
	"github.com/dbt-operator/dbt-operator/test/oidc/oidctest"
)

const (
	lineage = `{"lineage":1,"nodes":[{"id":"model.shop.orders","type":"model"}]}`
	logged  = "1 of 1 OK created sql table model orders\n"
)

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
	proxied.Collector{Operator: c, Admin: admin, Namespace: system, Store: kept, Serving: serving}.Serve(t)
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
