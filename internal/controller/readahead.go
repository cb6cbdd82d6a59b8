package controller

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"sync"
)

// ReadAhead returns a transport that asks for the next page of a list as soon as a page has arrived, so that the API server
// encodes the one while the caller decodes the other. It is for a client that reads lists to their end.
//
// Whoever asks for a page gets what came of asking for it early only where that is the page: after anything else the request is
// made as if nobody had asked before. One page of a list is asked for at most, and one that nobody fetches goes with the
// context of the list, or when the list begins anew.
func ReadAhead(next http.RoundTripper) http.RoundTripper {
	return &readAhead{RoundTripper: next, early: map[string]*early{}}
}

type readAhead struct {
	http.RoundTripper
	mu sync.Mutex
	// early is what was asked for before its time, by the path of its list.
	early map[string]*early
}

// early is a page that was asked for before its time.
type early struct {
	url  string
	came chan *http.Response // nil for what is no page
}

// RoundTrip implements http.RoundTripper.
func (r *readAhead) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet || !req.URL.Query().Has("limit") {
		return r.RoundTripper.RoundTrip(req)
	}
	resp := r.take(req)
	if resp == nil {
		var err error
		if resp, err = r.RoundTripper.RoundTrip(req); err != nil {
			return nil, err
		}
	}
	if resp.StatusCode == http.StatusOK {
		resp.Body = &pageBody{ReadCloser: resp.Body, ended: func(token string) { r.ask(req, token) }}
	}
	return resp, nil
}

// take returns the page that was asked for early, or nil where there is none.
func (r *readAhead) take(req *http.Request) *http.Response {
	r.mu.Lock()
	e := r.early[req.URL.Path]
	delete(r.early, req.URL.Path)
	r.mu.Unlock()
	if e == nil {
		return nil
	}
	if e.url != req.URL.String() {
		go e.discard()
		return nil
	}
	select {
	case resp := <-e.came:
		return resp
	case <-req.Context().Done():
		go e.discard()
		return nil
	}
}

// ask asks for the page after that of a request.
func (r *readAhead) ask(req *http.Request, token string) {
	// The list's context, not a longer one: when nobody wants the list any more, nobody wants its next page.
	after := req.Clone(req.Context())
	query := after.URL.Query()
	query.Set("continue", token)
	after.URL.RawQuery = query.Encode()
	e := &early{url: after.URL.String(), came: make(chan *http.Response, 1)}
	r.put(after.URL.Path, e)
	go func() {
		resp, err := r.RoundTripper.RoundTrip(after)
		if err == nil && resp.StatusCode != http.StatusOK {
			_ = resp.Body.Close()
			resp = nil
		}
		e.came <- resp
	}()
}

// put remembers what was asked for early, in place of what nobody has fetched.
func (r *readAhead) put(path string, e *early) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.early[path]; old != nil {
		go old.discard()
	}
	r.early[path] = e
}

// discard waits for what nobody wants any more, and lets go of it.
func (e *early) discard() {
	if resp := <-e.came; resp != nil {
		_ = resp.Body.Close()
	}
}

// pageEnd is how many bytes at the end of a page are looked at. The API server writes a list's metadata last; a token names an
// object, so that it has less than a thousand.
const pageEnd = 2048

// nextPage finds the token of the next page in the end of a list, which is empty in the last. What only looks like one, in an
// object, gets no page, or one that nobody asks for.
var nextPage = regexp.MustCompile(`"continue":"([A-Za-z0-9_=-]*)"`)

// pageBody is a page as it is read, and says when its end was reached, with the token of the next page.
type pageBody struct {
	io.ReadCloser
	end   []byte
	ended func(token string)
}

// Read implements io.Reader.
func (b *pageBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.end = append(b.end, p[max(0, n-pageEnd):n]...)
	if len(b.end) > pageEnd {
		b.end = append(b.end[:0], b.end[len(b.end)-pageEnd:]...)
	}
	if errors.Is(err, io.EOF) && b.ended != nil {
		if found := nextPage.FindAllSubmatch(b.end, -1); found != nil {
			if token := string(found[len(found)-1][1]); token != "" {
				b.ended(token)
			}
		}
		b.ended = nil
	}
	return n, err
}
