package oidc

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"golang.org/x/crypto/bcrypt"
	"sigs.k8s.io/yaml"
)

// person is somebody with an account at the provider.
type person struct {
	name, email, id, password string
	groups                    []string
}

// The people: one of each team, and one whose group nothing was granted to.
var (
	jane = &person{name: "jane", email: "jane@example.com", id: "1001", groups: []string{"shop-team", "staff"}}
	joe  = &person{name: "joe", email: "joe@example.com", id: "1002", groups: []string{"finance-team", "staff"}}
	eve  = &person{name: "eve", email: "eve@example.com", id: "1003", groups: []string{"staff"}}
)

// audience is the client that tokens for the cluster are made for; another is one that is none of its business.
const (
	audience = "kubernetes"
	another  = "wiki"
)

// provider is a running Dex.
type provider struct {
	issuer  string
	ca      []byte
	caFile  string
	secret  string
	http    *http.Client
	process *process
}

// startProvider starts Dex by HTTPS on a free port of this machine, with an authority of its own, and people whose
// passwords are made up here.
func startProvider(ctx context.Context, dir string) (*provider, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	p := &provider{issuer: "https://" + address + "/dex", caFile: filepath.Join(dir, "provider-ca.crt"), secret: rand.Text()}
	certificate, key := filepath.Join(dir, "dex.crt"), filepath.Join(dir, "dex.key")
	if p.ca, err = certify(certificate, key); err != nil {
		return nil, fmt.Errorf("making the provider's certificate: %w", err)
	}
	if err := os.WriteFile(p.caFile, p.ca, 0o600); err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(p.ca)
	p.http = &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	var people []map[string]any
	for _, each := range []*person{jane, joe, eve} {
		each.password = rand.Text()
		hash, err := bcrypt.GenerateFromPassword([]byte(each.password), bcrypt.DefaultCost)
		if err != nil {
			return nil, err
		}
		people = append(people, map[string]any{"email": each.email, "hash": string(hash), "username": each.name, "userID": each.id, "groups": each.groups})
	}
	app := func(id string) map[string]any {
		return map[string]any{"id": id, "name": id, "secret": p.secret, "redirectURIs": []string{"http://127.0.0.1/callback"}}
	}
	config, err := yaml.Marshal(map[string]any{
		"issuer":           p.issuer,
		"storage":          map[string]any{"type": "memory"},
		"web":              map[string]any{"https": address, "tlsCert": certificate, "tlsKey": key},
		"oauth2":           map[string]any{"passwordConnector": "local", "grantTypes": []string{"authorization_code", "password"}},
		"enablePasswordDB": true,
		"staticPasswords":  people,
		"staticClients":    []any{app(audience), app(another)},
		"expiry":           map[string]any{"idTokens": "10m"},
	})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "dex.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	if p.process, err = startProcess("", nil, filepath.Join(root, "bin", "tools", "dex"), "serve", file); err != nil {
		return nil, err
	}
	return p, await(ctx, "the provider answers", func() error {
		if p.process.ended() {
			return errors.New("it has ended: " + p.process.output())
		}
		_, err := p.get(ctx, "/.well-known/openid-configuration")
		return err
	})
}

func (p *provider) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.issuer+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	return p.do(request)
}

func (p *provider) do(request *http.Request) ([]byte, error) {
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

// login logs a person in for a client and returns their ID token.
func (p *provider) login(t *testing.T, who *person, client string) string {
	t.Helper()
	form := url.Values{"grant_type": {"password"}, "scope": {"openid email profile groups"}, "username": {who.email}, "password": {who.password}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(client, p.secret)
	body, err := p.do(request)
	if err != nil {
		t.Fatalf("%s logs in: %v", who.name, err)
	}
	var answer struct {
		IDToken string `json:"id_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.IDToken == "" {
		t.Fatalf("%s logs in: no ID token: %v", who.name, err)
	}
	return answer.IDToken
}

// authentication returns the API server's configuration for the provider.
func authentication() ([]byte, error) {
	tmpl, err := template.ParseFiles(filepath.Join("testdata", "authentication.yaml"))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = tmpl.Execute(&out, map[string]string{
		"Issuer": dex.issuer, "Audience": audience, "CA": strings.ReplaceAll(strings.TrimSpace(string(dex.ca)), "\n", "\n        "),
	})
	return out.Bytes(), err
}

// certify writes a certificate for this machine and its key, and returns who signed it.
func certify(certificate, key string) (ca []byte, err error) {
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "provider authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	signed, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return nil, err
	}
	serving := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "provider"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	servingKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	served, err := x509.CreateCertificate(rand.Reader, serving, authority, servingKey.Public(), authorityKey)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalECPrivateKey(servingKey)
	if err != nil {
		return nil, err
	}
	block := func(kind string, b []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}) }
	err = errors.Join(os.WriteFile(certificate, block("CERTIFICATE", served), 0o600), os.WriteFile(key, block("EC PRIVATE KEY", private), 0o600))
	return block("CERTIFICATE", signed), err
}
