package runner

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/client"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"

	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// Keys of the Secret that holds git credentials: those of the types kubernetes.io/basic-auth and
// kubernetes.io/ssh-auth, and what people add to them.
// https://kubernetes.io/docs/concepts/configuration/secret/#secret-types
const (
	keyUsername   = "username"
	keyPassword   = "password"
	keyToken      = "token"
	keyPrivateKey = "ssh-privatekey"
	keyKnownHosts = "known_hosts"
	keyCA         = "ca.crt"
)

var errForbiddenHost = errors.New("the host has a link-local address, where cloud providers keep their credentials: no git is fetched from there")

// useSafeHTTP makes go-git's HTTP client refuse link-local addresses, under whatever name they go. go-git itself keeps
// credentials from another host that a server may redirect to. The client is go-git's for the whole process.
var useSafeHTTP = sync.OnceFunc(func() {
	c := githttp.NewClient(&http.Client{Transport: safeTransport()})
	client.InstallProtocol("https", c)
	client.InstallProtocol("http", c)
	client.InstallProtocol("git", nil)
	client.InstallProtocol("file", nil)
})

// headerPatience is how long a server may take to begin its answer. It does so before it looks for what to send, so this is
// ample for one that is loaded.
const headerPatience = 2 * time.Minute

func safeTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 20 * time.Second, Control: refuseLinkLocal}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, address)
	}
	t.ResponseHeaderTimeout = headerPatience
	return t
}

func refuseLinkLocal(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if forbidden(at.Addr()) {
		return errForbiddenHost
	}
	return nil
}

// ec2Metadata is where EC2 offers its metadata in IPv6. The address is not link-local.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
var ec2Metadata = netip.MustParseAddr("fd00:ec2::254")

func forbidden(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a == ec2Metadata
}

// gitAuth reads the credentials that the URL's scheme asks for; none for an anonymous fetch.
func (r *Runner) gitAuth(g plan.Git) (transport.AuthMethod, error) {
	u, err := url.Parse(g.URL)
	if err != nil {
		return nil, refused("spec.source.git.url: is not a URL")
	}
	if !slices.Contains([]string{"https", "http", "ssh"}, u.Scheme) {
		return nil, refused("spec.source.git.url: found scheme %.20q, want https, http or ssh", u.Scheme)
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && forbidden(a) {
		return nil, r.gitError(g, errForbiddenHost)
	}
	if !g.Credentials {
		if u.Scheme == "ssh" {
			return nil, refused("spec.source.git.url: ssh needs credentials: name a Secret with the keys %s and %s in spec.source.git.credentialsSecretRef", keyPrivateKey, keyKnownHosts)
		}
		return nil, nil
	}
	secret := func(key string) string {
		b, _ := os.ReadFile(filepath.Join(r.paths.GitCredentials, key))
		return strings.TrimRight(string(b), "\r\n")
	}
	if u.Scheme == "ssh" {
		return r.sshAuth(u, secret)
	}
	password := firstNonEmpty(secret(keyPassword), secret(keyToken))
	if password == "" {
		return nil, refused("spec.source.git.credentialsSecretRef: the Secret has neither %s nor %s, which %s asks for", keyPassword, keyToken, u.Scheme)
	}
	if u.Scheme == "http" {
		return nil, refused("spec.source.git.url: credentials are not sent over http: use https")
	}
	// Servers that take a token as the password take any user name beside it.
	return &githttp.BasicAuth{Username: firstNonEmpty(secret(keyUsername), "git"), Password: password}, nil
}

// gitCA returns the certificates that the server's may be signed by, beside those of the image.
func (r *Runner) gitCA(g plan.Git) []byte {
	if !g.Credentials {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(r.paths.GitCredentials, keyCA))
	if err != nil {
		return nil
	}
	return b
}

func (r *Runner) sshAuth(u *url.URL, secret func(string) string) (transport.AuthMethod, error) {
	key, hosts := secret(keyPrivateKey), secret(keyKnownHosts)
	if key == "" || hosts == "" {
		return nil, refused("spec.source.git.credentialsSecretRef: ssh asks for the keys %s and %s, and the Secret lacks one: without known hosts the server cannot be told from an impostor", keyPrivateKey, keyKnownHosts)
	}
	auth, err := gitssh.NewPublicKeys(firstNonEmpty(u.User.Username(), "git"), []byte(key+"\n"), secret(keyPassword))
	if err != nil {
		return nil, refused("spec.source.git.credentialsSecretRef: key %s: %w", keyPrivateKey, err)
	}
	file := filepath.Join(r.folders.workspace, "known_hosts")
	if err := os.WriteFile(file, []byte(hosts+"\n"), 0o600); err != nil {
		return nil, unavailable("writing known hosts: %w", err)
	}
	check, err := gitssh.NewKnownHostsCallback(file)
	if err != nil {
		return nil, refused("spec.source.git.credentialsSecretRef: key %s: %w", keyKnownHosts, err)
	}
	auth.HostKeyCallback = check
	return auth, nil
}
