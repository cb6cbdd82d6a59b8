package dbtproject

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// every is how often the last good runs of a project are recorded at most.
	every = 5 * time.Second
	// conflictRetry is when a project whose status somebody else changed is looked at again.
	conflictRetry = time.Second
)

// pace remembers when the status of each project was last written. After a restart it is written once too early.
type pace struct {
	mu   sync.Mutex
	last map[types.NamespacedName]time.Time
}

// left returns how long the next write must wait. A clock that was set back makes nothing wait longer than every.
func (p *pace) left(project types.NamespacedName, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.last[project].Add(every).Sub(now)
	if left <= 0 || left > every {
		delete(p.last, project)
		return 0
	}
	return left
}

func (p *pace) wrote(project types.NamespacedName, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		p.last = map[types.NamespacedName]time.Time{}
	}
	p.last[project] = now
}

func (p *pace) forget(project types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.last, project)
}
