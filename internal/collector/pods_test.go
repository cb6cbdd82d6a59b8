package collector

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

func TestAnAttemptFromBeginToDone(t *testing.T) {
	w := newWorld(t, nil)
	w.run("a")
	one := w.pod("a", 1)

	a := w.do(http.MethodGet, journal.PathAttempt, one, nil)
	var reply journal.AttemptReply
	a.decode(t, &reply)
	if diff := cmp.Diff(journal.AttemptReply{}, reply); diff != "" || a.code != 200 {
		t.Errorf("the first attempt: %d (-want +got):\n%s", a.code, diff)
	}
	source := journal.Entry{Kind: journal.KindSource, Source: strings.Repeat("a", 40)}
	at := w.says(one, 0, begins, source, command)
	at = w.says(one, at, result("x"), end(journal.Interrupted))
	if w.append(one, journal.StreamLog, 0, []byte("zip")).code != 200 || w.put(one, "manifest.json", "{}").code != 200 {
		t.Error("a log or an artifact was refused")
	}
	if got := w.do(http.MethodPost, journal.PathDone, one, nil); got.code != 200 || !w.kept("a").Done {
		t.Errorf("done: %+v", got)
	}

	two := w.pod("a", 2)
	reply = journal.AttemptReply{}
	w.do(http.MethodGet, journal.PathAttempt, two, nil).decode(t, &reply)
	if diff := cmp.Diff(journal.AttemptReply{Source: source.Source, Earlier: 1}, reply); diff != "" {
		t.Errorf("the second attempt (-want +got):\n%s", diff)
	}
	if got := w.do(http.MethodGet, journal.PathJournal, two, nil); got.body != string(lines(begins, source, command, result("x"), end(journal.Interrupted))) {
		t.Errorf("the journal of earlier attempts: %+v", got)
	}
	if got := w.do(http.MethodGet, journal.PathJournal, one, nil); got.code != 200 || got.body != "" {
		t.Errorf("the journal before the first attempt: %+v", got)
	}
	reply = journal.AttemptReply{}
	w.do(http.MethodGet, journal.PathAttempt, one, nil).decode(t, &reply)
	if diff := cmp.Diff(map[string]int64{"journal": at, "log": 3}, reply.Offsets); diff != "" {
		t.Errorf("a container that was started again (-want +got):\n%s", diff)
	}
	if got, want := w.counter("dbtoperator_collector_received_bytes_total"), float64(at+3+2); got != want {
		t.Errorf("%v bytes counted, want %v", got, want)
	}
}

// Item 41: no token is good for anything but its own pod's run.
func TestPodsSpeakOfTheirOwnRunAlone(t *testing.T) {
	w := newWorld(t, nil)
	w.run("a")
	w.run("b")
	one, two := w.pod("a", 1), w.pod("b", 1)
	w.says(one, 0, begins, command, result("of a"))
	w.says(two, 0, begins, command)
	if got := w.kept("b").Report.Finished; got != 0 {
		t.Errorf("pod of run a wrote to run b: %d nodes", got)
	}
	if got := w.do(http.MethodGet, journal.PathJournal+"?run=a&namespace=ns&uid=run-a&pod=pod-a-1", two, nil); strings.Contains(got.body, "of a") {
		t.Errorf("pod of run b read the journal of run a: %s", got.body)
	}
	for name, c := range map[string]struct {
		token string
		code  int
	}{
		"none":                {"", 401},
		"no bearer token":     {"x", 403},
		"a person's":          {"user:jane", 403},
		"a pod made again":    {"pod:a-1:pod-old", 403},
		"a pod not yet known": {"pod:a-7:pod-a-7", 503},
	} {
		for _, path := range []string{"GET " + journal.PathAttempt, "GET " + journal.PathJournal, "POST " + journal.PathStreams + "journal?offset=0", "PUT " + journal.PathArtifacts + "x", "POST " + journal.PathDone} {
			method, path, _ := strings.Cut(path, " ")
			got := w.do(method, path, c.token, nil, journal.HeaderSHA256, digestOf(""))
			var reply journal.ErrorReply
			got.decode(t, &reply)
			if got.code != c.code || reply.Error == "" {
				t.Errorf("%s, %s %s: %d %s", name, method, path, got.code, got.body)
			}
			if (got.header.Get("Retry-After") != "") != (c.code == 503) {
				t.Errorf("%s: Retry-After is %q", name, got.header.Get("Retry-After"))
			}
		}
	}
}

func TestRunsThatAreOver(t *testing.T) {
	log, late := []byte("zip"), lines(result("late"))
	for name, c := range map[string]struct {
		reason                         string
		pod                            int
		after                          time.Duration
		again, journal, log, art, done int
	}{
		"the pod that ended it":       {"its log and artifacts follow its last entry", 2, 0, 200, 403, 200, 200, 200},
		"for a quarter of an hour":    {"that is long enough", 2, lateTime, 200, 403, 200, 200, 200},
		"and no longer":               {"a pod that stays may not write for ever", 2, lateTime + time.Second, 403, 403, 403, 403, 403},
		"a pod of an earlier attempt": {"it did not end the run", 1, 0, 403, 403, 403, 403, 403},
		"a pod that comes too late":   {"it has nothing to do", 3, 0, 403, 403, 403, 403, 403},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.run("a")
			tokens := []string{1: w.pod("a", 1), 2: w.pod("a", 2), 3: w.pod("a", 3)}
			first := w.says(tokens[1], 0, begins, end(journal.Interrupted))
			second := w.says(tokens[2], 0, begins, end(journal.NodesFailed))
			w.over("a", v1alpha1.PhaseFailed, v1alpha1.ReasonNodesFailed, w.clock.Now())
			w.clock.Step(c.after)
			token, ends := tokens[c.pod], map[int]int64{1: first, 2: second}[c.pod]
			for what, got := range map[string][2]int{
				"the last entry again": {w.append(token, journal.StreamJournal, 0, lines(begins)).code, c.again},
				"more journal":         {w.append(token, journal.StreamJournal, ends, late).code, c.journal},
				"log":                  {w.append(token, journal.StreamLog, 0, log).code, c.log},
				"artifact":             {w.put(token, "x.json", "{}").code, c.art},
				"done":                 {w.do(http.MethodPost, journal.PathDone, token, nil).code, c.done},
			} {
				if got[0] != got[1] {
					t.Errorf("%s: %s: %d, want %d", c.reason, what, got[0], got[1])
				}
			}
		})
	}
}

func TestAttemptsOfARunThatIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		said   journal.Outcome // by the first pod
		phase  v1alpha1.Phase
		why    string
		want   journal.AttemptReply
	}{
		"succeeded":          {"the pod was lost after its last word", journal.Succeeded, v1alpha1.PhaseSucceeded, "Succeeded", journal.AttemptReply{Over: true, Outcome: journal.Succeeded}},
		"succeeded, unsaid":  {"by the Job alone", "", v1alpha1.PhaseSucceeded, "Succeeded", journal.AttemptReply{Over: true, Outcome: journal.Succeeded}},
		"failed":             {"as it said", journal.DbtError, v1alpha1.PhaseFailed, "DbtError", journal.AttemptReply{Over: true, Outcome: journal.DbtError}},
		"failed, unsaid":     {"as its status says", "", v1alpha1.PhaseFailed, "NodesFailed", journal.AttemptReply{Over: true, Outcome: journal.NodesFailed}},
		"timed out":          {"there is no word for it", "", v1alpha1.PhaseFailed, "TimedOut", journal.AttemptReply{Over: true, Outcome: journal.Interrupted}},
		"failed against it":  {"the status is the truth", journal.Succeeded, v1alpha1.PhaseFailed, "OutOfMemory", journal.AttemptReply{Over: true, Outcome: journal.OutOfMemory}},
		"not noted yet":      {"the status comes a moment later", journal.Succeeded, v1alpha1.PhaseRunning, "Running", journal.AttemptReply{Over: true, Outcome: journal.Succeeded}},
		"ends the same way":  {"another pod would have nothing to do", journal.NodesFailed, v1alpha1.PhaseRunning, "Running", journal.AttemptReply{Over: true, Outcome: journal.NodesFailed}},
		"to be gone on with": {"it was interrupted", journal.Interrupted, v1alpha1.PhaseRunning, "Running", journal.AttemptReply{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.run("a")
			c.want.Earlier = 1
			es := []journal.Entry{begins}
			if c.said != "" {
				es = append(es, end(c.said))
			}
			w.says(w.pod("a", 1), 0, es...)
			w.over("a", c.phase, c.why, w.clock.Now())
			var got journal.AttemptReply
			w.do(http.MethodGet, journal.PathAttempt, w.pod("a", 2), nil).decode(t, &got)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

// A status whose time of completion lies ahead was written by a clock that was wrong.
func TestOverInTheFuture(t *testing.T) {
	w := newWorld(t, nil)
	w.run("a")
	token := w.pod("a", 1)
	w.says(token, 0, begins, end(journal.Succeeded))
	w.over("a", v1alpha1.PhaseSucceeded, "Succeeded", w.clock.Now().Add(24*time.Hour))
	if got := w.put(token, "x.json", "{}"); got.code != 200 {
		t.Errorf("right away: %+v", got)
	}
	w.clock.Step(lateTime + time.Minute)
	if got := w.put(token, "x.json", "{}"); got.code != 403 {
		t.Errorf("later: %+v", got)
	}
}

// Item 42 and 43: wrong offsets, repetitions, bodies that are too large, names that are paths, digests that are forged.
func TestBadRequestsOfPods(t *testing.T) {
	w := newWorld(t, nil)
	w.run("a")
	token := w.pod("a", 1)
	at := w.says(token, 0, begins, command)
	if got := w.put(token, "kept.json", "kept"); got.code != 200 {
		t.Fatal(got)
	}
	offset := func(format string, args ...any) string {
		return journal.PathStreams + "journal?offset=" + fmt.Sprintf(format, args...)
	}
	for name, c := range map[string]struct {
		reason       string
		method, path string
		body         string
		header       []string
		code         int
		says         string
	}{
		"too far":           {"what is between would be missing", "POST", offset("%d", at+10), "x\n", nil, 409, fmt.Sprintf(`"offset":%d`, at)},
		"too early":         {"what is there is not overwritten", "POST", offset("%d", at-1), "xx\n", nil, 409, fmt.Sprintf(`"offset":%d`, at)},
		"again":             {"the reply was lost", "POST", offset("0"), string(lines(begins, command)), nil, 200, fmt.Sprintf(`"offset":%d`, at)},
		"other bytes":       {"somebody else wrote them", "POST", offset("0"), "xx", nil, 403, "other bytes"},
		"no offset":         {"it is not guessed", "POST", journal.PathStreams + "journal", "x\n", nil, 400, "offset must be one number"},
		"negative":          {"no offset", "POST", offset("-1"), "x\n", nil, 400, "offset must be"},
		"two offsets":       {"which?", "POST", offset("0&offset=5"), "x\n", nil, 400, "offset must be"},
		"beyond all":        {"no overflow", "POST", offset("9223372036854775807"), "x\n", nil, 400, "offset must be"},
		"far":               {"more than is kept", "POST", offset("1125899906842623"), "x\n", nil, 413, "at most"},
		"huge":              {"at most 1 MiB", "POST", offset("%d", at), strings.Repeat("x", journal.MaxAppend+1), nil, 413, "at most 1048576"},
		"compressed":        {"kept as it comes", "POST", offset("%d", at), "x", []string{"Content-Encoding", "gzip"}, 415, "Content-Encoding"},
		"unknown stream":    {"two there are", "POST", journal.PathStreams + "other?offset=0", "x", nil, 404, "there are journal and log"},
		"path for a stream": {"no path", "POST", journal.PathStreams + "../journal?offset=0", "x", nil, 404, "no stream"},
		"not a method":      {"only POST", "PUT", offset("0"), "x", nil, 405, "POST"},
		"forged digest":     {"item 43", "PUT", journal.PathArtifacts + "kept.json", "other", []string{journal.HeaderSHA256, digestOf("kept")}, 400, "digest"},
		"no digest":         {"item 43", "PUT", journal.PathArtifacts + "x.json", "x", nil, 400, "64 hexadecimal digits"},
		"half a digest":     {"item 43", "PUT", journal.PathArtifacts + "x.json", "x", []string{journal.HeaderSHA256, "abc"}, 400, "64 hexadecimal digits"},
		"dots":              {"item 43", "PUT", journal.PathArtifacts + "../x.json", "x", []string{journal.HeaderSHA256, digestOf("x")}, 400, "cannot be named"},
		"encoded dots":      {"item 43", "PUT", journal.PathArtifacts + "%2e%2e%2fx.json", "x", []string{journal.HeaderSHA256, digestOf("x")}, 400, "cannot be named"},
		"two dots":          {"item 43", "PUT", journal.PathArtifacts + "a..b", "x", []string{journal.HeaderSHA256, digestOf("x")}, 400, "cannot be named"},
		"a folder":          {"item 43", "PUT", journal.PathArtifacts + "a/b", "x", []string{journal.HeaderSHA256, digestOf("x")}, 400, "cannot be named"},
		"no name":           {"item 43", "PUT", journal.PathArtifacts, "x", []string{journal.HeaderSHA256, digestOf("x")}, 400, "cannot be named"},
		"capitals":          {"two names in a folder that knows no case", "PUT", journal.PathArtifacts + "X.json", "x", []string{journal.HeaderSHA256, digestOf("x")}, 400, "cannot be named"},
		"a long name":       {"no file has it", "PUT", journal.PathArtifacts + strings.Repeat("x", 129), "x", []string{journal.HeaderSHA256, digestOf("x")}, 400, "cannot be named"},
		"other journal":     {"only resumeFrom", "GET", journal.PathJournal + "?from=run-b", "", nil, 400, "from must be"},
		"no resumeFrom":     {"its spec names none", "GET", journal.PathJournal + "?from=resumeFrom", "", nil, 404, "names no run"},
		"nowhere":           {"there is nothing", "GET", "/v2/attempt", "", nil, 404, "nothing at"},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.do(c.method, c.path, token, strings.NewReader(c.body), c.header...)
			if got.code != c.code || !strings.Contains(got.body, c.says) {
				t.Errorf("%s: %d %s, want %d that says %q", c.reason, got.code, got.body, c.code, c.says)
			}
		})
	}
	k := w.kept("a")
	if diff := cmp.Diff([]journal.Artifact{{Name: "kept.json", SHA256: digestOf("kept"), Bytes: 4}}, k.Artifacts); diff != "" {
		t.Errorf("artifacts (-want +got):\n%s", diff)
	}
	if at != w.says(token, at) {
		t.Error("what was refused was kept")
	}
}

// Without a length the limit holds all the same.
func TestABodyOfUnknownLengthIsBounded(t *testing.T) {
	w := newWorld(t, nil)
	w.run("a")
	token := w.pod("a", 1)
	body := io.MultiReader(strings.NewReader(strings.Repeat("x", journal.MaxAppend)), strings.NewReader("y"))
	if got := w.do(http.MethodPost, journal.PathStreams+"log?offset=0", token, body); got.code != 413 {
		t.Errorf("%d %s", got.code, got.body)
	}
}

// Item 42: whoever sends slowly is cut off, and what came is not kept.
func TestASlowBodyIsCut(t *testing.T) {
	w := newWorld(t, func(c *Collector) { c.limits.grace, c.limits.slowestIn = 50*time.Millisecond, 1<<40 })
	w.run("a")
	token := w.pod("a", 1)
	for what, head := range map[string]string{
		"append":   "POST " + journal.PathStreams + "journal?offset=0",
		"artifact": "PUT " + journal.PathArtifacts + "x.json",
	} {
		// The pace is measured by the collector's clock: it is behind, so that the time is up at once.
		conn, err := tls.Dial("tcp", strings.TrimPrefix(w.url, "https://"), w.http.Transport.(*http.Transport).TLSClientConfig)
		w.ok(err)
		_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s: %s\r\nContent-Length: 100\r\n\r\n{}\n", head, token, journal.HeaderSHA256, digestOf("x"))
		w.ok(err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		w.ok(err)
		body, err := io.ReadAll(resp.Body)
		w.ok(err)
		if resp.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(body), "too slowly") {
			t.Errorf("%s: %d %s", what, resp.StatusCode, body)
		}
		w.ok(resp.Body.Close())
		w.ok(conn.Close())
	}
	if k := w.kept("a"); k != nil && (len(k.Artifacts) > 0 || k.Report.Selected > 0) {
		t.Errorf("kept %+v", k)
	}
}

func TestABodyThatBreaksOff(t *testing.T) {
	w := newWorld(t, nil)
	w.run("a")
	token := w.pod("a", 1)
	conn, err := tls.Dial("tcp", strings.TrimPrefix(w.url, "https://"), w.http.Transport.(*http.Transport).TLSClientConfig)
	w.ok(err)
	_, err = fmt.Fprintf(conn, "PUT %sx.json HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s: %s\r\nContent-Length: 100\r\n\r\n{}", journal.PathArtifacts, token, journal.HeaderSHA256, digestOf("{}"))
	w.ok(err)
	w.ok(conn.CloseWrite())
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		w.ok(resp.Body.Close())
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("answered %d", resp.StatusCode)
		}
	}
	w.ok(conn.Close())
	if k := w.kept("a"); k != nil && len(k.Artifacts) > 0 {
		t.Errorf("kept %+v", k.Artifacts)
	}
}

// A disk that is full, a store that is away: said so, what was kept stays, and it goes on when the store does.
func TestStoreFails(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code int
		says string
	}{
		"full": {fmt.Errorf("writing /data/x: %w, so %w: %w", store.ErrFull, store.ErrStore, syscall.ENOSPC), 507, "store is full"},
		"away": {fmt.Errorf("dial tcp 10.1.2.3:9000: %w", store.ErrStore), 503, "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.run("a")
			token := w.pod("a", 1)
			at := w.says(token, 0, begins, command, result("x"))
			w.store.fail(c.err)
			for what, got := range map[string]answered{
				"append": w.append(token, journal.StreamJournal, at, lines(result("y"))), "artifact": w.put(token, "x.json", "{}"),
			} {
				if got.code != c.code || !strings.Contains(got.body, c.says) || got.header.Get("Retry-After") == "" {
					t.Errorf("%s: %+v", what, got)
				}
				if strings.Contains(got.body, "/data") || strings.Contains(got.body, "10.1.2.3") {
					t.Errorf("%s: the store's whereabouts are told: %s", what, got.body)
				}
			}
			if k := w.kept("a"); k.Report.Finished != 1 {
				t.Errorf("%d nodes are known", k.Report.Finished)
			}
			w.store.fail(nil)
			w.clock.Step(time.Minute)
			w.says(token, at, result("y"))
			if k := w.kept("a"); k.Report.Finished != 2 {
				t.Errorf("%d nodes are known", k.Report.Finished)
			}
			if got := w.counter("dbtoperator_collector_store_errors_total"); got != 2 {
				t.Errorf("%v failures of the store counted", got)
			}
		})
	}
}

func TestASlowStoreIsNotWaitedForEver(t *testing.T) {
	w := newWorld(t, func(c *Collector) { c.limits.answer = 50 * time.Millisecond })
	w.run("a")
	token := w.pod("a", 1)
	at := w.says(token, 0, begins)
	w.store.wait = make(chan struct{})
	if got := w.append(token, journal.StreamJournal, at, lines(command)); got.code != 503 {
		t.Errorf("%+v", got)
	}
	close(w.store.wait)
	w.clock.Step(time.Minute)
	w.says(token, at, command)
}

func TestPodsAreBounded(t *testing.T) {
	w := newWorld(t, func(c *Collector) { c.limits.perSecond, c.limits.burst = 1, 5 })
	w.run("a")
	w.run("b")
	one, two := w.pod("a", 1), w.pod("b", 1)
	ask := func(token string) answered { return w.do(http.MethodGet, journal.PathAttempt, token, nil) }
	for i := range 8 {
		got := ask(one)
		if want := map[bool]int{true: 200, false: 429}[i < 5]; got.code != want || (got.header.Get("Retry-After") != "") != (want == 429) {
			t.Errorf("request %d: %+v", i, got)
		}
	}
	if got := ask(two); got.code != 200 {
		t.Errorf("another pod: %+v", got)
	}
	w.clock.Step(time.Second)
	if got := ask(one); got.code != 200 {
		t.Errorf("a second later: %+v", got)
	}
}

func TestRequestsUnderWayAreBounded(t *testing.T) {
	for name, change := range map[string]func(*Collector){
		"of one pod": func(c *Collector) { c.limits.onePod = 1 },
		"of all":     func(c *Collector) { c.podPlaces = newPlaces(1) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, change)
			w.run("a")
			token := w.pod("a", 1)
			at := w.says(token, 0, begins)
			w.store.mu.Lock()
			w.store.wait = make(chan struct{})
			w.store.mu.Unlock()
			// Its body has been asked for by the server before it waits for the store.
			asked := make(chan struct{})
			first := make(chan answered, 1)
			go func() {
				first <- w.do(http.MethodPost, fmt.Sprintf("%sjournal?offset=%d", journal.PathStreams, at), token,
					&signals{Reader: bytes.NewReader(lines(command)), read: asked}, "Expect", "100-continue")
			}()
			<-asked
			if got := w.do(http.MethodGet, journal.PathAttempt, token, nil); got.code != 429 || got.header.Get("Retry-After") == "" {
				t.Errorf("%+v", got)
			}
			close(w.store.wait)
			if got := <-first; got.code != 200 {
				t.Errorf("the one under way: %+v", got)
			}
			if got := w.do(http.MethodGet, journal.PathAttempt, token, nil); got.code != 200 {
				t.Errorf("afterwards: %+v", got)
			}
		})
	}
}

// signals says when it is first read.
type signals struct {
	io.Reader
	read chan struct{}
	once bool
}

func (s *signals) Read(b []byte) (int, error) {
	if !s.once {
		s.once = true
		close(s.read)
	}
	return s.Reader.Read(b)
}

func TestNotify(t *testing.T) {
	w := newWorld(t, nil)
	w.run("a")
	token := w.pod("a", 1)
	at := w.says(token, 0, begins)
	w.says(token, at, end(journal.Succeeded))
	for range 2 {
		select {
		case got := <-w.told:
			if got != (types.NamespacedName{Namespace: "ns", Name: "a"}) {
				t.Errorf("told of %s", got)
			}
		default:
			t.Error("not told")
		}
	}
}
