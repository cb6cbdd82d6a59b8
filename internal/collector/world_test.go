package collector

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/collector/cert"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/store"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// reviews plays the API server's part: a pod's token is "pod:NAME:UID", a person's "user:NAME". Anything else is not valid.
type reviews struct {
	mu  sync.Mutex
	may []string // "USER NAMESPACE/NAME"
	err error
}

func (a *reviews) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return a.err
	}
	switch r := o.(type) {
	case *authenticationv1.TokenReview:
		kind, rest, _ := strings.Cut(r.Spec.Token, ":")
		pod := slices.Contains(r.Spec.Audiences, journal.Audience)
		switch {
		case kind == "pod" && pod:
			name, uid, _ := strings.Cut(rest, ":")
			r.Status = authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: r.Spec.Audiences, User: authenticationv1.UserInfo{
				Username: "system:serviceaccount:ns:jaffle",
				Extra:    map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/pod-name": {name}, "authentication.kubernetes.io/pod-uid": {uid}},
			}}
		case kind == "user" && !pod:
			r.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: rest}}
		default:
			r.Status.Error = "invalid bearer token"
		}
	case *authorizationv1.SubjectAccessReview:
		at := r.Spec.ResourceAttributes
		r.Status.Allowed = slices.Contains(a.may, r.Spec.User+" "+at.Namespace+"/"+at.Name)
	}
	return nil
}

// faulty is a store that fails when it is told to, and waits when it is told to.
type faulty struct {
	Store
	mu   sync.Mutex
	err  error
	wait chan struct{}
	// cut is after how many bytes of an artifact or a stream reading fails, 0 for never.
	cut int64
	// undeletable is the UID of a run that cannot be deleted.
	undeletable string
}

func (f *faulty) DeleteRun(ctx context.Context, run store.Run) error {
	if run.UID == f.undeletable {
		return store.ErrStore
	}
	return f.Store.DeleteRun(ctx, run)
}

func (f *faulty) Artifact(ctx context.Context, of store.Owner, name string) (io.ReadCloser, store.Artifact, error) {
	in, a, err := f.Store.Artifact(ctx, of, name)
	if err != nil || f.cut == 0 {
		return in, a, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(in, f.cut), iotest.ErrReader(store.ErrStore)), in}, a, nil
}

func (f *faulty) Read(ctx context.Context, run store.Run, stream, part string) (io.ReadCloser, error) {
	in, err := f.Store.Read(ctx, run, stream, part)
	if err != nil || f.cut == 0 {
		return in, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(in, f.cut), iotest.ErrReader(store.ErrStore)), in}, nil
}

func (f *faulty) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *faulty) before(ctx context.Context) error {
	f.mu.Lock()
	err, wait := f.err, f.wait
	f.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return fmt.Errorf("waiting: %w: %w", store.ErrStore, ctx.Err())
		}
	}
	return err
}

func (f *faulty) Append(ctx context.Context, run store.Run, stream, part string, offset int64, b []byte) (int64, error) {
	if err := f.before(ctx); err != nil {
		return 0, err
	}
	return f.Store.Append(ctx, run, stream, part, offset, b)
}

func (f *faulty) PutArtifact(ctx context.Context, of store.Owner, name string, r io.Reader, limit int64) (store.Artifact, error) {
	if err := f.before(ctx); err != nil {
		return store.Artifact{}, err
	}
	return f.Store.PutArtifact(ctx, of, name, r, limit)
}

// world is a collector that serves, and a cluster around it. A run NAME has pods NAME-1, NAME-2, … with UIDs pod-NAME-1, ….
type world struct {
	testing.TB
	clock     *testingclock.FakeClock
	objects   client.WithWatch
	reviews   *reviews
	store     *faulty
	elected   chan struct{}
	c         *Collector
	metrics   *prometheus.Registry
	told      chan types.NamespacedName
	url       string
	http      *http.Client
	stop      func()
	change    func(*Collector)
	configure func(*Config)
	certs     *cert.Keeper
}

func scheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(s), v1alpha1.AddToScheme(s)); err != nil {
		t.Fatal(err)
	}
	return s
}

// newWorld starts a collector that leads, over a store in memory. change may change it before it serves.
func newWorld(t testing.TB, change func(*Collector)) *world {
	t.Helper()
	s, err := store.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w := &world{
		TB: t, change: change, store: &faulty{Store: s}, reviews: &reviews{}, elected: make(chan struct{}),
		// Deadlines of connections are by the real time.
		clock:   testingclock.NewFakeClock(time.Now().Truncate(time.Second)),
		objects: fake.NewClientBuilder().WithScheme(scheme(t)).WithStatusSubresource(&v1alpha1.DbtRun{}).Build(),
		told:    make(chan types.NamespacedName, 10000),
	}
	close(w.elected)
	w.certs, err = cert.NewKeeper(cert.Config{
		Clock: w.clock, Reader: w.objects, Writer: w.objects, Log: logr.Discard(),
		Secret: types.NamespacedName{Namespace: "system", Name: "cert"}, Names: []string{"127.0.0.1"},
	})
	w.ok(err)
	w.ok(w.certs.Ensure(t.Context()))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(w.certs.Bundle()))
	w.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 300, ExpectContinueTimeout: time.Minute, DisableCompression: true}}
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

// start starts a new process over the same store.
func (w *world) start() {
	w.Helper()
	w.metrics = prometheus.NewRegistry()
	config := Config{
		Clock: w.clock, Store: w.store, Cache: w.objects, Direct: w.objects, Reviews: w.reviews, Elected: w.elected,
		Certificate: w.certs.GetCertificate, Metrics: metrics.NewCollector(w.metrics), Log: logr.Discard(),
		Notify: func(run types.NamespacedName) { w.told <- run },
	}
	if w.configure != nil {
		w.configure(&config)
	}
	c, err := New(config)
	w.ok(err)
	w.c = c
	if w.change != nil {
		w.change(w.c)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.ok(err)
	w.url = "https://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Serve(ctx, listener) }()
	w.stop = sync.OnceFunc(func() {
		w.http.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
	})
}

// restart ends the process and starts another.
func (w *world) restart() {
	w.Helper()
	w.stop()
	w.start()
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func by(apiVersion, kind string, o metav1.Object) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: o.GetName(), UID: o.GetUID(), Controller: ptr.To(true)}}
}

// run makes a DbtRun and its Job.
func (w *world) run(name string, change ...func(*v1alpha1.DbtRun)) *v1alpha1.DbtRun {
	w.Helper()
	run := testutil.MakeDbtRun(name).Namespace("ns").UID("run-" + name).Project("shop").Obj()
	for _, f := range change {
		f(run)
	}
	w.ok(w.objects.Create(w.Context(), run))
	job := jobOf(name)
	job.OwnerReferences = by(v1alpha1.GroupVersion.String(), "DbtRun", run)
	w.ok(w.objects.Create(w.Context(), job))
	return run
}

func jobOf(run string) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job-" + run, UID: types.UID("job-" + run)}}
}

// pod makes the nth pod of a run and returns its token.
func (w *world) pod(run string, n int) (token string) {
	w.Helper()
	name := fmt.Sprintf("%s-%d", run, n)
	job := jobOf(run)
	w.ok(w.objects.Create(w.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: name, UID: types.UID("pod-" + name), OwnerReferences: by("batch/v1", "Job", job),
	}}))
	return "pod:" + name + ":pod-" + name
}

// over records that a run is over.
func (w *world) over(name string, phase v1alpha1.Phase, reason string, at time.Time) {
	w.Helper()
	run := &v1alpha1.DbtRun{}
	w.ok(w.objects.Get(w.Context(), types.NamespacedName{Namespace: "ns", Name: name}, run))
	run.Status = testutil.MakeDbtRun(name).Truth(phase, metav1.ConditionFalse, reason, "").Completed(at).Status
	w.ok(w.objects.Status().Update(w.Context(), run))
}

// answered is an answer.
type answered struct {
	code   int
	header http.Header
	body   string
	// last says that the connection is closed after it.
	last  bool
	proto int
}

func (a answered) decode(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		t.Fatalf("answer %d %q: %v", a.code, a.body, err)
	}
}

func (w *world) do(method, path, token string, body io.Reader, header ...string) answered {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.url+path, body)
	w.ok(err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := w.http.Do(r)
	w.ok(err)
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	w.ok(err)
	return answered{resp.StatusCode, resp.Header, string(b), resp.Close, resp.ProtoMajor}
}

func (w *world) append(token, stream string, offset int64, b []byte) answered {
	w.Helper()
	return w.do(http.MethodPost, fmt.Sprintf("%s%s?offset=%d", journal.PathStreams, stream, offset), token, bytes.NewReader(b))
}

// says appends entries and returns where the journal ends.
func (w *world) says(token string, offset int64, es ...journal.Entry) int64 {
	w.Helper()
	a := w.append(token, journal.StreamJournal, offset, lines(es...))
	if a.code != http.StatusOK {
		w.Fatalf("an append was answered %d %s", a.code, a.body)
	}
	var reply journal.StreamReply
	a.decode(w, &reply)
	return reply.Offset
}

func (w *world) put(token, name, body string) answered {
	w.Helper()
	return w.do(http.MethodPut, journal.PathArtifacts+name, token, strings.NewReader(body), journal.HeaderSHA256, digestOf(body))
}

func digestOf(s string) string {
	d := sha256.Sum256([]byte(s))
	return hex.EncodeToString(d[:])
}

func lines(es ...journal.Entry) []byte {
	var b []byte
	for _, e := range es {
		b = append(b, journal.EncodeEntry(e)...)
	}
	return b
}

func (w *world) kept(run string) *journal.Kept {
	w.Helper()
	k, err := w.c.Kept(w.Context(), types.NamespacedName{Namespace: "ns", Name: run}, types.UID("run-"+run))
	w.ok(err)
	return k
}

// counter returns the sum of a metric's values with these label values.
func (w *world) counter(name string, labels ...string) float64 {
	w.Helper()
	families, err := w.metrics.Gather()
	w.ok(err)
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			has := 0
			for _, l := range m.GetLabel() {
				if slices.Contains(labels, l.GetValue()) {
					has++
				}
			}
			if has == len(labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

var (
	begins  = journal.Entry{Kind: journal.KindBegin}
	command = journal.Entry{Kind: journal.KindCommand, Line: "dbt build"}
)

func end(o journal.Outcome) journal.Entry {
	return journal.Entry{Kind: journal.KindEnd, At: 9, Report: journal.Encode(journal.Report{Outcome: o}, 1000)}
}

func result(id string) journal.Entry {
	return journal.Entry{Kind: journal.KindResult, Node: &journal.Node{ID: id, Status: "success"}}
}
