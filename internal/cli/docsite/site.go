package docsite

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"slices"
	"time"
)

// What dbt's pages are made of.
const (
	whole   = "static_index.html" // one page with everything in it
	index   = "index.html"
	catalog = "catalog.json"
)

// Open opens an artifact of the run.
type Open func(ctx context.Context, name string) (io.ReadCloser, error)

// Site serves the pages of one run.
type Site struct {
	open  Open
	files []string
	home  string
}

// New returns the site of a run that has these artifacts. An error says what is missing and how to get it.
func New(run string, artifacts []string, open Open) (*Site, error) {
	s := &Site{open: open, files: artifacts}
	switch {
	case slices.Contains(artifacts, whole):
		s.home = whole
	case slices.Contains(artifacts, index) && slices.Contains(artifacts, catalog):
		s.home = index
	default:
		return nil, fmt.Errorf("DbtRun %q keeps no docs (%s and %s, or %s): make a run with `dbt docs generate`, such as kubectl dbt run PROJECT docs generate", run, index, catalog, whole)
	}
	return s, nil
}

// readTime bounds the time that a request's header may take.
const readTime = 10 * time.Second

// Serve serves at a listener, which it closes, until ctx ends.
func (s *Site) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: s.guarded(l.Addr()), ReadHeaderTimeout: readTime}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	if err := server.Serve(l); ctx.Err() == nil {
		return fmt.Errorf("serving at %s: %w", l.Addr(), err)
	}
	return nil
}

// guarded answers those alone that name this machine: another page may point its own name here.
func (s *Site) guarded(at net.Addr) http.Handler {
	_, port, _ := net.SplitHostPort(at.String())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, p, err := net.SplitHostPort(r.Host)
		if ip := net.ParseIP(host); err != nil || p != port || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "this site is for this machine alone", http.StatusForbidden)
			return
		}
		s.ServeHTTP(w, r)
	})
}

// ServeHTTP gives the page at /, and other artifacts by name.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "it takes GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	name := path.Base(r.URL.Path)
	if r.URL.Path == "/" {
		name = s.home
	}
	if r.URL.Path != "/" && r.URL.Path != "/"+name || !slices.Contains(s.files, name) {
		http.NotFound(w, r)
		return
	}
	in, err := s.open(r.Context(), name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = in.Close() }()
	h := w.Header()
	// dbt's page is one script, inline, that compiles templates.
	h.Set("Content-Security-Policy", "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'; form-action 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	if path.Ext(name) == ".html" {
		h.Set("Content-Type", "text/html; charset=utf-8")
	}
	if r.Method == http.MethodGet {
		_, _ = io.Copy(w, in) // nobody is left to tell
	}
}
