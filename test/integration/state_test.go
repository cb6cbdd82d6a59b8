package integration

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/collector"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/controller/dbtrun"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/ship"
	"github.com/dbt-operator/dbt-operator/internal/store"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// keeping is a world whose manager has a collector. Its pods' runners are played: they report, and leave a manifest that
// says which run made it.
type keeping struct {
	*world
	endpoint *plan.Collector
}

// kept is the collector as the DbtRun controller has it.
type kept struct {
	*collector.Collector
	endpoint *plan.Collector
	deleted  func(types.NamespacedName, types.UID)
}

func (k *kept) Endpoint() *plan.Collector { return k.endpoint }

func (k *kept) Deleted(run types.NamespacedName, uid types.UID) { k.deleted(run, uid) }

func newKeeping(t *testing.T) *keeping {
	t.Helper()
	w := newWorld(t)
	w.halt()
	scope := controller.Scope{Namespaces: []string{w.ns}, Keeps: true}
	mgr := bareManager(t, w.wire, scope)
	s, err := store.Open(t.Context(), "mem://")
	w.must(err)
	t.Cleanup(func() { _ = s.Close() })
	elected := make(chan struct{})
	close(elected)
	var runs *dbtrun.Reconciler
	c, err := collector.New(collector.Config{
		Clock: clock.RealClock{}, Store: s, Cache: mgr.GetClient(), Direct: mgr.GetAPIReader(), Reviews: mgr.GetClient(), Elected: elected,
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.ErrUnsupported }, Metrics: metrics.NewCollector(prometheus.NewRegistry()), Log: logr.Discard(),
		Notify: func(run types.NamespacedName) { runs.Wake(run) },
	})
	w.must(err)
	server := httptest.NewTLSServer(c)
	t.Cleanup(server.Close)
	k := &keeping{w, &plan.Collector{URL: server.URL, CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))}}
	runs = addControllers(t, mgr, w.clock, scope, &kept{c, k.endpoint, func(run types.NamespacedName, uid types.UID) {
		if err := c.DeleteGone(context.Background(), run, uid); err != nil {
			t.Error(err)
		}
	}})
	w.stop = w.serve(mgr)
	// It ends before the store that it deletes from.
	t.Cleanup(func() { w.halt() })
	w.must(admin.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "jaffle"}}))
	return k
}

// shop is a project in git with target prod.
func (k *keeping) shop() *v1alpha1.DbtProject {
	k.Helper()
	p := testutil.MakeDbtProject("shop").Git("https://git.example.com/shop.git").Target("prod")
	p.Spec.ServiceAccountName = "jaffle"
	return k.project(p)
}

// speaks returns the client of a pod's runner.
func (k *keeping) speaks(pod *corev1.Pod) *ship.Client {
	k.Helper()
	token := filepath.Join(k.TempDir(), "token")
	k.must(os.WriteFile(token, []byte(k.token("jaffle", pod, journal.Audience)), 0o600))
	c, err := ship.NewClient(ship.Config{URL: k.endpoint.URL, CA: k.endpoint.CA, Token: token})
	k.must(err)
	return c
}

// manifestOf is what a run leaves.
func manifestOf(run *v1alpha1.DbtRun) string {
	return `{"of": "` + run.Name + " " + string(run.UID) + `"}`
}

// reports has a pod's runner report everything to the collector, from the run's begin to an end.
func (k *keeping) reports(run *v1alpha1.DbtRun, pod *corev1.Pod, outcome journal.Outcome) {
	k.Helper()
	c := k.speaks(pod)
	ctx, cancel := context.WithTimeout(k.Context(), patience)
	defer cancel()
	stream := ship.NewStream(c, journal.StreamJournal, k.TempDir(), 0)
	stream.Start(ctx, 0)
	for _, e := range []journal.Entry{
		{Kind: journal.KindBegin, Pod: pod.Name}, {Kind: journal.KindSource, Source: strings.Repeat("a", 40)}, {Kind: journal.KindCommand, Line: "dbt build"},
		{Kind: journal.KindCommandEnd, Outcome: outcome}, {Kind: journal.KindEnd, Report: journal.Encode(journal.Report{RunUID: string(run.UID), Outcome: outcome}, journal.MaxEndReport)},
	} {
		stream.Append(journal.EncodeEntry(e), e.Kind == journal.KindEnd)
	}
	k.must(stream.Drain(ctx))
	path := filepath.Join(k.TempDir(), "manifest.json")
	k.must(os.WriteFile(path, []byte(manifestOf(run)), 0o600))
	_, err := c.Put(ctx, "manifest.json", path)
	k.must(err)
	k.must(c.Done(ctx))
}

// ends plays a run's pod from its start to an end, and returns the run once its files are known.
func (k *keeping) ends(run *v1alpha1.DbtRun, outcome journal.Outcome) *v1alpha1.DbtRun {
	k.Helper()
	job, pod := k.begun(run)
	k.reports(run, pod, outcome)
	k.kubelet.End(pod, testutil.Exit{Code: int32(outcome.ExitCode()), Message: said(run, outcome)})
	if outcome == journal.Succeeded {
		k.kubelet.CompleteJob(job)
	} else {
		k.kubelet.FailJob(job, "PodFailurePolicy", "dbt failed")
	}
	return k.is(run, "its files", func(r *v1alpha1.DbtRun) bool { return r.Status.Phase.Finished() && len(r.Status.Artifacts) > 0 })
}

// gets begins a run, and returns the manifest that its pod gets as state, or what the status says of why it gets none.
func (k *keeping) gets(r *testutil.RunWrapper) string {
	k.Helper()
	run := k.run(r)
	_, pod := k.begun(run)
	run = k.get(run)
	path := filepath.Join(k.TempDir(), "state.json")
	ctx, cancel := context.WithTimeout(k.Context(), patience)
	defer cancel()
	digest, err := k.speaks(pod).State(ctx, journal.StateManifest, path)
	if s := run.Status.State; s != nil && s.Run == "" {
		if !errors.Is(err, ship.ErrGone) {
			k.Errorf("run %s has no state, and its pod gets: %v", run.Name, err)
		}
		return s.Message
	}
	k.must(err)
	if digest != run.Status.State.ManifestDigest {
		k.Errorf("run %s gets %s, and %s was pinned", run.Name, digest, run.Status.State.ManifestDigest)
	}
	b, err := os.ReadFile(path)
	k.must(err)
	return string(b)
}

func (k *keeping) remembers(project *v1alpha1.DbtProject, target, run string) {
	k.Helper()
	testutil.Eventually(k, "DbtProject "+project.Name+" remembers "+run, patience, func() (bool, string) {
		k.clock.step(time.Second) // the pace of its status
		fresh := &v1alpha1.DbtProject{}
		k.must(admin.Get(k.Context(), client.ObjectKeyFromObject(project), fresh))
		found := ""
		for _, g := range fresh.Status.LastGood {
			found += g.Target + "=" + g.Run + " "
			if g.Target == target && g.Run == run && g.ManifestDigest != "" {
				return true, ""
			}
		}
		return false, found
	})
}

func dbtRun(name string) *testutil.RunWrapper { return testutil.MakeDbtRun(name).Project("shop") }

// ci is a run of a target of its own with the state of prod. Each is of another target, so that none waits for another.
func ci(name string) *testutil.RunWrapper { return dbtRun(name).Target(name).State("prod") }

// A run gets the manifest of the last good run of the target it asks for, and never another.
func TestNoStaleStateIsEverUsed(t *testing.T) {
	k := newKeeping(t)
	shop := k.shop()
	if got, want := k.gets(ci("first")), "No run of DbtProject shop has built with target prod and succeeded yet."; got != want {
		t.Errorf("before anything was built: %s", got)
	}
	if got := k.reaches(k.run(ci("needs").Command("dbt build -s state:modified+")), v1alpha1.ReasonStateNotFound); got.Status.Job != nil || !strings.Contains(got.Status.Message, "run the project once with target prod") {
		t.Errorf("%+v", got.Status)
	}
	one := k.ends(k.run(dbtRun("one")), journal.Succeeded)
	if got := k.gets(ci("after-one")); got != manifestOf(one) {
		t.Errorf("after the first good run: %s", got)
	}
	k.remembers(shop, "prod", "one")

	k.ends(k.run(dbtRun("failed")), journal.NodesFailed)
	k.ends(k.run(dbtRun("pull-request").Revision("refs/pull/1/head")), journal.Succeeded)
	k.ends(k.run(dbtRun("staging").Target("staging")), journal.Succeeded)
	k.ends(k.run(dbtRun("parsed").Command("dbt parse")), journal.Succeeded)
	if got := k.gets(ci("after-others")); got != manifestOf(one) {
		t.Errorf("after a failed run, one of a pull request, one of another target and one that built nothing: %s", got)
	}

	two := k.ends(k.run(dbtRun("two")), journal.Succeeded)
	if got := k.gets(ci("after-two")); got != manifestOf(two) {
		t.Errorf("after the second good run: %s", got)
	}
	k.remembers(shop, "prod", "two")
	k.must(admin.Delete(t.Context(), two))
	k.gone(two)
	if got, want := k.gets(ci("after-deletion")), "DbtRun two, the last good run with target prod, was deleted, and its manifest with it."; got != want {
		t.Errorf("after the last good run was deleted: %s", got)
	}
	k.kubelet.Delete(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: k.ns, Name: "two-1"}})
	// A run of that name is another run.
	again := k.ends(k.run(dbtRun("two")), journal.Succeeded)
	if got := k.gets(ci("after-two-again")); got != manifestOf(again) {
		t.Errorf("after another run of the name: %s", got)
	}
	k.remembers(shop, "prod", "two")

	url := shop.DeepCopy()
	k.must(admin.Get(t.Context(), client.ObjectKeyFromObject(url), url))
	base := url.DeepCopy()
	url.Spec.Source.Git.Ref = &v1alpha1.GitRef{Branch: "release"}
	k.must(admin.Patch(t.Context(), url, client.MergeFrom(base)))
	k.seen(url)
	if got := k.gets(ci("after-deploy")); got != manifestOf(again) {
		t.Errorf("after a deploy, which the state is to show: %s", got)
	}
	base = url.DeepCopy()
	url.Spec.Source.Git.URL = "https://git.example.com/bank.git"
	k.must(admin.Patch(t.Context(), url, client.MergeFrom(base)))
	k.seen(url)
	if got, want := k.gets(ci("after-move")), "DbtRun two, the last good run with target prod, was of another source than spec.source of DbtProject shop is now."; got != want {
		t.Errorf("after the project moved to another repository: %s", got)
	}

	k.must(admin.Delete(t.Context(), shop))
	k.gone(shop)
	k.seen(k.shop())
	if got, want := k.gets(ci("after-renewal")), "No run of DbtProject shop has built with target prod and succeeded yet."; got != want {
		t.Errorf("after the project was made anew: %s", got)
	}
}

// seen waits until the operator has seen a project as it is.
func (k *keeping) seen(project *v1alpha1.DbtProject) {
	k.Helper()
	testutil.Eventually(k, "DbtProject "+project.Name+" was seen", patience, func() (bool, string) {
		k.clock.step(time.Second)
		fresh := &v1alpha1.DbtProject{}
		k.must(admin.Get(k.Context(), client.ObjectKeyFromObject(project), fresh))
		return fresh.Status.ObservedGeneration == fresh.Generation, ""
	})
}
