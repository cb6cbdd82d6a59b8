package collector

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// Config is what a Collector is made of. Everything must be set unless its comment says otherwise.
type Config struct {
	// Address is where to serve, such as ":9443".
	Address string
	Clock   clock.WithDelayedExecution
	Store   *store.Store
	// Cache reads DbtRuns, Jobs and pods from the manager's cache.
	Cache client.Reader
	// Direct reads DbtRuns past the cache, before anything is deleted because its run seems to be gone.
	Direct client.Reader
	// Reviews creates TokenReviews and SubjectAccessReviews.
	Reviews Creator
	// Elected is closed when this replica leads; until then every request is answered with 503.
	Elected <-chan struct{}
	// Certificate is the server's, asked for at each handshake.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Notify is called when a run went on: at once when an attempt begins or ends, pins its source or has sent
	// everything, else at most every 5 s per run. It must not block. nil: nobody is told.
	Notify func(run types.NamespacedName)
	// ResumeFrom returns the name of the run that spec.resumeFrom of a run names, empty when it names none. nil: none does.
	ResumeFrom func(run *v1alpha1.DbtRun) string
	// Namespaces are those that the cache is limited to; empty means all. Data of other namespaces is never deleted.
	Namespaces []string
	// Retention says how long what ended runs left behind is kept.
	Retention Retention
	Metrics   *metrics.Collector
	Log       logr.Logger
}

// Creator creates objects: a client.Client is one.
type Creator interface {
	Create(ctx context.Context, object client.Object, options ...client.CreateOption) error
}

// Retention says how long what ended runs left behind is kept. What is kept of a run goes with its DbtRun in any case.
type Retention struct {
	// Age is the time since the run's end; 0 means no limit.
	Age time.Duration
	// Count is the number of ended runs per DbtProject, the newest; runs with an inline project count together per
	// namespace. 0 means no limit.
	Count int
}

// Collector is the server and what it knows. It is a manager.Runnable for every replica.
type Collector struct {
	config Config
}

// New returns a Collector that serves once it is started and this replica leads.
func New(config Config) (*Collector, error) {
	return nil, errors.ErrUnsupported
}

// Start serves until ctx ends, then lets requests under way finish for a short time.
func (c *Collector) Start(ctx context.Context) error { return errors.ErrUnsupported }

// NeedLeaderElection says that every replica listens; those that do not lead answer 503.
func (c *Collector) NeedLeaderElection() bool { return false }

// Kept returns what is kept of a run, nil when nothing is. What it returns is shared: it must not be changed. It reads the
// store only for a run that has not been heard of lately; it may then fail, and says so fast when it failed just before.
// Call it on the leader only.
func (c *Collector) Kept(ctx context.Context, run types.NamespacedName, uid types.UID) (*journal.Kept, error) {
	return nil, errors.ErrUnsupported
}

// Delete deletes everything that is kept of a run. It may be called again; what it could not delete, the sweep finds.
func (c *Collector) Delete(ctx context.Context, namespace string, uid types.UID) error {
	return errors.ErrUnsupported
}

// Sweeper returns the Runnable, for the leader only, that deletes what is kept too long and what belongs to no DbtRun.
func (c *Collector) Sweeper() manager.Runnable { return nil }
