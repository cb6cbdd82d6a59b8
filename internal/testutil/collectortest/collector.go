package collectortest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// Fault is what goes wrong with a request.
type Fault int

// Faults.
const (
	None Fault = iota
	// Unavailable answers 503, Busy 429 with Retry-After.
	Unavailable
	Busy
	// Drop cuts the connection before anything is done, LoseReply after all is done.
	Drop
	LoseReply
	// Half stores a part of what it gets, and says so.
	Half
	// Hang answers nothing until the client gives up.
	Hang
	// Forbidden answers 403.
	Forbidden
)

// Collector is a collector of one run. Attempts are told apart by their tokens, in the order in which they appear.
type Collector struct {
	URL, CA string

	mu        sync.Mutex
	attempts  []*attempt
	artifacts map[string][]byte
	caches    map[string][]byte
	state     map[string][]byte
	torn      int
	done      map[string]int
	from      []byte
	changed   chan struct{}
	fault     func(n int, r *http.Request) Fault
	requests  []string
	over      journal.Outcome
	isOver    bool
	anew      string
	server    *httptest.Server
}

type attempt struct {
	token   string
	streams map[string][]byte
}

// New starts a collector that ends with the test.
func New(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{artifacts: map[string][]byte{}, caches: map[string][]byte{}, state: map[string][]byte{}, done: map[string]int{}, changed: make(chan struct{})}
	c.server = httptest.NewUnstartedServer(http.HandlerFunc(c.serve))
	c.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	c.server.StartTLS()
	t.Cleanup(func() {
		c.server.CloseClientConnections()
		c.server.Close()
	})
	c.URL = c.server.URL
	c.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.server.Certificate().Raw}))
	return c
}

// Fail sets what goes wrong with the n-th request from now on, counted from 0; nil for nothing.
func (c *Collector) Fail(fault func(n int, r *http.Request) Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault, c.requests = fault, nil
}

// Always returns a fault for every request.
func Always(f Fault) func(int, *http.Request) Fault {
	return func(int, *http.Request) Fault { return f }
}

// Over says that the run has ended.
func (c *Collector) Over(o journal.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isOver, c.over = true, o
}

// Anew says that what earlier attempts did must not be gone on with.
func (c *Collector) Anew(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.anew = reason
}

// From sets the journal of the run that spec.resumeFrom names.
func (c *Collector) From(entries []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.from = entries
}

// Stream returns what a stream of the attempt with a token holds.
func (c *Collector) Stream(token, name string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.attempt(token).streams[name])
}

// SetStream makes an attempt's stream hold b.
func (c *Collector) SetStream(token, name string, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attempt(token).streams[name] = bytes.Clone(b)
}

// Journal returns the entries of all attempts, as lines.
func (c *Collector) Journal() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.before("")
}

// Fold returns what the journal of all attempts comes to.
func (c *Collector) Fold(t testing.TB) *journal.State {
	t.Helper()
	s := journal.NewState()
	for _, e := range c.Entries(t) {
		s.Apply(e)
	}
	return s
}

// Entries returns the entries of all attempts.
func (c *Collector) Entries(t testing.TB) []journal.Entry {
	t.Helper()
	var out []journal.Entry
	skipped, err := journal.DecodeEntries(bytes.NewReader(c.Journal()), func(e journal.Entry) error {
		out = append(out, e)
		return nil
	})
	if err != nil || skipped > 0 {
		t.Errorf("the journal holds %d lines that are no entries, %v", skipped, err)
	}
	return out
}

// Log returns the log of the attempt with a token, unpacked.
func (c *Collector) Log(t testing.TB, token string) string {
	t.Helper()
	packed := c.Stream(token, journal.StreamLog)
	if len(packed) == 0 {
		return ""
	}
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatalf("the log is no gzip: %v", err)
	}
	b, err := io.ReadAll(zip)
	if err != nil {
		t.Errorf("the log is broken after %d bytes: %v", len(b), err)
	}
	return string(b)
}

// Artifacts returns the artifacts by name.
func (c *Collector) Artifacts() map[string]string { return c.texts(c.artifacts) }

// Caches returns the caches by name.
func (c *Collector) Caches() map[string]string { return c.texts(c.caches) }

func (c *Collector) texts(of map[string][]byte) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]string{}
	for name, b := range of {
		out[name] = string(b)
	}
	return out
}

// SetCache puts a cache.
func (c *Collector) SetCache(name, content string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.caches[name] = []byte(content)
}

// SetState puts a file of the run's state.
func (c *Collector) SetState(name, content string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state[name] = []byte(content)
}

// ArtifactNames returns the names of the artifacts, sorted.
func (c *Collector) ArtifactNames() []string { return slices.Sorted(maps.Keys(c.Artifacts())) }

// Done returns how often the attempt with a token said that it was done.
func (c *Collector) Done(token string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done[token]
}

// Torn returns how often a part of a journal was appended that did not end with a line.
func (c *Collector) Torn() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.torn
}

// Requests returns the requests since the last Fail, as "METHOD path?query".
func (c *Collector) Requests() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}

// Wait returns when the condition holds, which is looked at after each request, and fails the test when ctx of the
// test ends before.
func (c *Collector) Wait(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatalf("waiting for %s: the test is over", what)
		}
	}
}

func (c *Collector) attempt(token string) *attempt {
	for _, a := range c.attempts {
		if a.token == token {
			return a
		}
	}
	a := &attempt{token: token, streams: map[string][]byte{}}
	c.attempts = append(c.attempts, a)
	return a
}

// before returns the journals of the attempts before the one with a token.
func (c *Collector) before(token string) []byte {
	var out []byte
	for _, a := range c.attempts {
		if a.token == token {
			break
		}
		out = append(out, a.streams[journal.StreamJournal]...)
	}
	return out
}

func (c *Collector) serve(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	fault := None
	if c.fault != nil {
		fault = c.fault(len(c.requests), r)
	}
	c.requests = append(c.requests, r.Method+" "+r.URL.RequestURI())
	c.mu.Unlock()
	defer c.notify()
	switch fault {
	case Unavailable:
		reply(w, http.StatusServiceUnavailable, journal.ErrorReply{Error: "another replica leads"})
		return
	case Busy:
		w.Header().Set("Retry-After", "2")
		reply(w, http.StatusTooManyRequests, journal.ErrorReply{Error: "slow down"})
		return
	case Forbidden:
		reply(w, http.StatusForbidden, journal.ErrorReply{Error: "the run is over"})
		return
	case Hang:
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		return
	case Drop:
		panic(http.ErrAbortHandler)
	case None, LoseReply, Half:
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		reply(w, http.StatusBadRequest, journal.ErrorReply{Error: err.Error()})
		return
	}
	if fault == Half {
		body = body[:len(body)/2]
	}
	code, answer := c.answer(r, body)
	if fault == LoseReply {
		panic(http.ErrAbortHandler)
	}
	reply(w, code, answer)
}

func (c *Collector) notify() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

func reply(w http.ResponseWriter, code int, answer any) {
	if b, raw := answer.([]byte); raw {
		w.WriteHeader(code)
		_, _ = w.Write(b)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer)
}

// answer does what a request asks for.
func (c *Collector) answer(r *http.Request, body []byte) (int, any) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return http.StatusUnauthorized, journal.ErrorReply{Error: "no token"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	path := r.URL.Path
	switch stream, isStream := strings.CutPrefix(path, journal.PathStreams); {
	case isStream && r.Method == http.MethodPost:
		return c.append(token, stream, r.URL.Query().Get("offset"), body)
	case path == journal.PathAttempt:
		return http.StatusOK, c.reply(token)
	case path == journal.PathJournal && r.URL.Query().Get("from") == "resumeFrom":
		return http.StatusOK, c.from
	case path == journal.PathJournal:
		c.attempt(token)
		return http.StatusOK, c.before(token)
	case path == journal.PathDone && r.Method == http.MethodPost:
		c.done[token]++
		return http.StatusOK, struct{}{}
	case strings.HasPrefix(path, journal.PathArtifacts) && r.Method == http.MethodPut:
		return put(c.artifacts, strings.TrimPrefix(path, journal.PathArtifacts), r.Header.Get(journal.HeaderSHA256), body)
	case strings.HasPrefix(path, journal.PathCaches) && r.Method == http.MethodPut:
		return put(c.caches, strings.TrimPrefix(path, journal.PathCaches), r.Header.Get(journal.HeaderSHA256), body)
	case strings.HasPrefix(path, journal.PathCaches):
		if b, ok := c.caches[strings.TrimPrefix(path, journal.PathCaches)]; ok {
			return http.StatusOK, b
		}
	}
	if b, ok := c.state[strings.TrimPrefix(path, journal.PathState)]; ok && strings.HasPrefix(path, journal.PathState) {
		return http.StatusOK, b
	}
	return http.StatusNotFound, journal.ErrorReply{Error: "no such path"}
}

func (c *Collector) append(token, stream, offset string, body []byte) (int, any) {
	at, err := strconv.ParseInt(offset, 10, 64)
	if err != nil || stream != journal.StreamJournal && stream != journal.StreamLog {
		return http.StatusBadRequest, journal.ErrorReply{Error: "no such stream or offset"}
	}
	if len(body) > journal.MaxAppend {
		return http.StatusRequestEntityTooLarge, journal.ErrorReply{Error: "too much"}
	}
	a := c.attempt(token)
	if have := int64(len(a.streams[stream])); have != at {
		return http.StatusConflict, journal.StreamReply{Offset: have}
	}
	a.streams[stream] = append(a.streams[stream], body...)
	if stream == journal.StreamJournal && !bytes.HasSuffix(body, []byte("\n")) {
		c.torn++
	}
	return http.StatusOK, journal.StreamReply{Offset: int64(len(a.streams[stream]))}
}

func (c *Collector) reply(token string) journal.AttemptReply {
	a := c.attempt(token)
	out := journal.AttemptReply{Over: c.isOver, Outcome: c.over, Anew: c.anew, Offsets: map[string]int64{}}
	for name, b := range a.streams {
		out.Offsets[name] = int64(len(b))
	}
	state := journal.NewState()
	_, _ = journal.DecodeEntries(bytes.NewReader(c.before(token)), func(e journal.Entry) error {
		state.Apply(e)
		return nil
	})
	out.Source, out.Earlier = state.Source(), len(state.Attempts())
	return out
}

func put(into map[string][]byte, name, digest string, body []byte) (int, any) {
	sum := sha256.Sum256(body)
	if hex.EncodeToString(sum[:]) != digest {
		return http.StatusBadRequest, journal.ErrorReply{Error: "the digest is another"}
	}
	into[name] = bytes.Clone(body)
	return http.StatusCreated, struct{}{}
}
