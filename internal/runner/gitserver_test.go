package runner

import (
	"bytes"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// repository is a git repository of the test with a working tree, made by the real git.
type repository struct {
	t   *testing.T
	dir string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("the program git is not installed: no git server can be played")
	}
	r := repository{t, filepath.Join(t.TempDir(), "shop")}
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.git("init", "--quiet", "--initial-branch=main")
	return r
}

// git runs git in the repository and returns what it prints.
func (r repository) git(args ...string) string {
	r.t.Helper()
	c := exec.Command("git", args...)
	c.Dir, c.Env = r.dir, gitEnv(r.t)
	out, err := c.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// gitEnv is an environment in which nobody's configuration changes what git does.
func gitEnv(t *testing.T) []string {
	return append(os.Environ(),
		"HOME="+t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
		"GIT_AUTHOR_DATE=2026-11-24T06:00:00Z", "GIT_COMMITTER_DATE=2026-11-24T06:00:00Z",
	)
}

// commit writes files and commits everything; it returns the commit.
func (r repository) commit(files map[string]string) string {
	r.t.Helper()
	for name, content := range files {
		makeFile(r.t, filepath.Join(r.dir, name), content)
	}
	r.git("add", "--all")
	r.git("commit", "--quiet", "--allow-empty", "-m", "a commit")
	return r.git("rev-parse", "HEAD")
}

// symlink makes a symbolic link, to be committed.
func (r repository) symlink(name, to string) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(r.dir, name)), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Symlink(to, filepath.Join(r.dir, name)); err != nil {
		r.t.Fatal(err)
	}
}

// gitServer serves repositories as git's own HTTP server does, and notes what it was asked.
type gitServer struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	// before may answer a request itself, and then returns true.
	before func(w http.ResponseWriter, r *http.Request) bool
}

// serve serves a repository over plain HTTP, at URL/shop.
func (r repository) serve() *gitServer {
	return r.start((*httptest.Server).Start)
}

// serveTLS serves it over HTTPS, with a certificate that no machine trusts.
func (r repository) serveTLS() *gitServer {
	return r.start((*httptest.Server).StartTLS)
}

func (r repository) start(start func(*httptest.Server)) *gitServer {
	r.t.Helper()
	where, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		r.t.Fatal(err)
	}
	backend := filepath.Join(string(bytes.TrimSpace(where)), "git-http-backend")
	if !exists(backend) {
		r.t.Skip("git was installed without git-http-backend: no git server can be played")
	}
	s := &gitServer{}
	handler := &cgi.Handler{
		Path: backend, Dir: r.dir, Stderr: r.t.Output(),
		Env: append(gitEnv(r.t), "GIT_PROJECT_ROOT="+filepath.Dir(r.dir), "GIT_HTTP_EXPORT_ALL=1"),
	}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, req.Clone(req.Context()))
		s.mu.Unlock()
		if s.before == nil || !s.before(w, req) {
			handler.ServeHTTP(w, req)
		}
	}))
	s.Config.ErrorLog = quiet
	start(s.Server)
	r.t.Cleanup(s.Close)
	return s
}

// asked returns the requests so far as "METHOD path".
func (s *gitServer) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, r := range s.requests {
		out = append(out, r.Method+" "+r.URL.Path)
	}
	return out
}

// authorized returns how many requests carried credentials.
func (s *gitServer) authorized() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		if r.Header.Get("Authorization") != "" {
			n++
		}
	}
	return n
}
