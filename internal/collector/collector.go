package collector

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbt-operator/dbt-operator/internal/collector/access"
	"github.com/dbt-operator/dbt-operator/internal/collector/caches"
	"github.com/dbt-operator/dbt-operator/internal/collector/live"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create
// +kubebuilder:rbac:groups=dbtoperator.dev,resources=dbtruns,verbs=get;list;watch
// +kubebuilder:rbac:groups=dbtoperator.dev,resources=dbtprojects,verbs=list;watch
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch

// Store is what a *store.Store does.
type Store interface {
	live.Store
	caches.Store
}

// Config is what a Collector is made of. Everything must be set unless its comment says otherwise.
type Config struct {
	// Address is where to serve, such as ":9443".
	Address string
	Clock   clock.WithDelayedExecution
	Store   Store
	// Cache reads DbtProjects, DbtRuns, Jobs and pods from the manager's cache.
	Cache client.Reader
	// Direct reads DbtProjects and DbtRuns past the cache, before anything is deleted because what it belongs to seems to be gone.
	Direct client.Reader
	// Reviews creates TokenReviews and SubjectAccessReviews: a client.Client does.
	Reviews access.Creator
	// Elected is closed when this replica leads; until then every request is answered with 503.
	Elected <-chan struct{}
	// Certificate is the server's, asked for at each handshake.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Notify is called when a run went on: at once when an attempt begins or ends, pins its source or has sent
	// everything, else at most every 5 s per run. It must not block. nil: nobody is told.
	Notify func(run types.NamespacedName)
	// Namespaces are those that the cache is limited to; empty means all. Data of other namespaces is never deleted.
	Namespaces []string
	// Retention says how long what ended runs left behind is kept.
	Retention Retention
	Metrics   *metrics.Collector
	Log       logr.Logger
}

// Retention says how long what ended runs left behind is kept. What is kept of a run goes with its DbtRun in any case, and
// nothing goes within an hour of its last change.
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
	limits limits
	live   *live.Runs
	pods   *access.Pods
	people *access.People

	podPlaces    places
	peoplePlaces places
	memory       memory
	// perPod holds a *podUse for each pod that was heard of lately.
	perPod *cache.LRUExpireCache
	// overSince remembers when a run was first seen to be over.
	overSince *cache.LRUExpireCache
	// storeLog keeps a store that is away from filling the log.
	storeLog rate.Sometimes
}

// New returns a Collector that serves once it is started and this replica leads.
func New(config Config) (*Collector, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	c := &Collector{
		config:    config,
		limits:    defaultLimits,
		pods:      access.NewPods(config.Clock, config.Reviews, config.Cache),
		people:    access.NewPeople(config.Clock, config.Reviews),
		perPod:    cache.NewLRUExpireCacheWithClock(maxPods, config.Clock),
		overSince: cache.NewLRUExpireCacheWithClock(maxPods, config.Clock),
		storeLog:  rate.Sometimes{First: 3, Interval: 10 * time.Second},
	}
	c.podPlaces, c.peoplePlaces = newPlaces(c.limits.podRequests), newPlaces(c.limits.peopleRequests)
	c.memory = newMemory(c.limits.bodies)
	c.live = live.New(live.Config{
		Clock: config.Clock, Store: config.Store, Live: config.Metrics.Live, Failed: c.storeFailed,
		Notify: func(namespace, name string) {
			if config.Notify != nil {
				config.Notify(types.NamespacedName{Namespace: namespace, Name: name})
			}
		},
	})
	return c, nil
}

func (c *Config) check() error {
	var errs []error
	for name, missing := range map[string]bool{
		"Clock": c.Clock == nil, "Store": c.Store == nil, "Cache": c.Cache == nil, "Direct": c.Direct == nil,
		"Reviews": c.Reviews == nil, "Elected": c.Elected == nil, "Certificate": c.Certificate == nil, "Metrics": c.Metrics == nil,
	} {
		if missing {
			errs = append(errs, fmt.Errorf("the collector's %s is not set", name))
		}
	}
	if c.Retention.Age < 0 || c.Retention.Count < 0 {
		errs = append(errs, fmt.Errorf("the collector's retention is %s and %d runs: neither may be less than 0, which means no limit", c.Retention.Age, c.Retention.Count))
	}
	return errors.Join(errs...)
}

// storeFailed counts a failure of the store and says so in the log, now and then.
func (c *Collector) storeFailed(operation string, err error) {
	c.config.Metrics.StoreFailed(operation)
	c.storeLog.Do(func() { c.config.Log.Error(err, "the collector's store failed", "operation", operation) })
}

// leads reports whether this replica does.
func (c *Collector) leads() bool {
	select {
	case <-c.config.Elected:
		return true
	default:
		return false
	}
}

// Kept returns what is kept of a run, nil when nothing is. What it returns is shared: it must not be changed. It reads the
// store only for a run that has not been heard of lately; it then waits for 3 s at most, and what it read is there the next
// time. Call it on the leader only.
func (c *Collector) Kept(ctx context.Context, run types.NamespacedName, uid types.UID) (*journal.Kept, error) {
	kept, err := c.live.Kept(ctx, live.Run{Namespace: run.Namespace, Name: run.Name, UID: string(uid)})
	if err != nil {
		return nil, fmt.Errorf("reading what is kept of DbtRun %s: %w", run, err)
	}
	return kept, nil
}

// DeleteGone deletes everything that is kept of a run, if the API server too says that the run is not there: one whose labels
// no longer match what this manager watches looks deleted to it. It may be called again; what it could not delete, the sweep
// finds.
func (c *Collector) DeleteGone(ctx context.Context, run types.NamespacedName, uid types.UID) error {
	gone, err := c.gone(ctx, store.Run{Namespace: run.Namespace, UID: string(uid)}, run.Name)
	if err != nil || !gone {
		return err
	}
	return c.delete(ctx, run.Namespace, string(uid), deletedWithRun)
}

// Reasons for which data is deleted, as metrics name them.
const (
	deletedWithRun = "run-deleted"
	deletedByAge   = "age"
	deletedByCount = "count"
	deletedOrphan  = "orphan"
)

func (c *Collector) delete(ctx context.Context, namespace, uid, reason string) error {
	if err := c.live.Delete(ctx, namespace, uid); err != nil {
		return fmt.Errorf("deleting what is kept of the DbtRun with UID %s in namespace %s: %w", uid, namespace, err)
	}
	c.config.Metrics.Deleted(reason)
	return nil
}
