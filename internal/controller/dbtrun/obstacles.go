package dbtrun

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// obstacle is what keeps a run from beginning that may go away by itself.
type obstacle string

const (
	projectIsMissing obstacle = "project"
	jobIsRefused     obstacle = "job"
)

// obstacles remembers since when runs have met what is in their way. A run that waited its turn for an hour has not waited for
// its project for an hour. After a restart they count anew. It is safe for concurrent use; the zero value is ready.
type obstacles struct {
	mu  sync.Mutex
	met map[types.NamespacedName]meeting
}

type meeting struct {
	what  obstacle
	since time.Time
}

// since returns when a run first met an obstacle, which is now if it was none or another until now.
func (o *obstacles) since(run types.NamespacedName, what obstacle, now time.Time) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m, ok := o.met[run]; ok && m.what == what {
		return m.since
	}
	if o.met == nil {
		o.met = map[types.NamespacedName]meeting{}
	}
	o.met[run] = meeting{what, now}
	return now
}

// passed forgets what was in a run's way.
func (o *obstacles) passed(run types.NamespacedName) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.met, run)
}
