package ship

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil/collectortest"
)

func TestNewClientRefuses(t *testing.T) {
	tests := map[string]struct {
		reason string
		config Config
		want   string
	}{
		"HTTP":  {"a token must not go in the clear", Config{URL: "http://collector:9443", CA: "x"}, `collector.url: found "http://collector:9443", want an https URL`},
		"NoURL": {"no address", Config{CA: "x"}, `collector.url: found "", want an https URL`},
		"NoCA":  {"without an authority nobody could be trusted", Config{URL: "https://collector:9443", CA: "nothing"}, "collector.ca: found no PEM certificate"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := NewClient(tc.config); err == nil || err.Error() != tc.want {
				t.Errorf("%s: got %v, want %q", tc.reason, err, tc.want)
			}
		})
	}
}

// once has a client ask for the attempt until the first wait, and returns the error.
func once(t *testing.T, c *Client) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.after = func(time.Duration) <-chan time.Time {
		cancel()
		return nil
	}
	_, err := c.Attempt(ctx)
	return err
}

func TestTheCollectorAloneIsTrusted(t *testing.T) {
	c := collectortest.New(t)
	err := once(t, client(t, c, func(config *Config) { config.CA = strangeCA(t) }))
	if err == nil || !strings.Contains(err.Error(), "certificate") || len(c.Requests()) > 0 {
		t.Errorf("a certificate that the plan's authority did not sign: %v, requests %q", err, c.Requests())
	}
	if err := once(t, client(t, c, nil)); err != nil {
		t.Errorf("one that it signed: %v", err)
	}
}

// strangeCA is a certificate of somebody else.
func strangeCA(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestTokensStayHome(t *testing.T) {
	var seen atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			seen.Add(1)
		}
	}))
	defer thief.Close()
	home := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
	}))
	defer home.Close()
	t.Setenv("HTTPS_PROXY", thief.URL)
	c := client(t, &collectortest.Collector{URL: home.URL, CA: pemOf(home)}, nil)
	if err := once(t, c); err == nil || !strings.Contains(err.Error(), "307") {
		t.Errorf("a redirect is no answer: %v", err)
	}
	if seen.Load() > 0 {
		t.Error("the token went elsewhere")
	}
}

func TestTokenIsReadAgain(t *testing.T) {
	c := collectortest.New(t)
	cl := client(t, c, nil)
	for _, token := range []string{"first", "second"} {
		if err := os.WriteFile(cl.token, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := cl.Done(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c.Done(token) != 1 {
			t.Errorf("the request did not carry %q", token)
		}
	}
	if err := os.Remove(cl.token); err != nil {
		t.Fatal(err)
	}
	if err := once(t, cl); err == nil || !strings.Contains(err.Error(), "reading the token for the collector") {
		t.Errorf("no token: %v", err)
	}
}

func TestCallsAreTriedAgain(t *testing.T) {
	c := collectortest.New(t)
	c.SetStream("pod-0", journal.StreamJournal, journal.EncodeEntry(journal.Entry{Kind: journal.KindBegin, Pod: "pod-0"}))
	file := filepath.Join(t.TempDir(), "manifest.json")
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	cl := client(t, c, nil)
	var reply journal.AttemptReply
	var state *journal.State
	var put journal.Artifact
	calls := map[string]func() error{
		"Attempt": func() (err error) { reply, err = cl.Attempt(t.Context()); return err },
		"Journal": func() (err error) { state, err = cl.Journal(t.Context(), false); return err },
		"Put":     func() (err error) { put, err = cl.Put(t.Context(), "manifest.json", file); return err },
		"Done":    func() error { return cl.Done(t.Context()) },
	}
	kinds := []collectortest.Fault{collectortest.Unavailable, collectortest.Busy, collectortest.Drop, collectortest.LoseReply}
	for name, call := range calls {
		c.Fail(func(n int, _ *http.Request) collectortest.Fault {
			if n < len(kinds) {
				return kinds[n]
			}
			return collectortest.None
		})
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	sum := sha256.Sum256([]byte("{}"))
	want := journal.Artifact{Name: "manifest.json", SHA256: hex.EncodeToString(sum[:]), Bytes: 2}
	if reply.Earlier != 1 || len(state.Attempts()) != 1 || put != want || c.Artifacts()["manifest.json"] != "{}" {
		t.Errorf("%+v, %+v, %+v, %q", reply, state.Attempts(), put, c.Artifacts())
	}
	for name, call := range calls {
		c.Fail(collectortest.Always(collectortest.Forbidden))
		if err := call(); !errors.Is(err, ErrRefused) || len(c.Requests()) != 1 {
			t.Errorf("%s: 403 is for good: %v after %d requests", name, err, len(c.Requests()))
		}
	}
}

func TestPutOfAFileThatIsNotThere(t *testing.T) {
	c := collectortest.New(t)
	if _, err := client(t, c, nil).Put(t.Context(), "manifest.json", filepath.Join(t.TempDir(), "none")); err == nil || len(c.Requests()) > 0 {
		t.Errorf("%v, requests %q", err, c.Requests())
	}
}

// TestTornJournal reads a journal whose last line was torn, and one with lines that are none.
func TestTornJournal(t *testing.T) {
	c := collectortest.New(t)
	line := string(journal.EncodeEntry(journal.Entry{Kind: journal.KindBegin, Pod: "pod-0"}))
	c.SetStream("pod-0", journal.StreamJournal, []byte("nonsense\n"+line+strings.Repeat("x", journal.MaxEntry*2)+"\n"+line+line[:10]))
	state, err := client(t, c, nil).Journal(t.Context(), false)
	if err != nil || len(state.Attempts()) != 2 {
		t.Errorf("%v, %+v", err, state)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(409, []byte(`{"offset":5}`), "")
	f.Add(503, []byte(`{"error":"another replica leads"}`), "2")
	f.Add(200, []byte(`{"over":true,"offsets":{"log":-1}}`), "x")
	f.Fuzz(func(t *testing.T, code int, body []byte, after string) {
		resp := &http.Response{StatusCode: code, Header: http.Header{"Retry-After": {after}}, Body: io.NopCloser(strings.NewReader(string(body)))}
		var status *statusError
		if !errors.As(refusal(resp), &status) || status.after < 0 || status.after > time.Hour {
			t.Errorf("%+v", status)
		}
		var reply journal.AttemptReply
		_ = decode(&reply)(strings.NewReader(string(body)))
	})
}

func pemOf(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}
