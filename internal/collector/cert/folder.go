package cert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// Folder serves a certificate that is given: tls.crt, tls.key and ca.crt in a folder, read again when they change. It is a
// manager.Runnable for every replica.
type Folder struct {
	watcher *certwatcher.CertWatcher
	ca      string

	mu     sync.Mutex
	bundle string
}

// NewFolder reads the certificate in dir.
func NewFolder(dir string) (*Folder, error) {
	w, err := certwatcher.New(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the collector's certificate in %s: %w", dir, err)
	}
	f := &Folder{watcher: w, ca: filepath.Join(dir, "ca.crt")}
	if f.bundle, err = readBundle(f.ca); err != nil {
		return nil, err
	}
	return f, nil
}

func readBundle(file string) (string, error) {
	b, err := os.ReadFile(file) //nolint:gosec // named by whoever runs the operator
	if err != nil {
		return "", fmt.Errorf("reading the authorities that pods are to trust: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(b) {
		return "", fmt.Errorf("%s has no PEM certificate: put the authorities there that pods are to trust", file)
	}
	return string(b), nil
}

// Start watches the folder until ctx ends.
func (f *Folder) Start(ctx context.Context) error { return f.watcher.Start(ctx) }

// NeedLeaderElection says that every replica needs the certificate.
func (f *Folder) NeedLeaderElection() bool { return false }

// GetCertificate returns the serving certificate, for tls.Config.
func (f *Folder) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.watcher.GetCertificate(hello)
}

// Bundle returns ca.crt as it is now: what pods are to trust, as PEM. While it cannot be read it is as it was.
func (f *Folder) Bundle() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b, err := readBundle(f.ca); err == nil {
		f.bundle = b
	}
	return f.bundle
}
