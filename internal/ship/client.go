package ship

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// Config is what a Client is made of. URL, CA and Token are needed.
type Config struct {
	// URL is the base of all requests, an https URL.
	URL string
	// CA are PEM certificates; the collector's must be signed by one of them, whatever the machine trusts.
	CA string
	// Token is the file that holds the bearer token. It is read for each request.
	Token string
	// After returns a channel that gets a value when d has passed; nil means time.After.
	After func(d time.Duration) <-chan time.Time
	// Jitter returns a number in [0, 1) by which waits are spread; nil means 0.5 each time.
	Jitter func() float64
	// Timeout bounds one request; 0 means 15 s. An artifact gets more by its size.
	Timeout time.Duration
}

// Client speaks the collector's protocol. It is safe for concurrent use.
type Client struct {
	base    string
	token   string
	http    *http.Client
	after   func(d time.Duration) <-chan time.Time
	jitter  func() float64
	timeout time.Duration
	reached atomic.Bool
}

// Reached reports whether the collector has ever answered that all is well.
func (c *Client) Reached() bool { return c.reached.Load() }

// NewClient returns a client. An error says which part of the configuration cannot be used.
func NewClient(c Config) (*Client, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("collector.url: found %.80q, want an https URL", c.URL)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(c.CA)) {
		return nil, errors.New("collector.ca: found no PEM certificate")
	}
	out := &Client{base: strings.TrimSuffix(c.URL, "/"), token: c.Token, after: c.After, jitter: c.Jitter, timeout: c.Timeout}
	if out.after == nil {
		out.after = time.After
	}
	if out.jitter == nil {
		out.jitter = func() float64 { return 0.5 }
	}
	if out.timeout == 0 {
		out.timeout = 15 * time.Second
	}
	out.http = &http.Client{
		// The token goes to the collector and nowhere else: no proxy out of the environment, no redirect.
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13},
			TLSHandshakeTimeout: 5 * time.Second,
			MaxIdleConnsPerHost: 4,
			IdleConnTimeout:     60 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return out, nil
}

// ErrRefused says that the collector will not hear this pod (any more): asking again is of no use.
var ErrRefused = errors.New("the collector refuses this pod")

// statusError is an answer other than 2xx.
type statusError struct {
	code   int
	text   string
	offset int64         // of a 409
	after  time.Duration // what Retry-After says, 0 for nothing
}

func (e *statusError) Error() string {
	if e.text == "" {
		return fmt.Sprintf("the collector answered %d", e.code)
	}
	return fmt.Sprintf("the collector answered %d: %s", e.code, e.text)
}

func (e *statusError) Is(target error) bool {
	return target == ErrRefused && e.code == http.StatusForbidden
}

// passing reports whether the same request may be answered otherwise a little later: another replica leads, the store
// is away, the token was not known yet, or nobody answered at all.
func passing(err error) bool {
	var status *statusError
	if !errors.As(err, &status) {
		return err != nil && !errors.Is(err, errLocal)
	}
	switch status.code {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	default:
		return status.code >= 500
	}
}

// errLocal marks errors of this side, which the collector has no part in.
var errLocal = errors.New("local")

// request is one request of the protocol.
type request struct {
	method, path string
	body         io.Reader
	size         int64
	header       map[string]string
	timeout      time.Duration
}

// maxReply bounds what is read of an answer, but for the journal.
const maxReply = 64 << 10

// do sends a request once and hands a 2xx answer's body to read.
func (c *Client) do(ctx context.Context, r request, read func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, max(c.timeout, r.timeout))
	defer cancel()
	if r.size == 0 {
		r.body = nil // else its length would be unknown
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, r.body)
	if err != nil {
		return fmt.Errorf("%w: %w", errLocal, err)
	}
	token, err := os.ReadFile(c.token)
	if err != nil {
		return fmt.Errorf("reading the token for the collector: %w", err)
	}
	req.ContentLength = r.size
	req.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(token)))
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() {
		_, _ = io.CopyN(io.Discard, resp.Body, maxReply) // so that the connection can be used again
		_ = resp.Body.Close()
	}()
	if resp.StatusCode/100 != 2 {
		return refusal(resp)
	}
	c.reached.Store(true)
	if read == nil {
		return nil
	}
	return read(resp.Body)
}

func refusal(resp *http.Response) error {
	e := &statusError{code: resp.StatusCode, offset: -1}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.after = time.Duration(min(seconds, 3600)) * time.Second
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return e
	}
	var said struct {
		journal.ErrorReply
		Offset *int64 `json:"offset"`
	}
	if json.Unmarshal(body, &said) == nil {
		e.text = said.Error
		if said.Offset != nil {
			e.offset = *said.Offset
		}
	}
	return e
}

func decode(into any) func(io.Reader) error {
	return func(r io.Reader) error {
		b, err := io.ReadAll(io.LimitReader(r, maxReply))
		if err != nil {
			return err
		}
		if err := json.Unmarshal(b, into); err != nil {
			return fmt.Errorf("the collector's answer is not understood: %w", err)
		}
		return nil
	}
}
