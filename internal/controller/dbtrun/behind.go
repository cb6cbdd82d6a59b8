package dbtrun

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// behind remembers, for each run, the version that this process has replaced by its own last write. A cache that still
// shows that version has nothing to decide on: what came of it would be refused as a conflict, or, worse, done twice.
// It is true for moments only; without it, after a restart, the conflict is what keeps the run right.
type behind struct {
	mu       sync.Mutex
	replaced map[types.NamespacedName]string
}

// wrote notes that a version of a run was replaced.
func (b *behind) wrote(key types.NamespacedName, version string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.replaced == nil {
		b.replaced = map[types.NamespacedName]string{}
	}
	b.replaced[key] = version
}

// is reports whether a run as the cache shows it is the version that was replaced, and forgets about it when not.
func (b *behind) is(key types.NamespacedName, run *v1alpha1.DbtRun) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	version, ok := b.replaced[key]
	if ok && version == run.ResourceVersion {
		return true
	}
	delete(b.replaced, key)
	return false
}

// forget drops a run that is gone.
func (b *behind) forget(key types.NamespacedName) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.replaced, key)
}
