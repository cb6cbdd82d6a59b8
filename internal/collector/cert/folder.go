package cert

import (
	"context"
	"crypto/tls"
	"errors"
)

// Folder serves a certificate that is given: tls.crt, tls.key and ca.crt in a folder, read again when they change. It is a
// manager.Runnable for every replica.
type Folder struct{}

// NewFolder reads the certificate in dir.
func NewFolder(dir string) (*Folder, error) { return nil, errors.ErrUnsupported }

// Start watches the folder until ctx ends.
func (f *Folder) Start(ctx context.Context) error { return errors.ErrUnsupported }

// NeedLeaderElection says that every replica needs the certificate.
func (f *Folder) NeedLeaderElection() bool { return false }

// GetCertificate returns the serving certificate, for tls.Config.
func (f *Folder) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return nil, errors.ErrUnsupported
}

// Bundle returns ca.crt: what pods are to trust, as PEM.
func (f *Folder) Bundle() string { return "" }
