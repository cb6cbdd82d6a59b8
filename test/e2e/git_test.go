package e2e

import (
	"context"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

// gitServer is a real git server, with the sample project in the folder analytics of one repository.
type gitServer struct {
	*testing.T
	url, ca string
	work    string // a working copy
}

// serveGit serves a repository where the cluster's pods can reach it. With a password it speaks https only.
func serveGit(t *testing.T, password string) *gitServer {
	t.Helper()
	host, _, err := net.SplitHostPort(postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("there is no git program to serve a repository with")
	}
	g := &gitServer{T: t, work: filepath.Join(t.TempDir(), "work")}
	if err := os.CopyFS(filepath.Join(g.work, "analytics"), fixtures.Shop().FS()); err != nil {
		t.Fatal(err)
	}
	g.git("init", "--quiet", "--initial-branch=main")
	g.git("add", ".")
	g.git("commit", "--quiet", "--message", "The shop")
	handler := http.Handler(&cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: []string{
		"GIT_PROJECT_ROOT=" + g.work, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=reader",
		// Repositories of another owner than the process are refused otherwise.
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
	}})
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	_ = server.Listener.Close()
	server.Listener = listener
	t.Cleanup(server.Close)
	if password == "" {
		server.Start()
	} else {
		server.Config.Handler = guarded(handler, password)
		g.startTLS(server, host)
	}
	g.url = server.URL + "/.git"
	return g
}

func guarded(next http.Handler, password string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, got, ok := r.BasicAuth(); !ok || got != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// startTLS gives the server a certificate of an authority of its own.
func (g *gitServer) startTLS(server *httptest.Server, host string) {
	g.Helper()
	server.TLS = selfSigned(g.T, host)
	server.StartTLS()
	g.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

func (g *gitServer) git(args ...string) string {
	g.Helper()
	cmd := exec.CommandContext(context.Background(), "git", args...)
	cmd.Dir = g.work
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		g.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// change commits a file with the first occurrence of a text replaced.
func (g *gitServer) change(file, old, text string) {
	g.Helper()
	path := filepath.Join(g.work, file)
	b, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(b), old) {
		g.Fatalf("%s does not hold %q: %v", file, old, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), old, text, 1)), 0o600); err != nil {
		g.Fatal(err)
	}
	g.git("commit", "--quiet", "--all", "--message", "Change "+file)
}

func (g *gitServer) source(ref *v1alpha1.GitRef) func(*v1alpha1.DbtProject) {
	return func(p *v1alpha1.DbtProject) {
		p.Spec.Source = v1alpha1.Source{Git: &v1alpha1.GitSource{URL: g.url, Ref: ref, Path: "analytics"}}
	}
}

// A run fetches from git by itself, at a branch or a pull request, and its status names the commit.
func TestGitSource(t *testing.T) {
	w := newWorld(t)
	g := serveGit(t, "")
	main := g.git("rev-parse", "HEAD")
	g.git("switch", "--quiet", "--create", "change")
	g.git("rm", "--quiet", "-r", "analytics/snapshots")
	g.git("commit", "--quiet", "--message", "No snapshots")
	change := g.git("rev-parse", "HEAD")
	g.git("update-ref", "refs/pull/12/head", change)
	g.git("switch", "--quiet", "main")

	w.project(duckdb111, fixtures.Shop(), g.source(&v1alpha1.GitRef{Branch: "main"}))
	w.run("main", commands("dbt ls --resource-type snapshot"))
	w.run("pull-request", commands("dbt parse"), func(r *v1alpha1.DbtRun) { r.Spec.Revision = "refs/pull/12/head" })
	w.run("no-such-ref", func(r *v1alpha1.DbtRun) { r.Spec.Revision = "refs/pull/13/head" })
	for name, commit := range map[string]string{"main": main, "pull-request": change} {
		r := w.over(name)
		w.ended(r, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded)
		if r.Status.Revision == nil || r.Status.Revision.Source != commit {
			t.Errorf("revision of %s: got %+v, want %s", name, r.Status.Revision, commit)
		}
	}
	w.ended(w.over("no-such-ref"), v1alpha1.PhaseFailed, v1alpha1.ReasonSourceFailed, "has no refs/pull/13/head", "spec.revision")
}

// Credentials stay in the container that fetches; wrong ones are refused with what to do.
func TestPrivateGit(t *testing.T) {
	w := newWorld(t)
	g := serveGit(t, "correct-horse")
	secret := func(name, password string) {
		w.create(&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.namespace},
			StringData: map[string]string{"username": "reader", "password": password, "ca.crt": g.ca},
		})
	}
	secret("right", "correct-horse")
	secret("wrong", "battery-staple")
	private := func(name string) func(*v1alpha1.DbtProject) {
		return func(p *v1alpha1.DbtProject) {
			g.source(nil)(p)
			p.Spec.Source.Git.CredentialsSecretRef = &v1alpha1.LocalObjectReference{Name: name}
		}
	}
	w.project(duckdb111, fixtures.Shop(), private("right"))
	w.run("right", commands("dbt parse"))
	r := w.over("right")
	w.ended(r, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded)
	if r.Status.Revision == nil || r.Status.Revision.Source != g.git("rev-parse", "HEAD") {
		t.Errorf("revision: got %+v", r.Status.Revision)
	}
	for _, c := range w.pods()[0].Spec.Containers {
		for _, m := range c.VolumeMounts {
			if strings.Contains(m.MountPath, "/git") {
				t.Errorf("container %s of dbt has %s mounted", c.Name, m.MountPath)
			}
		}
	}
	w.run("wrong", commands("dbt parse"), func(r *v1alpha1.DbtRun) {
		inline := &v1alpha1.DbtProject{}
		inline.Spec.Image, inline.Spec.ImagePullPolicy = duckdb111.image, corev1.PullIfNotPresent
		private("wrong")(inline)
		r.Spec.ProjectRef, r.Spec.Project = nil, &inline.Spec
	})
	w.ended(w.over("wrong"), v1alpha1.PhaseFailed, v1alpha1.ReasonSourceFailed, "refused access", "credentialsSecretRef")
}
