package live

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// notifyEvery is how often somebody is told of a run that goes on as runs do.
const notifyEvery = 5 * time.Second

// notifier tells somebody that a run went on: at once, or at most every notifyEvery and then surely. It asks the clock for
// nothing while it holds its lock, as a clock may call back while it holds its own.
type notifier struct {
	clock clock.WithDelayedExecution
	tell  func()

	mu    sync.Mutex
	last  time.Time
	dirty bool // there is something untold
	armed bool // a timer will tell it
}

func (n *notifier) touch(atOnce bool) {
	now := n.clock.Now()
	n.mu.Lock()
	// A clock that was set back must not make the wait longer.
	wait := min(n.last.Add(notifyEvery).Sub(now), notifyEvery)
	tell := atOnce || wait <= 0
	arm := !tell && !n.armed
	switch {
	case tell:
		n.last, n.dirty = now, false
	default:
		n.dirty, n.armed = true, true
	}
	n.mu.Unlock()
	if arm {
		n.clock.AfterFunc(wait, func() { n.ring(now.Add(wait)) })
	}
	if tell {
		n.tell()
	}
}

func (n *notifier) ring(at time.Time) {
	n.mu.Lock()
	tell := n.dirty
	n.dirty, n.armed = false, false
	if tell {
		n.last = at
	}
	n.mu.Unlock()
	if tell {
		n.tell()
	}
}
