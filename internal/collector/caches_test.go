package collector

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

var cacheName = "parse-" + digestOf("the key")

// project makes a DbtProject.
func (w *world) project(name string, generation int64) *v1alpha1.DbtProject {
	w.Helper()
	p := testutil.MakeDbtProject(name).Obj()
	p.Namespace, p.UID, p.Generation = "ns", types.UID("project-"+name), generation
	w.ok(w.objects.Create(w.Context(), p))
	return p
}

// of makes a run of a generation of a project, and returns the token of its pod.
func (w *world) of(name, project string, generation int64, change ...func(*v1alpha1.DbtRun)) string {
	w.Helper()
	run := w.run(name, append(change, func(r *v1alpha1.DbtRun) { r.Spec.ProjectRef = &v1alpha1.ProjectReference{Name: project} })...)
	run.Status.Project = &v1alpha1.ProjectStatus{Name: project, Generation: generation, UID: types.UID("project-" + project)}
	w.ok(w.objects.Status().Update(w.Context(), run))
	return w.pod(name, 1)
}

// ofUID makes a run of a project with a UID, and returns the token of its pod.
func (w *world) ofUID(name, project, uid, job string) string {
	w.Helper()
	token := w.of(name, project, 2)
	run := &v1alpha1.DbtRun{}
	w.ok(w.objects.Get(w.Context(), types.NamespacedName{Namespace: "ns", Name: name}, run))
	run.Status.Project.UID = types.UID(uid)
	if job != "" {
		run.Status.Job = &v1alpha1.JobReference{Name: job, UID: types.UID(job)}
	}
	w.ok(w.objects.Status().Update(w.Context(), run))
	return token
}

func (w *world) putCache(token, name, body string) answered {
	w.Helper()
	return w.do(http.MethodPut, journal.PathCaches+name, token, strings.NewReader(body), journal.HeaderSHA256, digestOf(body))
}

func (w *world) getCache(token, name string) answered {
	w.Helper()
	return w.do(http.MethodGet, journal.PathCaches+name, token, nil)
}

func TestCachesOfAProject(t *testing.T) {
	w := newWorld(t, nil)
	w.project("shop", 2)
	w.project("bank", 2)
	ofRevision := func(r *v1alpha1.DbtRun) { r.Spec.Revision = "refs/pull/12/head" }
	writer, reader := w.of("writer", "shop", 2), w.of("reader", "shop", 2)
	fork := w.of("fork", "shop", 2, ofRevision)
	if a := w.getCache(reader, cacheName); a.code != http.StatusNotFound {
		t.Errorf("none was put: %d %s", a.code, a.body)
	}
	if a := w.putCache(fork, cacheName, "forged"); a.code != http.StatusConflict || !strings.Contains(a.body, "spec.revision") {
		t.Errorf("a run of a revision of its own puts one: %d %s", a.code, a.body)
	}
	if a := w.putCache(writer, cacheName, "manifest"); a.code != http.StatusOK || w.counter("dbtoperator_collector_received_bytes_total", "cache") != 8 {
		t.Fatalf("put: %d %s", a.code, a.body)
	}
	again, early, older := w.ofUID("again", "shop", "project-first", "job-again"), w.ofUID("early", "shop", "", ""), w.ofUID("older", "shop", "", "job-older")
	for _, c := range []struct {
		reason, token string
		code          int
		body          string
	}{
		{"one of a project that had the name before", again, http.StatusNotFound, "it has UID project-shop, the run is of project-first"},
		{"one whose status does not say of which", early, http.StatusServiceUnavailable, "does not say yet what it was made of"},
		{"one whose Job never said of which", older, http.StatusNotFound, "it has UID project-shop, the run is of "},
		{"another run of the project", reader, http.StatusOK, "manifest"},
		{"one of a revision of its own", fork, http.StatusOK, "manifest"},
		{"one of another project", w.of("other", "bank", 2), http.StatusNotFound, "has no cache"},
		{"one made of the spec before", w.of("before", "shop", 1), http.StatusNotFound, "it has generation 2, the run is of 1"},
		{"one of a project that is gone", w.of("gone", "nowhere", 2), http.StatusNotFound, "is not there any more"},
		{"one with an inline project", w.pod(w.run("inline", func(r *v1alpha1.DbtRun) {
			r.Spec.ProjectRef, r.Spec.Project = nil, &testutil.MakeDbtProject("x").Spec
		}).Name, 1), http.StatusNotFound, "inline project"},
	} {
		if a := w.getCache(c.token, cacheName); a.code != c.code || !strings.Contains(a.body, c.body) {
			t.Errorf("%s: %d %s, want %d %s", c.reason, a.code, a.body, c.code, c.body)
		}
	}
	if a := w.putCache(w.of("late", "shop", 1), cacheName, "stale"); a.code != http.StatusNotFound {
		t.Errorf("a run that was made of the spec before puts one: %d %s", a.code, a.body)
	}
	for token, code := range map[string]int{again: http.StatusNotFound, early: http.StatusServiceUnavailable, older: http.StatusNotFound} {
		if a := w.putCache(token, cacheName, "poison"); a.code != code {
			t.Errorf("%s puts one: %d %s, want %d", token, a.code, a.body, code)
		}
	}
	if a := w.getCache(reader, cacheName); a.body != "manifest" {
		t.Errorf("what the project has now: %d %s", a.code, a.body)
	}
	if a := w.do(http.MethodGet, journal.PathCaches+"manifest.json", reader, nil); a.code != http.StatusBadRequest {
		t.Errorf("a bad name: %d %s", a.code, a.body)
	}
	if a := w.do(http.MethodPut, journal.PathCaches+cacheName, writer, strings.NewReader("half"), journal.HeaderSHA256, digestOf("whole")); a.code != http.StatusBadRequest {
		t.Errorf("a body with another digest: %d %s", a.code, a.body)
	}
}

func TestARunThatIsOverPutsNoCache(t *testing.T) {
	w := newWorld(t, nil)
	w.project("shop", 1)
	token := w.of("over", "shop", 1)
	run := &v1alpha1.DbtRun{}
	w.ok(w.objects.Get(w.Context(), types.NamespacedName{Namespace: "ns", Name: "over"}, run))
	run.Status.Phase = v1alpha1.PhaseFailed
	w.ok(w.objects.Status().Update(w.Context(), run))
	if a := w.putCache(token, cacheName, "manifest"); a.code != http.StatusForbidden {
		t.Errorf("%d %s", a.code, a.body)
	}
}

// projects returns the UIDs of the projects of which something is kept.
func (w *world) projects() string {
	w.Helper()
	var uids []string
	w.ok(w.store.Projects(w.Context(), func(p store.Project, _ time.Time) error {
		uids = append(uids, p.UID)
		return nil
	}))
	return strings.Join(uids, " ")
}

func TestCachesGoWithTheirProject(t *testing.T) {
	w := newWorld(t, nil)
	shop := w.project("shop", 1)
	w.putCache(w.of("a", "shop", 1), cacheName, "manifest")
	w.sweep(2 * time.Hour)
	if got := w.projects(); got != "project-shop" {
		t.Fatalf("with the project there: kept of %q", got)
	}
	w.ok(w.objects.Delete(w.Context(), shop))
	// A project that the cache alone does not know, as one of another shard.
	direct := w.c.config.Direct
	w.c.config.Direct = listsProject{direct, *shop}
	w.sweep(time.Hour)
	if got := w.projects(); got != "project-shop" {
		t.Fatalf("with the project known to the API server: kept of %q", got)
	}
	w.c.config.Direct = direct
	w.sweep(time.Hour)
	if got := w.projects(); got != "" {
		t.Errorf("with the project gone: kept of %q", got)
	}
}

// listsProject lists one DbtProject.
type listsProject struct {
	client.Reader
	project v1alpha1.DbtProject
}

func (l listsProject) List(ctx context.Context, list client.ObjectList, how ...client.ListOption) error {
	if projects, ok := list.(*v1alpha1.DbtProjectList); ok {
		projects.Items = []v1alpha1.DbtProject{l.project}
		return nil
	}
	return l.Reader.List(ctx, list, how...)
}
