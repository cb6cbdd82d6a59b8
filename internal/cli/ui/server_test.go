package ui

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/ui/model"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

const (
	hostile = `<script>alert("x")</script>`
	at      = "127.0.0.1:8090"
)

var errNotKept = errors.New("it is not kept")

// one is a Source of one run of which nothing is kept but its log.
type one struct {
	run *v1alpha1.DbtRun
	log string
}

func (o one) Run(_ context.Context, key types.NamespacedName) (*v1alpha1.DbtRun, error) {
	if key.Name != o.run.Name {
		return nil, errors.New("there is no such run")
	}
	return o.run, nil
}

func (o one) Runs(context.Context, string) ([]v1alpha1.DbtRun, error) {
	return []v1alpha1.DbtRun{*o.run}, nil
}

func (o one) Schedules(context.Context, string) ([]v1alpha1.DbtSchedule, error) { return nil, nil }

func (o one) Follow(ctx context.Context, _ string, all func([]v1alpha1.DbtRun) error, changed, gone func(*v1alpha1.DbtRun) error) error {
	return errors.Join(all([]v1alpha1.DbtRun{*o.run}), changed(o.run), gone(o.run), errors.New("user \"ada\" lacks the verb watch"))
}

func (o one) Journal(context.Context, types.NamespacedName) (*journal.State, error) {
	return nil, errNotKept
}

func (o one) Artifact(context.Context, types.NamespacedName, string) (io.ReadCloser, error) {
	return nil, errNotKept
}

func (o one) Log(context.Context, *v1alpha1.DbtRun) (io.ReadCloser, error) {
	if o.log == "" {
		return nil, errNotKept
	}
	return io.NopCloser(strings.NewReader(o.log)), nil
}

func made(t *testing.T, log string) (*Server, http.Handler) {
	t.Helper()
	run := testutil.MakeDbtRun("shop-1").Namespace("a").UID("u").Project("shop").Obj()
	run.Status.Phase = v1alpha1.PhaseFailed
	run.Status.Failures = []v1alpha1.Failure{{UniqueID: "model.shop." + hostile, Status: "error", Message: hostile}}
	run.Status.Lineage = &v1alpha1.Lineage{Graph: []v1alpha1.LineageNode{{ID: "model.shop." + hostile}, {ID: "model.shop.b", DependsOn: []string{"model.shop." + hostile}}}}
	run.Status.Log = &v1alpha1.Log{Tail: "the last line"}
	s, err := New(Config{Source: one{run, log}, Namespace: "a", Version: "test", Clock: testingclock.NewFakeClock(time.Unix(1_700_000_000, 0))})
	if err != nil {
		t.Fatal(err)
	}
	address, err := net.ResolveTCPAddr("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	return s, s.guarded(address)
}

func ask(t *testing.T, h http.Handler, path string, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+at+path, nil)
	change(r)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestWhoIsAnswered(t *testing.T) {
	t.Parallel()
	s, h := made(t, "")
	another, _ := made(t, "")
	token := func(r *http.Request) { r.Header.Set(HeaderToken, s.token) }
	tests := map[string]struct {
		reason string
		path   string
		change func(*http.Request)
		want   int
	}{
		"Token":          {"the page itself", "/api/about", token, http.StatusOK},
		"NoToken":        {"another user of this machine", "/api/about", func(*http.Request) {}, http.StatusUnauthorized},
		"AnotherToken":   {"a page of another server, or a guess", "/api/about", func(r *http.Request) { r.Header.Set(HeaderToken, another.token) }, http.StatusUnauthorized},
		"TokenInAddress": {"what is in an address gets into logs", "/api/about?token=" + s.token, func(*http.Request) {}, http.StatusUnauthorized},
		"AnotherName":    {"a page that points its own name here (DNS rebinding)", "/api/about", func(r *http.Request) { token(r); r.Host = "evil.example:8090" }, http.StatusForbidden},
		"AnotherPort":    {"a page of another server on this machine", "/", func(r *http.Request) { r.Host = "127.0.0.1:9" }, http.StatusForbidden},
		"Localhost":      {"the same machine by its other name", "/", func(r *http.Request) { r.Host = "localhost:8090" }, http.StatusOK},
		"AnotherSite": {"a script of another page", "/api/about", func(r *http.Request) {
			token(r)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Sec-Fetch-Mode", "cors")
		}, http.StatusForbidden},
		"Embedded": {"an image or script of another page on this machine", "/app.js", func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "same-site")
			r.Header.Set("Sec-Fetch-Mode", "no-cors")
		}, http.StatusForbidden},
		"Link": {"somebody follows a link from a chat to the first page", "/", func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Sec-Fetch-Mode", "navigate")
		}, http.StatusOK},
		"Post":     {"nothing is changed here", "/api/about", func(r *http.Request) { token(r); r.Method = http.MethodPost }, http.StatusMethodNotAllowed},
		"NoFile":   {"there is no such file", "/server.go", func(*http.Request) {}, http.StatusNotFound},
		"NotAPage": {"the list of what others made is no page", "/vendor/vendor.txt", func(*http.Request) {}, http.StatusNotFound},
		"Module":   {"a module of the pages", "/vendor/cytoscape.esm.min.mjs", func(*http.Request) {}, http.StatusOK},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := ask(t, h, test.path, test.change)
			if w.Code != test.want {
				t.Errorf("%s: code %d, want %d", test.reason, w.Code, test.want)
			}
			if got := w.Header().Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'; script-src 'self'") {
				t.Errorf("the policy is %q", got)
			}
		})
	}
}

func TestAnswersWhenNothingIsKept(t *testing.T) {
	t.Parallel()
	s, h := made(t, "")
	get := func(path string, into any) {
		t.Helper()
		w := ask(t, h, path, func(r *http.Request) { r.Header.Set(HeaderToken, s.token) })
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
			t.Fatalf("%s: code %d, %s: %s", path, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		if strings.Contains(w.Body.String(), "<") {
			t.Errorf("%s has markup as it is: %s", path, w.Body)
		}
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Fatal(err)
		}
	}
	var timeline model.Timeline
	if get("/api/runs/a/shop-1/timeline", &timeline); len(timeline.Notes) != 1 || len(timeline.Bars) != 0 {
		t.Errorf("timeline: %+v", timeline)
	}
	var graph model.Graph
	if get("/api/runs/a/shop-1/lineage", &graph); len(graph.Nodes) != 2 || len(graph.Edges) != 1 || graph.Nodes[0].Class != model.ClassError || len(graph.Notes) != 1 {
		t.Errorf("lineage: %+v", graph)
	}
	var failures model.Failures
	if get("/api/runs/a/shop-1/failures", &failures); len(failures.Nodes) != 1 || failures.Nodes[0].Message != hostile || len(failures.Notes) != 1 {
		t.Errorf("failures: %+v", failures)
	}
	var log model.Log
	if get("/api/runs/a/shop-1/log", &log); len(log.Lines) != 1 || log.Lines[0].Text != "the last line" || len(log.Notes) != 1 {
		t.Errorf("log: %+v", log)
	}
	var page model.Page
	if get("/api/runs/a/shop-1", &page); page.Project != "shop" || page.Phase != "Failed" {
		t.Errorf("page: %+v", page)
	}
	var none map[string]string
	w := ask(t, h, "/api/runs/a/shop-2", func(r *http.Request) { r.Header.Set(HeaderToken, s.token) })
	if err := json.Unmarshal(w.Body.Bytes(), &none); err != nil || w.Code != http.StatusBadGateway || none["error"] != "there is no such run" {
		t.Errorf("a run that is not there: code %d, %v", w.Code, none)
	}
}

// What a pod printed is data, in whichever way it comes.
func TestLogIsData(t *testing.T) {
	t.Parallel()
	s, h := made(t, "first\n\x1b[31m"+hostile+"\x1b[0m\n")
	w := ask(t, h, "/api/runs/a/shop-1/log?q=SCRIPT", func(r *http.Request) { r.Header.Set(HeaderToken, s.token) })
	if strings.Contains(w.Body.String(), "<script") {
		t.Errorf("the answer has markup as it is: %s", w.Body)
	}
	var log model.Log
	if err := json.Unmarshal(w.Body.Bytes(), &log); err != nil || len(log.Lines) != 1 || log.Lines[0].Text != hostile || log.Lines[0].Number != 2 || log.Total != 2 {
		t.Errorf("log: %+v (%v)", log, err)
	}
}

func TestLive(t *testing.T) {
	t.Parallel()
	s, h := made(t, "")
	w := ask(t, h, "/api/live", func(r *http.Request) { r.Header.Set(HeaderToken, s.token) })
	var events []string
	in := bufio.NewScanner(w.Body)
	for in.Scan() {
		if name, ok := strings.CutPrefix(in.Text(), "event: "); ok {
			events = append(events, name)
		}
	}
	if got := strings.Join(events, " "); got != "runs run gone problem" {
		t.Errorf("the events are %s", got)
	}
	if got := w.Header().Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("they are of type %s", got)
	}
}
