package cert

import (
	"context"
	"crypto/tls"
	"errors"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Config is what a Keeper is made of.
type Config struct {
	Clock clock.Clock
	// Reader reads the Secret from the API server itself, never through a cache.
	Reader client.Reader
	// Writer creates and updates it.
	Writer Writer
	// Secret is its name, in the operator's own namespace.
	Secret types.NamespacedName
	// Names are the DNS names and IP addresses by which pods reach the collector.
	Names []string
}

// Writer creates and updates objects: a client.Client is one.
type Writer interface {
	Create(ctx context.Context, object client.Object, options ...client.CreateOption) error
	Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error
}

// Keeper keeps two authorities and a serving certificate in a Secret. It is a manager.Runnable for every replica.
type Keeper struct{}

// NewKeeper returns a Keeper that has nothing until Ensure or Start has read or made the Secret.
func NewKeeper(config Config) (*Keeper, error) { return nil, errors.ErrUnsupported }

// Ensure reads the Secret, makes what is missing in it or due, and has a certificate and a bundle when it returns nil.
// Replicas that do so at once agree.
func (k *Keeper) Ensure(ctx context.Context) error { return errors.ErrUnsupported }

// Start calls Ensure again and again until ctx ends.
func (k *Keeper) Start(ctx context.Context) error { return errors.ErrUnsupported }

// NeedLeaderElection says that every replica needs the certificate.
func (k *Keeper) NeedLeaderElection() bool { return false }

// GetCertificate returns the serving certificate, for tls.Config.
func (k *Keeper) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return nil, errors.ErrUnsupported
}

// Bundle returns what pods are to trust, as PEM: the current authority and the next; empty before the first Ensure.
func (k *Keeper) Bundle() string { return "" }
