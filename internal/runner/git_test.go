package runner

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// quiet is a logger of test servers whose clients go away.
var quiet = log.New(io.Discard, "", 0)

// gitPod returns a pod whose source is git.
func gitPod(t *testing.T, g plan.Git) *pod {
	t.Helper()
	p := newPod(t)
	p.plan.Source = plan.Source{Git: &g}
	return p
}

// shop is a repository with two branches, two kinds of tags, a pull request, and a project in a folder.
type shop struct {
	repository
	first, second, dev, pull string
}

func newShop(t *testing.T) shop {
	t.Helper()
	s := shop{repository: newRepository(t)}
	s.first = s.commit(map[string]string{"dbt_project.yml": "name: first", "models/a.sql": "select 1"})
	s.git("tag", "v1")
	s.git("tag", "-a", "-m", "annotated", "v1-annotated")
	s.git("tag", "-a", "-m", "of a tag", "v1-twice", "v1-annotated")
	s.git("tag", "-a", "-m", "of a tree", "tree", "HEAD^{tree}")
	s.second = s.commit(map[string]string{"dbt_project.yml": "name: second", "sub/dbt_project.yml": "name: sub", "sub/models/b.sql": "select 2"})
	s.git("checkout", "--quiet", "-b", "feature/dev", s.first)
	s.dev = s.commit(map[string]string{"dbt_project.yml": "name: dev"})
	s.git("checkout", "--quiet", "-b", "pull", s.first)
	s.pull = s.commit(map[string]string{"dbt_project.yml": "name: pull"})
	s.git("update-ref", "refs/pull/12/head", s.pull)
	s.git("checkout", "--quiet", "main")
	s.git("branch", "--quiet", "-D", "pull")
	return s
}

func TestGit(t *testing.T) {
	s := newShop(t)
	server := s.serve()
	tests := map[string]struct {
		reason string
		git    plan.Git
		single bool // the server gives out single commits
		want   string
		name   string // of the project
	}{
		"Default":       {"no ref is the remote's HEAD", plan.Git{}, false, s.second, "second"},
		"Branch":        {"a branch", plan.Git{Branch: "main"}, false, s.second, "second"},
		"BranchSlash":   {"a branch with a slash", plan.Git{Branch: "feature/dev"}, false, s.dev, "dev"},
		"Tag":           {"a light tag", plan.Git{Tag: "v1"}, false, s.first, "first"},
		"Annotated":     {"an annotated tag is pinned to its commit, not to the tag", plan.Git{Tag: "v1-annotated"}, false, s.first, "first"},
		"TagOfTag":      {"a tag of a tag", plan.Git{Tag: "v1-twice"}, false, s.first, "first"},
		"Pull":          {"a pull request", plan.Git{Ref: "refs/pull/12/head"}, false, s.pull, "pull"},
		"Commit":        {"a commit that no branch ends with, from a server that gives out single ones", plan.Git{Commit: s.first}, true, s.first, "first"},
		"CommitHistory": {"the same from one that does not", plan.Git{Commit: s.first}, false, s.first, "first"},
		"CommitOfPull":  {"a commit that no branch and no tag has, from a server that gives out single ones", plan.Git{Commit: s.pull}, true, s.pull, "pull"},
		"Path":          {"a folder of the repository", plan.Git{Path: "sub"}, false, s.second, "sub"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s.git("config", "uploadpack.allowAnySHA1InWant", map[bool]string{true: "true", false: "false"}[tc.single])
			tc.git.URL = server.URL + "/shop"
			p := gitPod(t, tc.git)
			code, report := p.run()
			if code != 0 || report.Source != tc.want {
				t.Fatalf("%s: got %d, source %q, %q, want 0 and %s", tc.reason, code, report.Source, report.Message, tc.want)
			}
			dir := filepath.Join(p.paths.Workspace, "project", tc.git.Path)
			if got := readFile(t, filepath.Join(dir, "dbt_project.yml")); got != "name: "+tc.name {
				t.Errorf("%s: fetched %q, want that of %s", tc.reason, got, tc.name)
			}
			if i := p.dbt.invocations()[0]; !slices.Contains(i.Args, dir) {
				t.Errorf("%s: dbt got %q, want the project %s", tc.reason, i.Args, dir)
			}
			for _, left := range []string{"git", "project/.git", "fetched.json"} {
				if exists(filepath.Join(p.paths.Workspace, left)) {
					t.Errorf("%s: %s is left in the workspace", tc.reason, left)
				}
			}
		})
	}
}

func TestGitIsShallow(t *testing.T) {
	s := newShop(t)
	const big = 4 << 20
	noise := make([]byte, big) // what does not compress well
	for i, x := 0, uint32(1); i < big; i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	s.commit(map[string]string{"seeds/old.csv": string(noise)})
	s.git("rm", "--quiet", "seeds/old.csv")
	s.commit(nil)
	server := s.serve()
	var sent counter
	server.Config.Handler = counting(server.Config.Handler, &sent)
	p := gitPod(t, plan.Git{URL: server.URL + "/shop", Branch: "main"})
	if code, report := p.run(); code != 0 {
		t.Fatalf("%d, %+v", code, report)
	}
	if sent.bytes == 0 || sent.bytes > big/2 {
		t.Errorf("%d bytes came, want only those of the last commit, without the %d of its history", sent.bytes, big)
	}
}

// counting counts the bytes that a handler sends.
func counting(h http.Handler, c *counter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(countingWriter{w, c}, r)
	})
}

type countingWriter struct {
	http.ResponseWriter
	c *counter
}

func (w countingWriter) Write(p []byte) (int, error) {
	_, _ = w.c.Write(p)
	return w.ResponseWriter.Write(p)
}

func TestGitRefused(t *testing.T) {
	s := newShop(t)
	server := s.serve()
	url := server.URL + "/shop"
	status := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(code)
			return true
		}
	}
	const missing = "1234567890123456789012345678901234567890"
	const check = ": check spec.source.git.ref and spec.revision"
	const name = ": name a Secret in spec.source.git.credentialsSecretRef"
	tests := map[string]struct {
		reason  string
		git     plan.Git
		before  func(http.ResponseWriter, *http.Request) bool
		code    int
		message string // whole, or with … in the end its beginning
	}{
		"Branch":      {"no such branch", plan.Git{Branch: "none"}, nil, 12, "git at " + url + " has no refs/heads/none" + check},
		"Tag":         {"no such tag", plan.Git{Tag: "none"}, nil, 12, "git at " + url + " has no refs/tags/none" + check},
		"TagAsBranch": {"a tag is no branch", plan.Git{Branch: "v1"}, nil, 12, "git at " + url + " has no refs/heads/v1" + check},
		"Ref":         {"no such ref", plan.Git{Ref: "refs/pull/13/head"}, nil, 12, "git at " + url + " has no refs/pull/13/head" + check},
		"Commit":      {"no such commit", plan.Git{Commit: missing}, nil, 12, "git at " + url + " has no commit " + missing + check},
		"TreeTag":     {"a tag of no commit", plan.Git{Tag: "tree"}, nil, 12, "git at " + url + " has no commit refs/tags/tree" + check},
		"Repository":  {"no such repository", plan.Git{URL: server.URL + "/none"}, nil, 12, "git at " + server.URL + "/none has no such repository, or does not show it: check spec.source.git.url, or name a Secret in spec.source.git.credentialsSecretRef"},
		"Auth":        {"a server that wants to know who asks", plan.Git{}, status(401), 12, "git at " + url + " refused access (authentication required)" + name},
		"Forbidden":   {"a server that knows and says no", plan.Git{}, status(403), 12, "git at " + url + " refused access (authorization failed)" + name},
		"Server":      {"a server that is not well may be well later", plan.Git{Branch: "main"}, status(500), 20, "fetching refs/heads/main from git at " + url + ": …"},
		"TooMany":     {"a server with too much to do", plan.Git{Branch: "main"}, status(429), 20, "fetching refs/heads/main from git at " + url + ": …"},
		"NoGit":       {"a server that speaks no git", plan.Git{}, status(200), 20, "fetching HEAD from git at " + url + ": …"},
		"NoServer":    {"nobody listens", plan.Git{URL: "http://127.0.0.1:1/shop"}, nil, 20, "fetching HEAD from git at http://127.0.0.1:1/shop: …"},
		"NoServerSHA": {"also when a commit is asked for, and only once", plan.Git{URL: "http://127.0.0.1:1/shop", Commit: missing}, nil, 20, "fetching " + missing + " from git at http://127.0.0.1:1/shop: …"},
		"NoFolder":    {"a folder that is not there", plan.Git{Path: "none"}, nil, 12, "spec.source.git: found no dbt_project.yml in …"},
		"PathOut":     {"a folder outside", plan.Git{Path: "../.."}, nil, 12, `spec.source.git.path: found "../..", want a folder inside the repository`},
		"PathRoot":    {"an absolute folder", plan.Git{Path: "/etc"}, nil, 12, `spec.source.git.path: found "/etc", want a folder inside the repository`},
		"SSH":         {"ssh without a key", plan.Git{URL: "ssh://git@example.com/shop"}, nil, 12, "spec.source.git.url: ssh needs credentials: name a Secret with the keys ssh-privatekey and known_hosts in spec.source.git.credentialsSecretRef"},
		"File":        {"a file of the pod", plan.Git{URL: "file://" + s.dir}, nil, 12, `spec.source.git.url: found scheme "file", want https, http or ssh`},
		"Local":       {"a path of the pod", plan.Git{URL: s.dir}, nil, 12, `spec.source.git.url: found scheme "", want https, http or ssh`},
		"GitScheme":   {"git's own protocol, which checks nobody", plan.Git{URL: "git://127.0.0.1/shop"}, nil, 12, `spec.source.git.url: found scheme "git", want https, http or ssh`},
		"LinkLocal":   {"where clouds keep credentials", plan.Git{URL: "http://169.254.169.254/latest"}, nil, 12, "git at http://169.254.169.254/latest: " + errForbiddenHost.Error()},
		"LinkLocal6":  {"the same in IPv6", plan.Git{URL: "http://[fe80::1%25lo]/latest"}, nil, 12, "git at http://[fe80::1%25lo]/latest: " + errForbiddenHost.Error()},
		"Mapped":      {"the same as an IPv4 address in IPv6", plan.Git{URL: "http://[::ffff:169.254.169.254]/latest"}, nil, 12, "git at http://[::ffff:169.254.169.254]/latest: " + errForbiddenHost.Error()},
		"EC2":         {"where EC2 has it in IPv6", plan.Git{URL: "http://[fd00:ec2::254]/latest"}, nil, 12, "git at http://[fd00:ec2::254]/latest: " + errForbiddenHost.Error()},
		"LinkCommit":  {"also when a commit is asked for", plan.Git{URL: "http://169.254.169.254/latest", Commit: missing}, nil, 12, "git at http://169.254.169.254/latest: " + errForbiddenHost.Error()},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			server.before = tc.before
			if tc.git.URL == "" {
				tc.git.URL = url
			}
			p := gitPod(t, tc.git)
			code, report := p.run()
			start, open := strings.CutSuffix(tc.message, "…")
			if code != tc.code || (report.Message != start && (!open || !strings.HasPrefix(report.Message, start))) {
				t.Errorf("%s:\n got %d %q\nwant %d %q", tc.reason, code, report.Message, tc.code, tc.message)
			}
			if want := map[int]journal.Outcome{12: journal.SourceFailed, 20: journal.SourceUnavailable}[tc.code]; report.Outcome != want {
				t.Errorf("%s: outcome %s, want %s", tc.reason, report.Outcome, want)
			}
			if n := len(p.dbt.invocations()); n != 0 {
				t.Errorf("%s: dbt was started", tc.reason)
			}
		})
	}
}

func TestGitEmptyRepository(t *testing.T) {
	r := newRepository(t)
	url := r.serve().URL + "/shop"
	for _, g := range []plan.Git{{URL: url}, {URL: url, Branch: "main"}} {
		p := gitPod(t, g)
		if code, report := p.run(); code != 12 || report.Message != "git at "+url+" is an empty repository" {
			t.Errorf("got %d %q", code, report.Message)
		}
	}
}

// TestGitLinkLocalByName asks a name whose address is link-local: only the dialer can see that.
func TestGitLinkLocalByName(t *testing.T) {
	hosts := map[string]bool{
		"127.0.0.1:80": false, "[::1]:80": false, "10.0.0.1:443": false, "[fd00::1]:443": false, "192.168.0.1:80": false,
		"169.254.169.254:80": true, "169.254.0.1:443": true, "[fe80::1]:80": true, "[fe80::1%eth0]:80": true,
		"[::ffff:169.254.169.254]:80": true, "[fd00:ec2::254]:80": true, "[ff02::1]:80": true, "224.0.0.1:80": true,
	}
	for address, want := range hosts {
		if err := refuseLinkLocal("tcp", address, nil); (err != nil) != want {
			t.Errorf("dialling %s: %v, want refused: %t", address, err, want)
		}
	}
	if err := refuseLinkLocal("tcp", "not an address", nil); err == nil {
		t.Error("what is no address must be refused")
	}
}

func TestGitTree(t *testing.T) {
	r := newRepository(t)
	outside := filepath.Join(t.TempDir(), "secret")
	makeFile(t, outside, "outside")
	r.symlink("models/same.sql", "a.sql")
	r.symlink("models/up.sql", "../shared/b.sql")
	r.symlink("models/chain.sql", "up.sql")
	r.symlink("models/absolute.sql", outside)
	r.symlink("models/out.sql", "../../../etc/passwd")
	r.symlink("models/detour.sql", "../shared/../../shop/shared/b.sql")
	r.symlink("models/dangling.sql", "none.sql")
	r.symlink("models/loop.sql", "loop.sql")
	r.symlink("models/folder", "../shared")
	r.symlink("linked", "/etc")
	r.git("update-index", "--add", "--cacheinfo", "160000,1234567890123456789012345678901234567890,dbt_packages/sub")
	files := map[string]string{"dbt_project.yml": "name: shop", "models/a.sql": "select 1", "shared/b.sql": "select 2", ".env": "LEAK=1", "bin/run.sh": "#!/bin/sh"}
	for name, content := range files {
		makeFile(t, filepath.Join(r.dir, name), content)
	}
	r.git("add", "models", "shared", "linked", ".env", "bin", "dbt_project.yml")
	r.git("commit", "--quiet", "-m", "links")
	server := r.serve()

	p := gitPod(t, plan.Git{URL: server.URL + "/shop"})
	if code, report := p.run(); code != 0 {
		t.Fatalf("%d, %+v", code, report)
	}
	files["models/same.sql"], files["models/up.sql"], files["models/chain.sql"] = "select 1", "select 2", "select 2"
	if diff := cmp.Diff(files, tree(t, p.paths.Workspace+"/project")); diff != "" {
		t.Errorf("a link inside the tree becomes a copy, any other is left out (-want +got):\n%s", diff)
	}
	for _, said := range []string{
		"Symbolic link models/absolute.sql is left out: it does not point to a file of the repository",
		"Symbolic link models/folder is left out", "Symbolic link linked is left out", "Submodule dbt_packages/sub is not fetched",
	} {
		if !strings.Contains(p.screen.String(), said) {
			t.Errorf("the log does not say %q:\n%s", said, p.screen)
		}
	}
	if env := p.dbt.invocations()[0].Env; slices.Contains(env, "LEAK=1") {
		t.Error("the project's .env was read")
	}

	p = gitPod(t, plan.Git{URL: server.URL + "/shop", Path: "linked"})
	if code, report := p.run(); code != 12 {
		t.Errorf("a project's folder that is a link out of the repository: %d, %+v", code, report)
	}
}

// TestProjectLinksOut has a workspace in which somebody has put a link where the project should be.
func TestProjectLinksOut(t *testing.T) {
	elsewhere := t.TempDir()
	makeFile(t, filepath.Join(elsewhere, "dbt_project.yml"), "name: other")
	p := gitPod(t, plan.Git{URL: "https://example.com/shop", Credentials: true, Path: "sub"})
	makeFile(t, filepath.Join(p.paths.Workspace, "project", "x"), "")
	dir := filepath.Join(p.paths.Workspace, "project", "sub")
	if err := os.Symlink(elsewhere, dir); err != nil {
		t.Fatal(err)
	}
	makeFile(t, filepath.Join(p.paths.Workspace, "fetched.json"), mustJSON(t, project{Dir: dir, Revision: strings.Repeat("a", 40)}))
	code, report := p.run()
	if want := "spec.source.git: " + dir + " leads out of the workspace by a symbolic link"; code != 12 || report.Message != want {
		t.Errorf("got %d %q, want 12 %q", code, report.Message, want)
	}
	if n := len(p.dbt.invocations()); n != 0 {
		t.Error("dbt was started")
	}
}

func TestGitRedirects(t *testing.T) {
	s := newShop(t)
	target := s.serve()
	to := func(location string) *httptest.Server {
		r := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, location+req.URL.RequestURI(), http.StatusMovedPermanently)
		}))
		t.Cleanup(r.Close)
		return r
	}
	t.Run("Followed", func(t *testing.T) {
		p := gitPod(t, plan.Git{URL: to(target.URL).URL + "/shop"})
		if code, report := p.run(); code != 0 || report.Source != s.second {
			t.Errorf("a repository that has moved: %d, %+v", code, report)
		}
	})
	t.Run("LinkLocal", func(t *testing.T) {
		url := to("http://169.254.169.254").URL + "/shop"
		p := gitPod(t, plan.Git{URL: url})
		if code, report := p.run(); code != 12 || report.Message != "git at "+url+": "+errForbiddenHost.Error() {
			t.Errorf("a redirect to where clouds keep credentials: %d %q", code, report.Message)
		}
	})
	t.Run("Endless", func(t *testing.T) {
		var self *httptest.Server
		self = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, self.URL+req.URL.RequestURI(), http.StatusFound)
		}))
		defer self.Close()
		p := gitPod(t, plan.Git{URL: self.URL + "/shop"})
		if code, _ := p.run(); code != 20 {
			t.Errorf("exit code %d, want 20", code)
		}
	})
	t.Run("File", func(t *testing.T) {
		r := httptest.NewServer(http.RedirectHandler("file://"+s.dir+"/info/refs", http.StatusFound))
		defer r.Close()
		p := gitPod(t, plan.Git{URL: r.URL + "/shop"})
		if code, _ := p.run(); code == 0 {
			t.Error("a redirect to a file of the pod was followed")
		}
	})
}

// withCredentials writes the Secret and makes the plan say so.
func (p *pod) withCredentials(secret map[string]string) *pod {
	p.plan.Source.Git.Credentials = true
	mount(p.t, p.paths.GitCredentials, "..1", secret)
	return p
}

func certificate(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// basicAuth answers 401 to whoever does not say the password, and 404 as well if hidden.
func basicAuth(user, password string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if u, p, _ := r.BasicAuth(); u == user && p == password {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
}
