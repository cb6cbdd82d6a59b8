package store

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

// turns lets those take turns, in this process, who publish one artifact.
type turns struct {
	mu sync.Mutex
	m  map[string]*turn
}

type turn struct {
	lock chan struct{}
	// users belongs to turns.
	users int
}

// take waits for the turn of a key, or gives up with the context's error. The caller calls release.
func (t *turns) take(ctx context.Context, key string) (release func(), err error) {
	t.mu.Lock()
	one := t.m[key]
	if one == nil {
		one = &turn{lock: make(chan struct{}, 1)}
		t.m[key] = one
	}
	one.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(t.m, key)
		}
	}
	select {
	case one.lock <- struct{}{}:
		return func() { <-one.lock; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// discardTime bounds the deletion of bytes that nobody can read. It goes on when whoever sent them is gone.
const discardTime = 10 * time.Second

// discard deletes those of an artifact's bytes that its document does not name. Bytes that it cannot tell or delete, and
// those of a process that dies before it comes here, are left to DeleteLeftovers, and to DeleteRun or DeleteProject, which
// delete all that lies below their owner.
func (s *Store) discard(ctx context.Context, of Owner, name string, ids ...string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTime)
	defer cancel()
	now, err := s.current(ctx, of, name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return
	}
	for _, id := range ids {
		if id != now.Data {
			_ = s.objects.delete(ctx, layout.DataKey(of, name, id))
		}
	}
}

// DeleteLeftovers deletes what lies among an owner's artifacts, is named by none of them and was written before a time, by
// the store's clock: the bytes of a process that died before it published them. before must be so early that nothing of then
// is still to be published.
func (s *Store) DeleteLeftovers(ctx context.Context, of Owner, before time.Time) error {
	if err := of.Check(); err != nil {
		return err
	}
	prefix := layout.ArtifactsPrefix(of)
	all, err := s.objects.list(ctx, prefix)
	if err != nil {
		return failed(err, "listing what is left of %s %s", of.Noun(), of)
	}
	var errs []error
	for _, o := range all {
		name, _, _ := strings.Cut(strings.TrimPrefix(o.Key, prefix), "/")
		if layout.CheckArtifact(name) != nil || o.Key == layout.CurrentKey(of, name) || !o.Time.Before(before) {
			continue
		}
		now, err := s.current(ctx, of, name)
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
		if err == nil && o.Key != layout.DataKey(of, name, now.Data) {
			err = s.objects.delete(ctx, o.Key)
		}
		if err != nil {
			errs = append(errs, failed(err, "deleting what is left of artifact %s of %s %s", name, of.Noun(), of))
		}
	}
	return errors.Join(errs...)
}
