package oidctest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"sigs.k8s.io/yaml"

	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// Tests run in their own folders, two below the top.
const root = "../.."

// dex is the provider's program.
var dex = filepath.Join(root, "bin", "tools", "dex")

// patience ends a wait in which nothing happens any more.
const patience = time.Minute

// Person is somebody with an account at the provider.
type Person struct {
	Name, Email string
	Groups      []string

	id, password string
}

// The people: one of each team, and one whose group nothing was granted to.
var (
	Jane = &Person{Name: "jane", Email: "jane@example.com", id: "1001", Groups: []string{"shop-team", "staff"}}
	Joe  = &Person{Name: "joe", Email: "joe@example.com", id: "1002", Groups: []string{"finance-team", "staff"}}
	Eve  = &Person{Name: "eve", Email: "eve@example.com", id: "1003", Groups: []string{"staff"}}
)

// Audience is the client that tokens for the cluster are made for; Another is one that is none of its business.
const (
	Audience = "kubernetes"
	Another  = "wiki"
)

// Provider is a running Dex.
type Provider struct {
	// Issuer is its URL.
	Issuer string
	// CA is who signed its certificate, as PEM; CAFile holds the same.
	CA      []byte
	CAFile  string
	Process *Process

	secret string
	http   *http.Client
}

// Unmet says what the provider needs and is not there, and what would do; empty when nothing is missing.
func Unmet() string {
	if _, err := os.Stat(dex); err != nil {
		return fmt.Sprintf("NOT TESTED: %s is not there: hack/tool.sh dex builds it", dex)
	}
	return ""
}

// StartProvider starts Dex by HTTPS on a free port of this machine, with an authority of its own, and people whose
// passwords are made up here.
func StartProvider(ctx context.Context, dir string) (*Provider, error) {
	address, err := testutil.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	p := &Provider{Issuer: "https://" + address + "/dex", CAFile: filepath.Join(dir, "provider-ca.crt"), secret: rand.Text()}
	certificate, key := filepath.Join(dir, "dex.crt"), filepath.Join(dir, "dex.key")
	if p.CA, err = Certify(certificate, key); err != nil {
		return nil, fmt.Errorf("making the provider's certificate: %w", err)
	}
	if err := os.WriteFile(p.CAFile, p.CA, 0o600); err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(p.CA)
	p.http = &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	var people []map[string]any
	for _, each := range []*Person{Jane, Joe, Eve} {
		each.password = rand.Text()
		hash, err := bcrypt.GenerateFromPassword([]byte(each.password), bcrypt.DefaultCost)
		if err != nil {
			return nil, err
		}
		people = append(people, map[string]any{"email": each.Email, "hash": string(hash), "username": each.Name, "userID": each.id, "groups": each.Groups})
	}
	app := func(id string) map[string]any {
		return map[string]any{"id": id, "name": id, "secret": p.secret, "redirectURIs": []string{"http://127.0.0.1/callback"}}
	}
	config, err := yaml.Marshal(map[string]any{
		"issuer":           p.Issuer,
		"storage":          map[string]any{"type": "memory"},
		"web":              map[string]any{"https": address, "tlsCert": certificate, "tlsKey": key},
		"oauth2":           map[string]any{"passwordConnector": "local", "grantTypes": []string{"authorization_code", "password"}},
		"enablePasswordDB": true,
		"staticPasswords":  people,
		"staticClients":    []any{app(Audience), app(Another)},
		"expiry":           map[string]any{"idTokens": "10m"},
	})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "dex.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	if p.Process, err = startProcess("", nil, dex, "serve", file); err != nil {
		return nil, err
	}
	return p, Await(ctx, "the provider answers", func() error {
		if p.Process.Ended() {
			return errors.New("it has ended: " + p.Process.Output())
		}
		_, err := p.get(ctx, "/.well-known/openid-configuration")
		return err
	})
}

func (p *Provider) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Issuer+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	return p.do(request)
}

func (p *Provider) do(request *http.Request) ([]byte, error) {
	response, err := p.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("the provider answers %s: %s", response.Status, body)
	}
	return body, err
}

// Login logs a person in for a client and returns their ID token.
func (p *Provider) Login(t testing.TB, who *Person, client string) string {
	t.Helper()
	form := url.Values{"grant_type": {"password"}, "scope": {"openid email profile groups"}, "username": {who.Email}, "password": {who.password}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.Issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(client, p.secret)
	body, err := p.do(request)
	if err != nil {
		t.Fatalf("%s logs in: %v", who.Name, err)
	}
	var answer struct {
		IDToken string `json:"id_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.IDToken == "" {
		t.Fatalf("%s logs in: no ID token: %v", who.Name, err)
	}
	return answer.IDToken
}
