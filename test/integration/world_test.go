package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/controller/dbtproject"
	"github.com/dbt-operator/dbt-operator/internal/controller/dbtrun"
	"github.com/dbt-operator/dbt-operator/internal/controller/dbtschedule"
	"github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

const patience = 20 * time.Second

// world is a namespace with a manager of its own, which has the shipped roles and nothing else.
type world struct {
	*testing.T
	ns      string
	clock   *shifted
	wire    *wire
	kubelet *testutil.Kubelet
	stop    context.CancelFunc
}

// newWorld makes a namespace and starts a manager for it.
func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	w := &world{T: t, clock: &shifted{}, wire: &wire{}, kubelet: &testutil.Kubelet{T: t, Client: admin}}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "w-"}}
	if err := admin.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	w.ns = ns.Name
	w.start()
	t.Cleanup(func() { w.halt() })
	return w
}

// start starts a manager; halt stops it as a process ends.
func (w *world) start() {
	w.Helper()
	w.stop = w.serve(makeManager(w.T, w.wire, w.clock, controller.Scope{Namespaces: []string{w.ns}}))
}

// serve starts a manager, and returns what stops it and waits for its end.
func (w *world) serve(mgr ctrl.Manager) (stop func()) {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := mgr.Start(ctx); err != nil {
			w.Errorf("manager: %v", err)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func (w *world) halt() { w.stop() }

// makeManager makes a manager as cmd/manager does, under the shipped roles.
func makeManager(t testing.TB, over *wire, clk *shifted, scope controller.Scope, change ...func(*ctrl.Options)) ctrl.Manager {
	t.Helper()
	mgr := bareManager(t, over, scope, change...)
	addControllers(t, mgr, clk, scope, nil)
	return mgr
}

// bareManager makes a manager without controllers.
func bareManager(t testing.TB, over *wire, scope controller.Scope, change ...func(*ctrl.Options)) ctrl.Manager {
	t.Helper()
	cfg := rest.CopyConfig(operator)
	cfg.Wrap(over.wrap)
	opts := ctrl.Options{
		Scheme: scheme, Cache: controller.CacheOptions(scope, time.Now),
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: ptr.To(true)},
	}
	for _, c := range change {
		c(&opts)
	}
	mgr, err := ctrl.NewManager(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	return mgr
}

// addControllers adds the controllers as cmd/manager does; results is nil where there is no collector.
func addControllers(t testing.TB, mgr ctrl.Manager, clk *shifted, scope controller.Scope, results dbtrun.Results) *dbtrun.Reconciler {
	t.Helper()
	runs := dbtrun.New(clk, mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder("dbt-operator"),
		metrics.NewRuns(prometheus.NewRegistry(), clk.Now),
		runjob.Options{OperatorImage: "registry.example.com/dbt-operator:1", Delivery: runjob.DeliverByInitContainer}, results, scope.Shard)
	if err := runs.SetupWithManager(context.Background(), mgr, 4); err != nil {
		t.Fatal(err)
	}
	if err := dbtproject.New(clk, mgr.GetClient(), scope).SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	schedules := dbtschedule.New(clk, mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder("dbt-operator"), metrics.NewSchedules(prometheus.NewRegistry(), clk.Now))
	if err := schedules.SetupWithManager(context.Background(), mgr, 4); err != nil {
		t.Fatal(err)
	}
	return runs
}

// shifted is the real clock, moved by a test.
type shifted struct {
	mu sync.Mutex
	by time.Duration
}

func (c *shifted) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.by)
}

func (c *shifted) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func (c *shifted) step(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by += by
}

// wire sees every request of a manager, and may answer in the API server's place.
type wire struct {
	mu     sync.Mutex
	writes []string
	// reads are GET requests by what they ask for and where, as "list /api/v1/pods", without a number of each.
	reads map[string]int
	// fault answers a request, or returns nil to let it pass; applied says that the request is carried out all the same.
	fault func(*http.Request) (status int, applied bool)
	// watches are the bodies of the watches under way; while cut is set there are none.
	watches []io.Closer
	cut     bool
}

// cutWatches ends every watch under way, and refuses others until mend.
func (w *wire) cutWatches() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for _, body := range w.watches {
		_ = body.Close()
	}
	w.watches = nil
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
}

// watched remembers the body of a watch, and reports whether there may be one.
func (w *wire) watched(resp *http.Response) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		return false
	}
	w.watches = append(w.watches, resp.Body)
	return true
}

func (w *wire) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		status, applied := w.see(req)
		if status == 0 || applied {
			resp, err := next.RoundTrip(req)
			if err == nil && req.URL.Query().Has("watch") && !w.watched(resp) {
				_ = resp.Body.Close()
				return nil, errors.New("injected: the watch is cut")
			}
			if status == 0 || err != nil {
				return resp, err
			}
			_ = resp.Body.Close()
		}
		body := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,"message":"injected"}`,
			status, map[int]metav1.StatusReason{403: metav1.StatusReasonForbidden, 409: metav1.StatusReasonConflict, 429: metav1.StatusReasonTooManyRequests, 503: metav1.StatusReasonServiceUnavailable}[status])
		return &http.Response{
			StatusCode: status, Status: http.StatusText(status), Request: req, ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{"Content-Type": {"application/json"}}, Body: readCloser{strings.NewReader(body)}, ContentLength: int64(len(body)),
		}, nil
	})
}

func (w *wire) see(req *http.Request) (int, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if req.Method == http.MethodGet {
		if w.reads == nil {
			w.reads = map[string]int{}
		}
		w.reads[verb(req)+" "+req.URL.Path]++
		return 0, false
	}
	w.writes = append(w.writes, req.Method+" "+req.URL.Path+" "+body(req))
	if w.fault != nil {
		return w.fault(req)
	}
	return 0, false
}

// verb names what a GET request does. One object is of a collection whose name comes before its own.
func verb(req *http.Request) string {
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	under := slices.Index(parts, "namespaces") + 2 // what follows a namespace's name
	switch {
	case req.URL.Query().Has("watch"):
		return "watch"
	case under > 1 && len(parts) == under+1:
		return "list"
	case under > 1 && len(parts) == under+2:
		return "get"
	}
	return "other"
}

// seen returns the reads so far.
func (w *wire) seen() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.reads)
}

// body returns the start of a patch, for messages.
func body(req *http.Request) string {
	if req.Method != http.MethodPatch || req.GetBody == nil {
		return ""
	}
	r, err := req.GetBody()
	if err != nil {
		return err.Error()
	}
	defer r.Close() //nolint:errcheck // it is in memory
	b, err := io.ReadAll(io.LimitReader(r, 1000))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (w *wire) inject(fault func(*http.Request) (int, bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = fault
}

// count returns the writes that are no events.
func (w *wire) count() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, s := range w.writes {
		if !strings.Contains(s, "/events") && !strings.Contains(s, "/dbtprojects/") {
			out = append(out, s)
		}
	}
	return out
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// project creates a DbtProject.
func (w *world) project(p *testutil.ProjectWrapper) *v1alpha1.DbtProject {
	w.Helper()
	obj := p.Namespace(w.ns).Obj()
	w.must(admin.Create(w.Context(), obj))
	return obj
}

// run creates a DbtRun.
func (w *world) run(r *testutil.RunWrapper) *v1alpha1.DbtRun {
	w.Helper()
	obj := r.Namespace(w.ns).Obj()
	w.must(admin.Create(w.Context(), obj))
	return obj
}

// edit changes a DbtRun as a user does.
func (w *world) edit(run *v1alpha1.DbtRun, change func(*v1alpha1.DbtRun)) {
	w.Helper()
	fresh := w.get(run)
	base := fresh.DeepCopy()
	change(fresh)
	w.must(admin.Patch(w.Context(), fresh, client.MergeFrom(base)))
}

// touch makes the operator look at a run again.
func (w *world) touch(run *v1alpha1.DbtRun) {
	w.Helper()
	w.edit(run, func(r *v1alpha1.DbtRun) {
		metav1.SetMetaDataAnnotation(&r.ObjectMeta, "example.com/touched", w.clock.Now().Format(time.RFC3339Nano))
	})
}

func (w *world) get(run *v1alpha1.DbtRun) *v1alpha1.DbtRun {
	w.Helper()
	fresh := &v1alpha1.DbtRun{}
	w.must(admin.Get(w.Context(), client.ObjectKeyFromObject(run), fresh))
	return fresh
}

// reaches waits until the run's Succeeded condition has the reason, and returns the run.
func (w *world) reaches(run *v1alpha1.DbtRun, reason string) *v1alpha1.DbtRun {
	w.Helper()
	return w.is(run, "reason "+reason, func(r *v1alpha1.DbtRun) bool {
		_, found := conditions.Succeeded(r.Status.Conditions)
		return found == reason
	})
}

// says waits until the run's message holds a text, and returns the run.
func (w *world) says(run *v1alpha1.DbtRun, part string) *v1alpha1.DbtRun {
	w.Helper()
	return w.is(run, fmt.Sprintf("message %q", part), func(r *v1alpha1.DbtRun) bool { return strings.Contains(r.Status.Message, part) })
}

func (w *world) is(run *v1alpha1.DbtRun, what string, ok func(*v1alpha1.DbtRun) bool) *v1alpha1.DbtRun {
	w.Helper()
	fresh := &v1alpha1.DbtRun{}
	testutil.Eventually(w, "run "+run.Name+" has "+what, patience, func() (bool, string) {
		if err := admin.Get(w.Context(), client.ObjectKeyFromObject(run), fresh); err != nil {
			return false, err.Error()
		}
		found := fresh.DeepCopy()
		found.ManagedFields = nil
		text, _ := yaml.Marshal(found)
		return ok(fresh), string(text) + "\nwrites: " + strings.Join(w.wire.count(), "\n")
	})
	return fresh
}

// job waits for the run's Job, known to its status, and returns it.
func (w *world) job(run *v1alpha1.DbtRun) *batchv1.Job {
	w.Helper()
	run = w.is(run, "a Job", func(r *v1alpha1.DbtRun) bool { return r.Status.Job != nil })
	job := &batchv1.Job{}
	w.must(admin.Get(w.Context(), client.ObjectKey{Namespace: w.ns, Name: run.Status.Job.Name}, job))
	return job
}

// begun waits for the run's Job and starts its first pod.
func (w *world) begun(run *v1alpha1.DbtRun) (*batchv1.Job, *corev1.Pod) {
	w.Helper()
	job := w.job(run)
	pod := w.kubelet.Pod(job, run.Name+"-1")
	w.kubelet.Schedule(pod, "node-1")
	w.kubelet.Start(pod)
	w.reaches(run, v1alpha1.ReasonRunning)
	return job, pod
}

// stopped plays what happens when the operator deletes a Job: its pod is told to stop, ends, and both go.
func (w *world) stopped(job *batchv1.Job, pods ...*corev1.Pod) {
	w.Helper()
	testutil.Eventually(w, "Job "+job.Name+" is being deleted", patience, func() (bool, string) {
		err := admin.Get(w.Context(), client.ObjectKeyFromObject(job), job)
		return err == nil && !job.DeletionTimestamp.IsZero(), fmt.Sprint(err)
	})
	for _, p := range pods {
		w.kubelet.End(p, testutil.Exit{Code: 21})
		w.kubelet.Delete(p)
	}
	w.kubelet.Collect(job)
}

func (w *world) events(run *v1alpha1.DbtRun) []corev1.Event {
	w.Helper()
	var list corev1.EventList
	w.must(admin.List(w.Context(), &list, client.InNamespace(w.ns), client.MatchingFields{"involvedObject.uid": string(run.UID)}))
	return list.Items
}

func (w *world) gone(object client.Object) {
	w.Helper()
	testutil.Eventually(w, object.GetName()+" is gone", patience, func() (bool, string) {
		err := admin.Get(w.Context(), client.ObjectKeyFromObject(object), object)
		return apierrors.IsNotFound(err), fmt.Sprint(err)
	})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}
