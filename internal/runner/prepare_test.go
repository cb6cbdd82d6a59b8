package runner

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

func TestPrepareAndRun(t *testing.T) {
	const password = "correct-horse"
	tests := map[string]struct {
		reason string
		secret map[string]string
		user   string
	}{
		"BasicAuth": {"user and password", map[string]string{"username": "bot", "password": password + "\n"}, "bot"},
		"Token":     {"a token alone", map[string]string{"token": password}, "git"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			server := s.serveTLS()
			server.before = basicAuth(tc.user, password)
			tc.secret["ca.crt"] = certificate(server.Server)
			p := gitPod(t, plan.Git{URL: server.URL + "/shop", Path: "sub"}).withCredentials(tc.secret)

			if code := p.runner().Prepare(t.Context()); code != 0 {
				t.Fatalf("%s: prepare ended with %d: %s", tc.reason, code, p.screen)
			}
			if exists(p.paths.TerminationLog) {
				t.Error("prepare left a report, which is the run's to leave")
			}
			want := mustJSON(t, project{Dir: p.paths.Workspace + "/project/sub", Revision: s.second})
			if got := readFile(t, p.paths.Workspace+"/fetched.json"); got != want {
				t.Errorf("fetched.json holds %s, want %s", got, want)
			}
			entries, _ := os.ReadDir(p.paths.Workspace)
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			if want := []string{".keep", "fetched.json", "project"}; !slices.Equal(names, want) {
				t.Errorf("prepare left %q, want %q: no credentials, no history", names, want)
			}
			for name, content := range tree(t, p.paths.Workspace) {
				if strings.Contains(content, password) || strings.Contains(name, ".git") {
					t.Errorf("prepare left a trace of the fetch in %s", name)
				}
			}

			// dbt's container has neither the Secret nor the server.
			asked := len(server.asked())
			p.paths.GitCredentials = filepath.Join(t.TempDir(), "none")
			code, report := p.run()
			if code != 0 || report.Source != s.second {
				t.Errorf("run after prepare: %d, %+v", code, report)
			}
			if len(server.asked()) != asked {
				t.Error("run went to the server, without credentials")
			}
		})
	}
}

func TestPrepareRefused(t *testing.T) {
	s := newShop(t)
	server := s.serveTLS()
	server.before = basicAuth("git", "correct-horse")
	url := server.URL + "/shop"
	ca := certificate(server.Server)
	const check = ": check the Secret that spec.source.git.credentialsSecretRef names"
	tests := map[string]struct {
		reason  string
		url     string
		secret  map[string]string
		message string
	}{
		"Wrong":      {"a wrong password", url, map[string]string{"password": "wrong-horse", "ca.crt": ca}, "git at " + url + " refused access (authentication required)" + check},
		"NoPassword": {"a Secret without one", url, map[string]string{"username": "git", "ca.crt": ca}, "spec.source.git.credentialsSecretRef: the Secret has neither password nor token, which https asks for"},
		"HTTP":       {"credentials over plain http", "http://example.com/shop", map[string]string{"password": "correct-horse"}, "spec.source.git.url: credentials are not sent over http: use https"},
		"NoCA":       {"a server of one's own authority", url, map[string]string{"password": "correct-horse"}, "git at " + url + " has a certificate that is not trusted (tls: failed to verify certificate: x509: certificate signed by unknown authority): put the certificate of its authority into the Secret that spec.source.git.credentialsSecretRef names, under the key ca.crt"},
		"SSHNoKey":   {"ssh without a key", "ssh://git@example.com/shop", map[string]string{"password": "correct-horse"}, "spec.source.git.credentialsSecretRef: ssh asks for the keys ssh-privatekey and known_hosts, and the Secret lacks one: without known hosts the server cannot be told from an impostor"},
		"SSHBadKey":  {"ssh with a key that is none", "ssh://git@example.com/shop", map[string]string{"ssh-privatekey": "no key at all", "known_hosts": "example.com ssh-ed25519 AAAA"}, "spec.source.git.credentialsSecretRef: key ssh-privatekey: ssh: no key found"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := gitPod(t, plan.Git{URL: tc.url}).withCredentials(tc.secret)
			code := p.runner().Prepare(t.Context())
			report := p.report()
			if code != 12 || report.Outcome != journal.SourceFailed || report.Message != tc.message {
				t.Errorf("%s:\n got %d %q\nwant 12 %q", tc.reason, code, report.Message, tc.message)
			}
			for where, s := range map[string]string{"report": readFile(t, p.paths.TerminationLog), "log": p.screen.String()} {
				if strings.Contains(s, "-horse") {
					t.Errorf("%s: the %s holds the password: %s", tc.reason, where, s)
				}
			}
		})
	}
}

func TestCredentialsStayHome(t *testing.T) {
	s := newShop(t)
	other := s.serveTLS()
	home := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, other.URL+req.URL.RequestURI(), http.StatusFound)
	}))
	defer home.Close()
	secret := map[string]string{"password": "correct-horse", "ca.crt": certificate(home) + certificate(other.Server)}
	p := gitPod(t, plan.Git{URL: home.URL + "/shop"}).withCredentials(secret)
	p.runner().Prepare(t.Context())
	if len(other.asked()) == 0 {
		t.Fatal("the redirect was not followed: this test proves nothing")
	}
	if n := other.authorized(); n != 0 {
		t.Errorf("%d of %d requests brought the credentials to another host", n, len(other.asked()))
	}

	plain := s.serve()
	down := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, plain.URL+req.URL.RequestURI(), http.StatusFound)
	}))
	defer down.Close()
	secret["ca.crt"] = certificate(down)
	p = gitPod(t, plan.Git{URL: down.URL + "/shop"}).withCredentials(secret)
	if code := p.runner().Prepare(t.Context()); code == 0 || plain.authorized() != 0 {
		t.Errorf("a redirect from https to http: exit code %d, %d requests with credentials", code, plain.authorized())
	}
}

func TestRunWithoutPrepare(t *testing.T) {
	for name, content := range map[string]string{"Missing": "", "Broken": `{"dir":`} {
		t.Run(name, func(t *testing.T) {
			p := gitPod(t, plan.Git{URL: "https://example.com/shop", Credentials: true})
			if content != "" {
				makeFile(t, p.paths.Workspace+"/fetched.json", content)
			}
			code, report := p.run()
			if code != 20 || !strings.HasPrefix(report.Message, "reading what the container that fetches the source left: ") {
				t.Errorf("got %d %q", code, report.Message)
			}
		})
	}
}

func TestPrepareOfOtherSources(t *testing.T) {
	p := newPod(t)
	if code := p.runner().Prepare(t.Context()); code != journal.ExitInvalidPlan {
		t.Errorf("exit code %d, want %d", code, journal.ExitInvalidPlan)
	}
	if want := "prepare fetches git only, and the plan's source is spec.source.configMap"; p.report().Message != want {
		t.Errorf("message %q, want %q", p.report().Message, want)
	}
}

// TestStoppedWhileFetching stops a run whose git server never answers.
func TestStoppedWhileFetching(t *testing.T) {
	reached, over := make(chan struct{}, 8), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		// By request, not by connection: one that was made for the first run may serve the second.
		reached <- struct{}{}
		<-over
	}))
	defer server.Close()
	defer close(over)
	for _, g := range []plan.Git{{}, {Commit: strings.Repeat("a", 40)}} {
		g.URL = server.URL + "/shop"
		p := gitPod(t, g)
		ctx, stop := context.WithCancel(t.Context())
		code := make(chan int, 1)
		go func() { code <- p.runner().Run(ctx) }()
		<-reached
		stop()
		select {
		case c := <-code:
			if report := p.report(); c != journal.ExitInterrupted || report.Message != "stopped while fetching the source" {
				t.Errorf("got %d, %+v", c, report)
			}
		case <-time.After(patience):
			t.Fatal("the runner goes on fetching")
		}
	}
}
