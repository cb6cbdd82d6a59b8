package main

import (
	"context"
	"runtime/debug"

	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// tidy is a manager.Runnable that gives back, once, the memory that decoding the first lists took: at a start there is much
// of it where many ended runs are, and Go would keep it for later.
type tidy struct{ cache cache.Cache }

// NeedLeaderElection says that every replica does: each has the lists.
func (tidy) NeedLeaderElection() bool { return false }

// Start waits for the lists.
func (t tidy) Start(ctx context.Context) error {
	if t.cache.WaitForCacheSync(ctx) {
		debug.FreeOSMemory()
	}
	return nil
}
