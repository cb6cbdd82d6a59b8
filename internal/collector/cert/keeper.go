package cert

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
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
	// Labels are put on the Secret when it is made. nil: none.
	Labels map[string]string
	// Names are the DNS names and IP addresses by which pods reach the collector.
	Names []string
	Log   logr.Logger
}

// Writer creates and updates objects: a client.Client is one.
type Writer interface {
	Create(ctx context.Context, object client.Object, options ...client.CreateOption) error
	Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error
}

// Keeper keeps two authorities and a serving certificate in a Secret. It is a manager.Runnable for every replica.
type Keeper struct {
	config Config

	mu      sync.RWMutex
	serving *tls.Certificate
	bundle  string
}

// NewKeeper returns a Keeper that has nothing until Ensure or Start has read or made the Secret.
func NewKeeper(config Config) (*Keeper, error) {
	if len(config.Names) == 0 {
		return nil, errors.New("the collector's certificate has no names: give at least one by which pods reach it")
	}
	for _, name := range config.Names {
		if net.ParseIP(name) == nil && len(validation.IsDNS1123Subdomain(name)) > 0 {
			return nil, fmt.Errorf("the collector's certificate cannot have the name %q: give a DNS name or an IP address", name)
		}
	}
	return &Keeper{config: config}, nil
}

// tries is how often Ensure starts anew because another replica was quicker.
const tries = 5

// Ensure reads the Secret, makes what is missing in it or due, and has a certificate and a bundle when it returns nil.
// Replicas that do so at once agree.
func (k *Keeper) Ensure(ctx context.Context) error {
	for range tries {
		again, err := k.ensure(ctx)
		if !again {
			return err
		}
	}
	return fmt.Errorf("Secret %s was changed by others each of %d times that it was to be changed here", k.config.Secret, tries) //nolint:staticcheck // a kind's name
}

// ensure is one try; again says that another replica was quicker.
func (k *Keeper) ensure(ctx context.Context) (again bool, err error) {
	secret := &corev1.Secret{}
	err = k.config.Reader.Get(ctx, k.config.Secret, secret)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return false, fmt.Errorf("reading Secret %s: %w", k.config.Secret, err)
	}
	found, problem := parse(secret.Data)
	if problem != nil && len(secret.Data) > 0 {
		k.config.Log.Error(problem, "part of the collector's certificate is not usable and is made anew", "secret", k.config.Secret)
	}
	wanted, changed, err := renewed(found, k.config.Names, k.config.Clock.Now())
	if err != nil {
		return false, err
	}
	if !changed {
		k.use(wanted)
		return false, nil
	}
	if secret.Data, err = wanted.data(); err != nil {
		return false, err
	}
	if missing {
		secret.ObjectMeta = metav1.ObjectMeta{Namespace: k.config.Secret.Namespace, Name: k.config.Secret.Name, Labels: k.config.Labels}
		secret.Type = corev1.SecretTypeOpaque
		err = k.config.Writer.Create(ctx, secret)
	} else {
		err = k.config.Writer.Update(ctx, secret)
	}
	switch {
	case err == nil:
		k.config.Log.Info("the collector's certificate was renewed", "secret", k.config.Secret, "validUntil", wanted.serving.cert.NotAfter)
		k.use(wanted)
		return false, nil
	case apierrors.IsAlreadyExists(err), apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return true, nil
	}
	// What is due is not over yet.
	if found.whole() {
		k.use(found)
	}
	return false, fmt.Errorf("writing Secret %s: %w", k.config.Secret, err)
}

func (k *Keeper) use(m material) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.serving = &tls.Certificate{Certificate: [][]byte{m.serving.cert.Raw}, PrivateKey: m.serving.key, Leaf: m.serving.cert}
	k.bundle = m.bundle()
}

const (
	// lookEvery is how often the Secret is read, to renew what is due and to learn what another replica has renewed.
	lookEvery = 5 * time.Minute
	// retryEvery is how soon it is tried again after a failure.
	retryEvery = 10 * time.Second
)

// Start calls Ensure again and again until ctx ends.
func (k *Keeper) Start(ctx context.Context) error {
	for {
		wait := lookEvery
		if err := k.Ensure(ctx); err != nil && ctx.Err() == nil {
			k.config.Log.Error(err, "the collector's certificate could not be looked after")
			wait = retryEvery
		}
		timer := k.config.Clock.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C():
		}
	}
}

// NeedLeaderElection says that every replica needs the certificate.
func (k *Keeper) NeedLeaderElection() bool { return false }

// GetCertificate returns the serving certificate, for tls.Config.
func (k *Keeper) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.serving == nil {
		return nil, errors.New("the collector has no certificate yet")
	}
	return k.serving, nil
}

// Bundle returns what pods are to trust, as PEM: the current authority and the next; empty before the first Ensure.
func (k *Keeper) Bundle() string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.bundle
}

// ServiceNames returns the names of a Service that pods may use.
func ServiceNames(service types.NamespacedName) []string {
	short := strings.Join([]string{service.Name, service.Namespace, "svc"}, ".")
	return []string{short, short + ".cluster.local"}
}
