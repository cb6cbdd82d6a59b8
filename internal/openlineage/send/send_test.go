package send_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/openlineage"
	"github.com/dbt-operator/dbt-operator/internal/openlineage/send"
	"github.com/dbt-operator/dbt-operator/internal/outbox"
	"github.com/dbt-operator/dbt-operator/internal/testutil/olschema"
)

var (
	begun = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
	ended = begun.Add(time.Hour)
	key   = outbox.Key{Namespace: "shop", Name: "a", UID: "5b0c5a1e-6f0a-4a0e-9d4c-2f6f1a2b3c4d"}
)

// endpoint is an OpenLineage receiver: it checks and remembers what it gets.
type endpoint struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	got    []string // "TYPE job" of each event it took
	// answer returns the status for the nth request, from 0; nil answers 201 to all.
	answer   func(n int) int
	requests int
	heads    []http.Header
}

func newEndpoint(t *testing.T, answer func(int) int) *endpoint {
	t.Helper()
	check := olschema.New(t)
	e := &endpoint{answer: answer}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		status := http.StatusCreated
		if e.answer != nil {
			status = e.answer(e.requests)
		}
		e.requests++
		e.heads = append(e.heads, r.Header)
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = check.Check(body)
		}
		if err != nil {
			t.Errorf("not valid: %v\n%s", err, body)
		}
		if r.Method != http.MethodPost || r.URL.Path != "/api/v1/lineage" {
			t.Errorf("%s %s", r.Method, r.URL.Path)
		}
		if status/100 == 2 {
			var event openlineage.Event
			_ = json.Unmarshal(body, &event)
			e.got = append(e.got, string(event.Type)+" "+event.Job.Name)
			e.bodies = append(e.bodies, string(body))
		}
		if status/100 == 3 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "as told")
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) taken() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.got...)
}

// world holds a run and its mark: what outlives the process.
type world struct {
	mu      sync.Mutex
	known   send.Known
	err     error
	marks   map[outbox.Key]string
	markErr error
}

func (w *world) Known(context.Context, outbox.Key) (send.Known, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known, w.err
}

func (w *world) Get(_ context.Context, k outbox.Key) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return []byte(w.marks[k]), w.markErr
}

func (w *world) Set(_ context.Context, k outbox.Key, b []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.marks[k] = string(b)
	return w.markErr
}

func (w *world) mark() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.marks[key]
}

func newWorld(outcome openlineage.Type, entries ...journal.Entry) *world {
	var lines strings.Builder
	for _, e := range entries {
		lines.Write(journal.EncodeEntry(e))
	}
	w := &world{marks: map[outbox.Key]string{}}
	w.known = send.Known{
		Run: openlineage.Run{Namespace: "shop", Name: "a", UID: key.UID, Project: "shop", Start: begun},
		Journal: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(lines.String())), nil
		},
	}
	if outcome != "" {
		w.known.Run.End, w.known.Run.Outcome = ended, outcome
	}
	return w
}

func node(kind journal.Kind, id, status string) journal.Entry {
	return journal.Entry{Kind: kind, At: begun.UnixMilli(), Node: &journal.Node{ID: id, ResourceType: "model", Status: status, Start: begun.UnixMilli(), End: begun.UnixMilli() + 1}}
}

func sender(t *testing.T, e *endpoint, w *world, change func(*send.Config)) *send.Sender {
	t.Helper()
	u, err := url.Parse(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := send.Config{URL: u, Source: w, Marks: w, Now: func() time.Time { return ended }, After: func(time.Duration) <-chan time.Time {
		return nil
	}}
	if change != nil {
		change(&c)
	}
	return send.New(c)
}

func TestSync(t *testing.T) {
	tests := map[string]struct {
		reason string
		world  *world
		want   []string
	}{
		"Started": {"START goes out when the run starts", newWorld(""), []string{"START dbtproject/shop"}},
		"Success": {
			"all in order", newWorld(openlineage.Complete, node(journal.KindStart, "model.s.a", ""), node(journal.KindResult, "model.s.a", "success")),
			[]string{"START dbtproject/shop", "START dbtproject/shop/model.s.a", "COMPLETE dbtproject/shop/model.s.a", "COMPLETE dbtproject/shop"},
		},
		"Failure": {
			"all in order", newWorld(openlineage.Fail, node(journal.KindResult, "model.s.a", "error")),
			[]string{"START dbtproject/shop", "START dbtproject/shop/model.s.a", "FAIL dbtproject/shop/model.s.a", "FAIL dbtproject/shop"},
		},
		"Killed": {
			"what was cut off ends too", newWorld(openlineage.Fail, node(journal.KindStart, "model.s.a", "")),
			[]string{"START dbtproject/shop", "START dbtproject/shop/model.s.a", "ABORT dbtproject/shop/model.s.a", "FAIL dbtproject/shop"},
		},
		"Cancelled": {"so does the run", newWorld(openlineage.Abort), []string{"START dbtproject/shop", "ABORT dbtproject/shop"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			for range 2 {
				// The second one is another process: nothing is due any more.
				if err := sender(t, e, tc.world, nil).Sync(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tc.want, e.taken()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestSyncGoesOnWhereItStopped(t *testing.T) {
	var entries []journal.Entry
	for i := range 100 {
		entries = append(entries, node(journal.KindResult, fmt.Sprintf("model.s.m%03d", i), "success"))
	}
	w := newWorld("", entries...)
	// START; then the run ends; the endpoint goes away after 120 events, and after 30 more.
	down := map[int]bool{121: true, 152: true}
	e := newEndpoint(t, func(n int) int {
		if down[n] {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	if err := sender(t, e, w, nil).Sync(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	w.known.Run.End, w.known.Run.Outcome = ended, openlineage.Complete
	failed := 0
	for range 4 {
		if err := sender(t, e, w, nil).Sync(t.Context(), key); err != nil {
			failed++
		}
	}
	if failed != 2 || len(e.got) != 202 {
		t.Errorf("failed %d times, %d events taken; want 2 and 202: none twice, since each try ended in order", failed, len(e.got))
	}
	seen := map[string]bool{}
	for _, body := range e.bodies {
		if seen[body] {
			t.Errorf("twice: %s", body)
		}
		seen[body] = true
	}
}

// A process that is killed keeps no mark: what it sent since the last one is sent again, the same byte for byte.
func TestSyncAfterAKillRepeatsTheSame(t *testing.T) {
	var entries []journal.Entry
	for i := range 60 {
		entries = append(entries, node(journal.KindResult, fmt.Sprintf("model.s.m%03d", i), "success"))
	}
	w := newWorld(openlineage.Complete, entries...)
	var kept string
	e := newEndpoint(t, func(n int) int {
		if n == 80 {
			kept = w.mark()
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	if err := sender(t, e, w, nil).Sync(t.Context(), key); err == nil {
		t.Fatal("want an error: the endpoint went away")
	}
	w.marks[key] = kept // what was kept on the way, not at the end
	if err := sender(t, e, w, nil).Sync(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for _, body := range e.bodies {
		times[body]++
	}
	if len(times) != 122 || len(e.bodies) != 122+30 {
		t.Errorf("%d different events, %d in all; want 122, and the 30 since the last mark again", len(times), len(e.bodies))
	}
}

func TestSyncSendsAllAgainWhenTheRunChanged(t *testing.T) {
	w := newWorld(openlineage.Complete, node(journal.KindResult, "model.s.a", "success"))
	e := newEndpoint(t, func(n int) int { return []int{200, 200, 503, 200, 200, 200, 200}[n] })
	if err := sender(t, e, w, nil).Sync(t.Context(), key); err == nil {
		t.Fatal("want an error")
	}
	w.known.Journal = newWorld("", node(journal.KindResult, "model.s.b", "success")).known.Journal
	if err := sender(t, e, w, nil).Sync(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"START dbtproject/shop", "START dbtproject/shop/model.s.a",
		"START dbtproject/shop", "START dbtproject/shop/model.s.b", "COMPLETE dbtproject/shop/model.s.b", "COMPLETE dbtproject/shop",
	}
	if diff := cmp.Diff(want, e.taken()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSyncOfAnswers(t *testing.T) {
	tests := map[string]struct {
		reason string
		status int
		err    string
		count  send.Result
		taken  int
	}{
		"BadRequest":   {"one event that is refused does not keep back the others", 400, "", send.Refused, 1},
		"Unauthorized": {"a token that is not valid may become so", 401, "answered 401: as told", send.Sent, 1},
		"NotFound":     {"the endpoint is not there yet", 404, "answered 404", send.Sent, 1},
		"TooMany":      {"later", 429, "answered 429", send.Sent, 1},
		"Fault":        {"later", 500, "answered 500", send.Sent, 1},
		"Redirect":     {"nobody is followed with a token", 307, "answered 307", send.Sent, 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, func(n int) int { return []int{200, tc.status}[min(n, 1)] })
			var last send.Result
			s := sender(t, e, newWorld(openlineage.Complete), func(c *send.Config) { c.Count = func(r send.Result, _ int) { last = r } })
			if err := s.Sync(t.Context(), key); (err == nil) != (tc.err == "") || !strings.Contains(fmt.Sprint(err), tc.err) {
				t.Errorf("%s: got %v, want %q", tc.reason, err, tc.err)
			}
			if len(e.got) != tc.taken || last != tc.count {
				t.Errorf("%s: %d taken, last counted %s", tc.reason, len(e.got), last)
			}
		})
	}
}

func TestSyncGivesUpInTheEnd(t *testing.T) {
	e := newEndpoint(t, func(int) int { return 503 })
	w := newWorld(openlineage.Complete)
	dropped := 0
	change := func(c *send.Config) {
		c.Now = func() time.Time { return ended.Add(25 * time.Hour) }
		c.Count = func(r send.Result, _ int) {
			if r == send.Dropped {
				dropped++
			}
		}
	}
	for range 2 {
		if err := sender(t, e, w, change).Sync(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	if e.requests != 1 || dropped != 1 || !strings.Contains(w.mark(), `"dropped":true`) {
		t.Errorf("%d requests, %d dropped, mark %s: want one of each, and the mark to say so", e.requests, dropped, w.mark())
	}
}

func TestSyncOfWhatCannotBeRead(t *testing.T) {
	away := errors.New("the store is away")
	e := newEndpoint(t, nil)
	for name, change := range map[string]func(*world){
		"Marks":   func(w *world) { w.markErr = away },
		"Run":     func(w *world) { w.err = away },
		"Journal": func(w *world) { w.known.Journal = func(context.Context) (io.ReadCloser, error) { return nil, away } },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(openlineage.Complete)
			change(w)
			if err := sender(t, e, w, nil).Sync(t.Context(), key); !errors.Is(err, away) {
				t.Errorf("got %v", err)
			}
		})
	}
	w := newWorld(openlineage.Complete)
	w.err = outbox.ErrGone
	if err := sender(t, e, w, nil).Sync(t.Context(), key); err != nil {
		t.Errorf("a run that is gone is no error: %v", err)
	}
	if len(e.taken()) != 0 {
		t.Errorf("sent %v", e.got)
	}
	w = newWorld(openlineage.Complete)
	w.marks[key] = "{{{"
	if err := sender(t, e, w, nil).Sync(t.Context(), key); err != nil || len(e.taken()) != 2 {
		t.Errorf("a mark that is none: all is sent again; got %v, %v", err, e.got)
	}
}

func TestTokenAndHeaders(t *testing.T) {
	e := newEndpoint(t, nil)
	n := 0
	s := sender(t, e, newWorld(openlineage.Complete), func(c *send.Config) {
		c.Header = http.Header{"X-Tenant": {"a"}}
		c.Token = func() (string, error) { n++; return fmt.Sprint("t", n), nil }
	})
	if err := s.Sync(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if h := e.heads[1]; h.Get("Authorization") != "Bearer t2" || h.Get("X-Tenant") != "a" || h.Get("Content-Type") != "application/json" {
		t.Errorf("headers of the second request: %v", h)
	}
	bad := sender(t, e, newWorld(openlineage.Complete), func(c *send.Config) {
		c.Token = func() (string, error) { return "", errors.New("no file") }
	})
	if err := bad.Sync(t.Context(), key); err == nil || !strings.Contains(err.Error(), "reading the token") {
		t.Errorf("got %v", err)
	}
}

// An endpoint that takes a connection and says nothing costs its time limit, not more.
func TestSyncHasATimeLimit(t *testing.T) {
	block := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-block }))
	defer server.Close()
	defer close(block)
	s := sender(t, &endpoint{Server: server}, newWorld(openlineage.Complete), func(c *send.Config) { c.Timeout = time.Millisecond })
	if err := s.Sync(t.Context(), key); !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "http://") {
		t.Errorf("got %v, want a time-out without the address", err)
	}
}
