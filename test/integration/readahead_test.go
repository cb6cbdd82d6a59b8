package integration

import (
	"net/http"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// pageAsked says of each request for a page of DbtRuns with which token it came.
type pageAsked struct {
	http.RoundTripper
	tokens chan string
}

func (p pageAsked) RoundTrip(req *http.Request) (*http.Response, error) {
	if query := req.URL.Query(); query.Has("limit") {
		p.tokens <- query.Get("continue")
	}
	return p.RoundTripper.RoundTrip(req)
}

// A real API server says in its answer's end where the next page begins: it is asked for before the caller has done so, and the
// caller gets it.
func TestPagesOfRunsAreReadAhead(t *testing.T) {
	w := newWorld(t)
	w.halt()
	for _, name := range []string{"a", "b", "c"} {
		w.must(admin.Create(t.Context(), testutil.MakeDbtRun(name).Namespace(w.ns).Project("shop").Obj()))
	}
	cfg := rest.CopyConfig(operator)
	cfg.DisableCompression = true
	transport, err := rest.TransportFor(cfg)
	w.must(err)
	asked := pageAsked{transport, make(chan string, 10)}
	reader, err := client.New(cfg, client.Options{Scheme: scheme, HTTPClient: &http.Client{Transport: controller.ReadAhead(asked)}})
	w.must(err)

	token, names := "", ""
	for range 3 {
		page := &v1alpha1.DbtRunList{}
		w.must(reader.List(t.Context(), page, client.InNamespace(w.ns), &client.ListOptions{Limit: 1, Continue: token}))
		for _, run := range page.Items {
			names += run.Name
		}
		if token == "" {
			asked.next(t, "")
		}
		if token = page.Continue; token != "" {
			asked.next(t, token)
		}
	}
	if names != "abc" || token != "" {
		t.Errorf("the pages had runs %q and go on at %q", names, token)
	}
	if left := len(asked.tokens); left != 0 {
		t.Errorf("%d pages were asked for twice", left)
	}
}

// next waits for a request for a page.
func (p pageAsked) next(t *testing.T, token string) {
	t.Helper()
	select {
	case got := <-p.tokens:
		if got != token {
			t.Errorf("the page with token %q was asked for, want %q", got, token)
		}
	case <-time.After(patience):
		t.Fatalf("the page with token %q was not asked for within %s", token, patience)
	}
}
