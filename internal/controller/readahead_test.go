package controller

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// lister is an API server that has a list of three pages, and remembers which it was asked for. It answers the first request for
// the page expired, where that is set, with 410.
type lister struct {
	expired string
	mu      sync.Mutex
	asked   []string
}

func (l *lister) RoundTrip(req *http.Request) (*http.Response, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	token := req.URL.Query().Get("continue")
	l.asked = append(l.asked, token)
	if token != "" && token == l.expired {
		l.expired = ""
		return &http.Response{StatusCode: http.StatusGone, Body: io.NopCloser(strings.NewReader("expired")), Request: req}, nil
	}
	next := map[string]string{"": "two", "two": "three"}[token]
	// What looks like a token in an object is none.
	body := fmt.Sprintf(`{"items":[{"page":%q,"pad":%q,"metadata":{"annotations":{"continue":"wrong"}}}],"metadata":{"continue":%q,"resourceVersion":"7"}}`,
		token, strings.Repeat("x", 3*pageEnd), next)
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

// get asks for a page, reads it, and returns which it was. Whatever is asked for early has been answered then.
func get(t *testing.T, through http.RoundTripper, query string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://kubernetes.example/apis/dbtruns?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := through.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, page, _ := strings.Cut(string(body), `"page":"`)
	page, _, _ = strings.Cut(page, `"`)
	synctest.Wait()
	return fmt.Sprintf("%d %s", resp.StatusCode, page)
}

func TestPagesAreReadAhead(t *testing.T) {
	t.Parallel()
	type step struct {
		query, want string
		// asked are the pages that the API server was asked for until then.
		asked []string
	}
	tests := map[string]struct {
		reason  string
		expired string
		steps   []step
	}{
		"ToTheEnd": {
			reason: "the API server encodes a page while the one before is decoded; none is asked for twice, and the last has no next",
			steps: []step{
				{"limit=1", "200 ", []string{"", "two"}},
				{"continue=two&limit=1", "200 two", []string{"", "two", "three"}},
				{"continue=three&limit=1", "200 three", []string{"", "two", "three"}},
			},
		},
		"EarlyAnswerThatIsNoPage": {
			reason:  "that a token has expired, or that there are too many requests, is for whoever asked to be told",
			expired: "two",
			steps: []step{
				{"limit=1", "200 ", []string{"", "two"}},
				{"continue=two&limit=1", "200 two", []string{"", "two", "two", "three"}},
			},
		},
		"ListThatBeginsAnew": {
			reason: "a page of one list is none of another",
			steps: []step{
				{"limit=1", "200 ", []string{"", "two"}},
				{"limit=1", "200 ", []string{"", "two", "", "two"}},
				{"continue=three&limit=1", "200 three", []string{"", "two", "", "two", "three"}},
			},
		},
		"ListWithAnotherSelector": {
			reason: "as above",
			steps: []step{
				{"limit=1", "200 ", []string{"", "two"}},
				{"continue=two&labelSelector=shard%3Da&limit=1", "200 two", []string{"", "two", "two", "three"}},
			},
		},
		"Whole": {
			reason: "a list without pages, and a watch, are nobody's to read ahead",
			steps: []step{
				{"", "200 ", []string{""}},
				{"watch=true", "200 ", []string{"", ""}},
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := &lister{expired: tc.expired}
				ahead := ReadAhead(l)
				for _, s := range tc.steps {
					if got := get(t, ahead, s.query); got != s.want {
						t.Errorf("%s: %q is answered by %q, want %q", tc.reason, s.query, got, s.want)
					}
					l.mu.Lock()
					if diff := cmp.Diff(s.asked, l.asked); diff != "" {
						t.Errorf("%s: asked after %q (-want +got):\n%s", tc.reason, s.query, diff)
					}
					l.mu.Unlock()
				}
			})
		})
	}
}
