package controller

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Pace bounds how often something of each object is recorded. After a restart it is recorded once too early. It is safe for
// concurrent use.
type Pace struct {
	every time.Duration
	mu    sync.Mutex
	last  map[types.NamespacedName]time.Time
}

// NewPace returns a Pace of once in so long.
func NewPace(every time.Duration) *Pace {
	return &Pace{every: every, last: map[types.NamespacedName]time.Time{}}
}

// Left returns how long the next record of an object must still wait. A clock that was set back makes nothing wait longer than
// the pace.
func (p *Pace) Left(object types.NamespacedName, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.last[object].Add(p.every).Sub(now)
	if left <= 0 || left > p.every {
		delete(p.last, object)
		return 0
	}
	return left
}

// Wrote counts a record of an object.
func (p *Pace) Wrote(object types.NamespacedName, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last[object] = now
}

// Forget forgets an object that is gone.
func (p *Pace) Forget(object types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.last, object)
}
