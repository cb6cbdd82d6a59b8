package ui

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// Source is where everything that is shown comes from. Its methods are called by many goroutines at once; their errors are
// shown to the person.
type Source interface {
	Run(ctx context.Context, key types.NamespacedName) (*v1alpha1.DbtRun, error)
	// Runs and Schedules are those of a namespace, of all if it is empty.
	Runs(ctx context.Context, namespace string) ([]v1alpha1.DbtRun, error)
	Schedules(ctx context.Context, namespace string) ([]v1alpha1.DbtSchedule, error)
	// Follow tells of the runs of a namespace until the context ends or a function fails.
	Follow(ctx context.Context, namespace string, all func([]v1alpha1.DbtRun) error, changed, gone func(*v1alpha1.DbtRun) error) error
	// Journal, Artifact and Log are what is kept of a run.
	Journal(ctx context.Context, key types.NamespacedName) (*journal.State, error)
	Artifact(ctx context.Context, key types.NamespacedName, name string) (io.ReadCloser, error)
	Log(ctx context.Context, run *v1alpha1.DbtRun) (io.ReadCloser, error)
}

// Config is what a Server needs.
type Config struct {
	Source Source
	// Namespace is shown, all if it is empty.
	Namespace string
	// Context and Version are named on the pages: the kubeconfig's context, and that of this program.
	Context, Version string
	Clock            clock.WithTicker
}

// Server serves the pages.
type Server struct {
	Config
	token string
	mux   *http.ServeMux
	web   fs.FS
}

//go:embed web
var web embed.FS

// HeaderToken is the header in which the pages show the token. A header is what no other page can send here unasked, and
// what, other than a cookie, no server on another port of this machine is sent.
const HeaderToken = "X-Dbt-Ui-Token"

// New returns a Server with a token of its own.
func New(c Config) (*Server, error) {
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return nil, fmt.Errorf("making a token: %w", err)
	}
	files, err := fs.Sub(web, "web")
	if err != nil {
		return nil, err
	}
	s := &Server{Config: c, token: base64.RawURLEncoding.EncodeToString(raw), mux: http.NewServeMux(), web: files}
	s.mux.HandleFunc("GET /", s.file)
	for pattern, answer := range map[string]func(*http.Request) (any, error){
		"GET /api/about":                            s.about,
		"GET /api/schedules":                        s.schedules,
		"GET /api/runs/{namespace}/{name}":          s.run,
		"GET /api/runs/{namespace}/{name}/timeline": s.timeline,
		"GET /api/runs/{namespace}/{name}/lineage":  s.lineage,
		"GET /api/runs/{namespace}/{name}/failures": s.failures,
		"GET /api/runs/{namespace}/{name}/code":     s.code,
		"GET /api/runs/{namespace}/{name}/log":      s.log,
	} {
		s.mux.Handle(pattern, s.known(answers(answer)))
	}
	s.mux.Handle("GET /api/live", s.known(http.HandlerFunc(s.live)))
	return s, nil
}

// URL returns the address to open for a listener. The token is in the part that a browser sends to nobody.
func (s *Server) URL(at net.Addr) string { return "http://" + at.String() + "/#token=" + s.token }

// readTime bounds the time that a request's header may take.
const readTime = 10 * time.Second

// Serve serves at a listener, which it closes, until ctx ends.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: s.guarded(l.Addr()), ReadHeaderTimeout: readTime, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	if err := server.Serve(l); ctx.Err() == nil {
		return fmt.Errorf("serving at %s: %w", l.Addr(), err)
	}
	return nil
}

// policy lets the pages run and load what is theirs, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// guarded answers those alone that name this machine, as another page may point its own name here, and no request that
// another site's page makes.
func (s *Server) guarded(at net.Addr) http.Handler {
	_, port, _ := net.SplitHostPort(at.String())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		host, p, err := net.SplitHostPort(r.Host)
		if ip := net.ParseIP(host); err != nil || p != port || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "this page is for this machine alone", http.StatusForbidden)
			return
		}
		site := r.Header.Get("Sec-Fetch-Site")
		if navigates := r.Header.Get("Sec-Fetch-Mode") == "navigate"; site != "" && site != "same-origin" && site != "none" && !navigates {
			http.Error(w, "this page answers no other", http.StatusForbidden)
			return
		}
		s.mux.ServeHTTP(w, r)
	})
}

// known answers those alone that have the token.
func (s *Server) known(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get(HeaderToken)), []byte(s.token)) != 1 {
			fail(w, http.StatusUnauthorized, "open the address that kubectl dbt ui printed: it has a token, which this one lacks")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// kinds are the content types of the files that there are.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
}

// file gives a file of the pages.
func (s *Server) file(w http.ResponseWriter, r *http.Request) {
	name := path.Clean(r.URL.Path)[1:]
	if name == "" {
		name = "index.html"
	}
	kind, shown := kinds[path.Ext(name)]
	raw, err := fs.ReadFile(s.web, name)
	if err != nil || !shown {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(raw) // nobody is left to tell
}

// answers makes a handler of a function that returns what to answer.
func answers(answer func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		value, err := answer(r)
		if err != nil {
			fail(w, http.StatusBadGateway, err.Error())
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value) // nobody is left to tell
	})
}

func fail(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": message}) // nobody is left to tell
}
