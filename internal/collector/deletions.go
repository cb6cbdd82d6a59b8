package collector

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
)

// Deletions deletes what is kept of runs that are gone, one after the other, away from whoever says that they are. What
// it misses (a full queue, a store that is away, a restart) the sweep finds. It is a manager.Runnable of the leader.
type Deletions struct {
	delete func(ctx context.Context, run types.NamespacedName, uid types.UID) error
	log    logr.Logger
	queue  chan deletion
}

type deletion struct {
	run types.NamespacedName
	uid types.UID
}

const (
	maxDeletions    = 4096
	deletionTimeout = time.Minute
)

// NewDeletions returns Deletions by the given function, which is Collector.DeleteGone.
func NewDeletions(by func(ctx context.Context, run types.NamespacedName, uid types.UID) error, log logr.Logger) *Deletions {
	return &Deletions{delete: by, log: log, queue: make(chan deletion, maxDeletions)}
}

// Add says that a run is gone. It does not block.
func (d *Deletions) Add(run types.NamespacedName, uid types.UID) {
	select {
	case d.queue <- deletion{run, uid}:
	default:
	}
}

// Start deletes until ctx ends.
func (d *Deletions) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case gone := <-d.queue:
			d.one(ctx, gone)
		}
	}
}

func (d *Deletions) one(ctx context.Context, gone deletion) {
	limited, cancel := context.WithTimeout(ctx, deletionTimeout)
	defer cancel()
	if err := d.delete(limited, gone.run, gone.uid); err != nil && ctx.Err() == nil {
		d.log.Error(err, "deleting what was kept of a run; the sweep tries again", "run", gone.run, "uid", gone.uid)
	}
}

// NeedLeaderElection says that the leader alone deletes.
func (d *Deletions) NeedLeaderElection() bool { return true }
