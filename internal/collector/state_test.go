package collector

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// keeps puts artifacts of a run, as NAME=CONTENT.
func (w *world) keeps(uid string, artifacts ...string) {
	w.Helper()
	for _, a := range artifacts {
		name, content, _ := strings.Cut(a, "=")
		_, err := w.store.PutArtifact(w.Context(), store.Run{Namespace: "ns", UID: uid}, name, strings.NewReader(content), 1<<20)
		w.ok(err)
	}
}

// pinned makes a run with a pod, whose status names a run as its state, and returns the pod's token.
func (w *world) pinned(name string, state *v1alpha1.StateStatus, change ...func(*v1alpha1.DbtRun)) string {
	w.Helper()
	w.run(name, append(change, func(r *v1alpha1.DbtRun) {
		if r.Spec.State == "" {
			r.Spec.State = v1alpha1.StateAuto
		}
		r.Status.State = state
	})...)
	return w.pod(name, 1)
}

func (w *world) state(token, file string) answered {
	w.Helper()
	return w.do(http.MethodGet, journal.PathState+file, token, nil)
}

func TestStateIsThatOfTheOwnStatus(t *testing.T) {
	w := newWorld(t, nil)
	w.keeps("run-nightly", "manifest.json=the manifest", "run_results-1.json=seed", "run_results-2.json=build", "run_results-2-retry-1.json=retry 1",
		"run_results-2-retry-10.json=retry 10", "run_results-2-retry-9.json=retry 9", "sources.json=sources", "catalog.json=catalog")
	w.keeps("run-bare", "manifest.json=bare")
	nightly := func() *v1alpha1.StateStatus {
		return &v1alpha1.StateStatus{Target: "prod", Run: "nightly", UID: "run-nightly", ManifestDigest: "sha256:" + digestOf("the manifest")}
	}
	other := nightly()
	other.ManifestDigest = "sha256:" + digestOf("another")
	gone := nightly()
	gone.UID = "run-gone"
	ci := w.pinned("ci", nightly())
	bare := w.pinned("bare-ci", &v1alpha1.StateStatus{Run: "bare", UID: "run-bare", ManifestDigest: "sha256:" + digestOf("bare")})
	for _, c := range []struct {
		reason, token, file string
		code                int
		body                string
	}{
		{"the manifest", ci, "manifest.json", 200, "the manifest"},
		{"what the last command left, retries and all", ci, "run_results.json", 200, "retry 10"},
		{"the freshness of sources", ci, "sources.json", 200, "sources"},
		{"no other file", ci, "catalog.json", 404, "a state has no file"},
		{"no path", ci, "../nightly/manifest.json", 404, "a state has no file"},
		{"no query names another run", ci, "manifest.json?run=bare", 200, "the manifest"},
		{"a run that left no results", bare, "run_results.json", 404, "DbtRun bare, whose manifest is the state, has no run_results.json"},
		{"other bytes than those that were pinned", w.pinned("a", other), "manifest.json", 404, "is another now"},
		{"a run whose files were deleted", w.pinned("b", gone), "manifest.json", 404, "has no manifest.json (any more)"},
		{"a status that is not written yet", w.pinned("c", nil), "manifest.json", 503, "does not say yet"},
		{"a run that began without", w.pinned("d", &v1alpha1.StateStatus{Message: "There is none."}), "manifest.json", 404, "There is none."},
		{"a run that does not ask for one", w.pinned("e", nightly(), func(r *v1alpha1.DbtRun) { r.Spec.State = v1alpha1.StateNever }), "manifest.json", 404, "is not Auto"},
		{"no token", "", "manifest.json", 401, ""},
	} {
		if got := w.state(c.token, c.file); got.code != c.code || !strings.Contains(got.body, c.body) {
			t.Errorf("%s: %d %s, want %d %s", c.reason, got.code, got.body, c.code, c.body)
		}
	}
	if got := w.state(ci, "manifest.json"); got.header.Get(journal.HeaderSHA256) != digestOf("the manifest") {
		t.Errorf("digest %q", got.header.Get(journal.HeaderSHA256))
	}
	if got := w.do(http.MethodPut, journal.PathState+"manifest.json", ci, io.LimitReader(strings.NewReader("x"), 1)); got.code != http.StatusMethodNotAllowed {
		t.Errorf("a put: %d %s", got.code, got.body)
	}
}

// A state goes with its run: a pod that comes for it later is told so.
func TestStateGoesWithItsRun(t *testing.T) {
	w := newWorld(t, nil)
	w.keeps("run-nightly", "manifest.json=m")
	token := w.pinned("ci", &v1alpha1.StateStatus{Run: "nightly", UID: "run-nightly", ManifestDigest: "sha256:" + digestOf("m")})
	if got := w.state(token, "manifest.json"); got.code != 200 {
		t.Fatalf("%d %s", got.code, got.body)
	}
	w.ok(w.c.DeleteGone(t.Context(), types.NamespacedName{Namespace: "ns", Name: "nightly"}, "run-nightly"))
	if got := w.state(token, "manifest.json"); got.code != 404 || !strings.Contains(got.body, "it was deleted since") {
		t.Errorf("%d %s", got.code, got.body)
	}
}
