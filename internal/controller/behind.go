package controller

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Behind remembers, for each object, the version that this process has replaced by its own last write. A cache that still
// shows that version has nothing to decide on: what came of it would be refused as a conflict, or, worse, done twice.
// It is true for moments only; without it, after a restart, the conflict is what keeps the object right.
type Behind struct {
	mu       sync.Mutex
	replaced map[types.NamespacedName]string
}

// Wrote notes that a version of an object was replaced.
func (b *Behind) Wrote(key types.NamespacedName, version string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.replaced == nil {
		b.replaced = map[types.NamespacedName]string{}
	}
	b.replaced[key] = version
}

// Is reports whether an object as the cache shows it is the version that was replaced, and forgets about it when not.
func (b *Behind) Is(key types.NamespacedName, object client.Object) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	version, ok := b.replaced[key]
	if ok && version == object.GetResourceVersion() {
		return true
	}
	delete(b.replaced, key)
	return false
}

// Forget drops an object that is gone.
func (b *Behind) Forget(key types.NamespacedName) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.replaced, key)
}
