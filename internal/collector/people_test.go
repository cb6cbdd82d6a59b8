package collector

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

func zipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// told is a world with a run of two attempts, which jane may read.
func told(t *testing.T) *world {
	w := newWorld(t, nil)
	w.run("a")
	w.reviews.may = []string{"jane ns/a", "jane ns/empty", "jane ns/gone"}
	one := w.pod("a", 1)
	w.says(one, 0, begins, command, result("x"), end(journal.Interrupted))
	torn := zipped(t, "first\n"+strings.Repeat("cut off\n", 200))
	for _, got := range []answered{
		w.append(one, journal.StreamLog, 0, torn[:len(torn)-10]), w.put(one, "manifest.json", `{"a":1}`), w.put(one, "index.html", "<script>alert(1)</script>"),
	} {
		if got.code != 200 {
			t.Fatal(got)
		}
	}
	two := w.pod("a", 2)
	w.says(two, 0, begins)
	if got := w.append(two, journal.StreamLog, 0, zipped(t, "second\n")); got.code != 200 {
		t.Fatal(got)
	}
	return w
}

func (w *world) asJane(method, path string, header ...string) answered {
	w.Helper()
	return w.do(method, journal.PathRuns+path, "user:jane", nil, header...)
}

func TestPeopleRead(t *testing.T) {
	w := told(t)
	journals := string(lines(begins, command, result("x"), end(journal.Interrupted), begins))
	for name, c := range map[string]struct {
		reason, path string
		code         int
		body         string
		kind         string
	}{
		"log":                 {"all attempts, one after the other", "ns/a/log", 200, "", "text/plain; charset=utf-8"},
		"log of one":          {"by its pod", "ns/a/log?attempt=a-2", 200, "second\n", "text/plain; charset=utf-8"},
		"log of none":         {"no such pod", "ns/a/log?attempt=b-1", 404, "", "application/json"},
		"journal":             {"all attempts", "ns/a/journal", 200, journals, "application/x-ndjson"},
		"artifacts":           {"sorted by name", "ns/a/artifacts", 200, fmt.Sprintf(`[{"name":"index.html","sha256":"%s","bytes":25},{"name":"manifest.json","sha256":"%s","bytes":7}]`+"\n", digestOf("<script>alert(1)</script>"), digestOf(`{"a":1}`)), "application/json"},
		"artifact":            {"as it came", "ns/a/artifacts/manifest.json", 200, `{"a":1}`, "application/json"},
		"hostile artifact":    {"to be saved and nothing else", "ns/a/artifacts/index.html", 200, "<script>alert(1)</script>", "text/html; charset=utf-8"},
		"no artifact":         {"no such name", "ns/a/artifacts/none.json", 404, "", "application/json"},
		"artifact by path":    {"a name is no path", "ns/a/artifacts/../../b/manifest.json", 400, "", "application/json"},
		"nothing kept yet":    {"the run waits", "ns/empty/report", 404, "", "application/json"},
		"no log yet":          {"the run waits", "ns/empty/log", 404, "", "application/json"},
		"a run that is gone":  {"told to who may", "ns/gone/log", 404, "", "application/json"},
		"unknown part":        {"there are five", "ns/a/secrets", 404, "", "application/json"},
		"no part":             {"there are five", "ns/a", 404, "", "application/json"},
		"a name that is none": {"no path", "ns/../log", 400, "", "application/json"},
		"capitals":            {"no name", "NS/a/log", 400, "", "application/json"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(c.path, "empty") {
				w.run("empty")
				defer func() {
					run := &v1alpha1.DbtRun{}
					run.Namespace, run.Name = "ns", "empty"
					w.ok(w.objects.Delete(t.Context(), run))
					w.ok(w.objects.Delete(t.Context(), jobOf("empty")))
				}()
			}
			got := w.asJane(http.MethodGet, c.path)
			if got.code != c.code || c.body != "" && got.body != c.body || got.header.Get("Content-Type") != c.kind {
				t.Errorf("%s: %d %s %q", c.reason, got.code, got.header.Get("Content-Type"), got.body)
			}
			h := got.header
			if h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") {
				t.Errorf("a browser is not told to beware: %v", h)
			}
			if strings.Contains(c.path, "artifacts/") && got.code == 200 {
				if h.Get(journal.HeaderSHA256) != digestOf(got.body) || !strings.HasPrefix(h.Get("Content-Disposition"), "attachment; filename=") {
					t.Errorf("headers %v", h)
				}
			}
		})
	}
	got := w.asJane(http.MethodGet, "ns/a/log")
	if !strings.HasPrefix(got.body, "first\ncut off\n") || !strings.HasSuffix(got.body, "\nsecond\n") {
		t.Errorf("log: %q", got.body)
	}
	var report journal.RunReport
	w.asJane(http.MethodGet, "ns/a/report").decode(t, &report)
	want := []journal.AttemptReport{{Pod: "a-1", End: 9, Outcome: journal.Interrupted}, {Pod: "a-2"}}
	if diff := cmp.Diff(want, report.Attempts); diff != "" || report.Report.Finished != 1 || len(report.Artifacts) != 2 || report.LogBytes == 0 || report.Done {
		t.Errorf("report %+v (-want +got):\n%s", report, diff)
	}
}

func TestLogCompressed(t *testing.T) {
	w := told(t)
	plain := w.asJane(http.MethodGet, "ns/a/log")
	got := w.asJane(http.MethodGet, "ns/a/log", "Accept-Encoding", "br, gzip;q=0.8")
	if got.header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("headers %v", got.header)
	}
	z, err := gzip.NewReader(strings.NewReader(got.body))
	w.ok(err)
	text, err := io.ReadAll(z)
	if err != nil || string(text) != plain.body {
		t.Errorf("%v: a member that was cut off must not spoil what follows: %q", err, text)
	}
	for header, want := range map[string]string{"gzip;q=0": "", "identity": "", "GZIP": "gzip", "": ""} {
		if got := w.asJane(http.MethodGet, "ns/a/log", "Accept-Encoding", header).header.Get("Content-Encoding"); got != want {
			t.Errorf("accepting %q: encoded as %q", header, got)
		}
	}
	if got := w.asJane(http.MethodGet, "ns/a/log?attempt=none", "Accept-Encoding", "gzip"); got.code != 404 || got.header.Get("Content-Encoding") != "" {
		t.Errorf("a refusal: %+v", got)
	}
}

func TestHead(t *testing.T) {
	w := told(t)
	for _, path := range []string{"log", "journal", "report", "artifacts", "artifacts/manifest.json"} {
		if got := w.asJane(http.MethodHead, "ns/a/"+path); got.code != 200 || got.body != "" {
			t.Errorf("%s: %+v", path, got)
		}
	}
	if got := w.asJane(http.MethodPost, "ns/a/log"); got.code != 405 || got.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("%+v", got)
	}
}

func TestWhoMayRead(t *testing.T) {
	w := told(t)
	pod := "pod:a-1:pod-a-1"
	for name, c := range map[string]struct {
		reason        string
		token, header string
		path          string
		code          int
		says          string
	}{
		"bearer":               {"the usual", "user:jane", "", "ns/a/log", 200, ""},
		"through the proxy":    {"it takes Authorization off", "", "user:jane", "ns/a/log", 200, ""},
		"both":                 {"what was meant for us", "user:joe", "user:jane", "ns/a/log", 200, ""},
		"nobody":               {"told what to show", "", "", "ns/a/log", 401, journal.HeaderToken},
		"without rights":       {"named by user, verb and object", "user:joe", "", "ns/a/log", 403, `user \"joe\" may not get dbtruns.dbtoperator.dev \"a\" in namespace \"ns\"`},
		"on another run":       {"rights are by name", "user:jane", "", "ns/b/log", 403, "may not get"},
		"a run that is gone":   {"who may not is not told", "user:joe", "", "ns/gone/log", 403, "may not get"},
		"a pod's token":        {"it is for reporting", pod, "", "ns/a/log", 401, "not valid"},
		"a pod's by the proxy": {"it is for reporting", "", pod, "ns/a/log", 401, "not valid"},
		"not valid":            {"whoever it is", "xyz", "", "ns/a/log", 401, "not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			var header []string
			if c.header != "" {
				header = []string{journal.HeaderToken, c.header}
			}
			got := w.do(http.MethodGet, journal.PathRuns+c.path, c.token, nil, header...)
			if got.code != c.code || !strings.Contains(got.body, c.says) || (got.header.Get("WWW-Authenticate") != "") != (c.code == 401) {
				t.Errorf("%s: %+v", c.reason, got)
			}
		})
	}
	w.reviews.err = errors.New("connection refused")
	if got := w.do(http.MethodGet, journal.PathRuns+"ns/a/log", "user:new", nil); got.code != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("the API server is away: %+v", got)
	}
}

// An answer that has begun cannot be taken back: it is broken off, so that nobody takes it for whole.
func TestAStoreThatFailsInTheMiddle(t *testing.T) {
	w := newWorld(t, nil)
	w.run("a")
	w.reviews.may = []string{"jane ns/a"}
	token := w.pod("a", 1)
	if got := w.put(token, "big.json", strings.Repeat("x", 1<<20)); got.code != 200 {
		t.Fatal(got)
	}
	at := w.says(token, 0, begins, command)
	at = w.says(token, at, many(2000)...)
	for _, c := range []struct {
		path  string
		after int64
	}{{"artifacts/big.json", 1 << 19}, {"journal", at / 2}} {
		w.store.cut = c.after
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+journal.PathRuns+"ns/a/"+c.path, nil)
		w.ok(err)
		r.Header.Set("Authorization", "Bearer user:jane")
		resp, err := w.http.Do(r)
		w.ok(err)
		if b, err := io.ReadAll(resp.Body); err == nil || len(b) == 0 {
			t.Errorf("%s: %d bytes, %v", c.path, len(b), err)
		}
		w.ok(resp.Body.Close())
	}
}

func many(n int) []journal.Entry {
	var es []journal.Entry
	for i := range n {
		es = append(es, result(fmt.Sprint("model.shop.", i)))
	}
	return es
}

func TestReplicasThatDoNotLead(t *testing.T) {
	w := newWorld(t, nil)
	w.run("a")
	token := w.pod("a", 1)
	w.elected = make(chan struct{})
	w.restart()
	for _, path := range []string{journal.PathAttempt, journal.PathRuns + "ns/a/log", "/nowhere"} {
		got := w.do(http.MethodGet, path, token, nil)
		if got.code != 503 || !strings.Contains(got.body, "does not lead") || got.header.Get("Retry-After") == "" || !got.last {
			t.Errorf("%s: %+v", path, got)
		}
	}
	close(w.elected)
	if got := w.do(http.MethodGet, journal.PathAttempt, token, nil); got.code != 200 {
		t.Errorf("elected: %+v", got)
	}
}

// The API server's proxy and browsers speak HTTP/2.
func TestHTTP2(t *testing.T) {
	w := told(t)
	config := w.http.Transport.(*http.Transport).TLSClientConfig
	w.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: config.RootCAs, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}
	if got := w.asJane(http.MethodGet, "ns/a/log?attempt=a-2"); got.code != 200 || got.body != "second\n" || got.proto != 2 {
		t.Errorf("%+v", got)
	}
	if got := w.put("pod:a-2:pod-a-2", "big.json", strings.Repeat("x", 1<<20)); got.code != 200 {
		t.Errorf("%+v", got)
	}
}

// A new leader knows what the one before it did.
func TestRestart(t *testing.T) {
	w := told(t)
	before := w.kept("a")
	w.restart()
	if diff := cmp.Diff(before, w.kept("a")); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	at := int64(len(lines(begins)))
	w.says("pod:a-2:pod-a-2", at, result("y"))
	if got := w.kept("a").Report.Finished; got != 2 {
		t.Errorf("%d nodes", got)
	}
}

func TestKeptOfNothing(t *testing.T) {
	w := newWorld(t, nil)
	if k, err := w.c.Kept(t.Context(), types.NamespacedName{Namespace: "ns", Name: "x"}, "none"); k != nil || err != nil {
		t.Errorf("%+v, %v", k, err)
	}
}

func TestMetrics(t *testing.T) {
	w := told(t)
	w.asJane(http.MethodGet, "ns/a/log")
	w.do(http.MethodGet, journal.PathRuns+"ns/a/log", "user:joe", nil)
	w.do(http.MethodGet, "/nowhere/at/all", "", nil)
	for _, c := range []struct {
		labels []string
		want   float64
	}{{[]string{"streams", "2xx"}, 4}, {[]string{"artifacts", "2xx"}, 2}, {[]string{"runs-log", "2xx"}, 1}, {[]string{"runs-log", "4xx"}, 1}, {[]string{"none", "4xx"}, 1}} {
		if got := w.counter("dbtoperator_collector_requests_total", c.labels...); got != c.want {
			t.Errorf("%v: %v, want %v", c.labels, got, c.want)
		}
	}
	if got := w.counter("dbtoperator_collector_live_runs"); got != 1 {
		t.Errorf("%v live runs", got)
	}
}

func TestConfig(t *testing.T) {
	_, err := New(Config{Retention: Retention{Count: -1}})
	for _, want := range []string{"Store is not set", "Elected is not set", "retention"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
