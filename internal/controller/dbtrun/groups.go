package dbtrun

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// groups remembers two things that are true for moments only: which run has just created a Job that the cache may not
// show yet, and which runs wait. Neither is the truth about a group, which is its Jobs and pods in the cluster: after
// a restart the cache is read anew and both are rebuilt from it.
type groups struct {
	mu      sync.Mutex
	holders map[groupID]holder
	waiting map[groupID]map[types.NamespacedName]time.Time
	waits   map[types.NamespacedName]groupID
}

// groupID is a namespace and a value of LabelGroup.
type groupID struct{ namespace, label string }

// holder is a run that looks at a group in order to begin, or has just begun.
type holder struct {
	run types.NamespacedName
	uid types.UID
	// job is the name of the Job it created, empty while it only looks.
	job string
}

func newGroups() *groups {
	return &groups{
		holders: map[groupID]holder{},
		waiting: map[groupID]map[types.NamespacedName]time.Time{},
		waits:   map[types.NamespacedName]groupID{},
	}
}

// take makes a run the holder of its group, and returns who holds it when another run does.
func (g *groups) take(id groupID, h holder) (other holder, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now, held := g.holders[id]; held && now.uid != h.uid {
		return now, false
	}
	if g.holders[id].uid != h.uid {
		g.holders[id] = h
	}
	return holder{}, true
}

// began notes the Job that the holder is about to create.
func (g *groups) began(id groupID, uid types.UID, job string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if h := g.holders[id]; h.uid == uid {
		h.job = job
		g.holders[id] = h
	}
}

// release gives a group back, if this run holds it.
func (g *groups) release(id groupID, uid types.UID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holders[id].uid == uid {
		delete(g.holders, id)
	}
}

// wait notes that a run waits in a group.
func (g *groups) wait(id groupID, run types.NamespacedName, created time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leave(run)
	if g.waiting[id] == nil {
		g.waiting[id] = map[types.NamespacedName]time.Time{}
	}
	g.waiting[id][run] = created
	g.waits[run] = id
}

// unwait notes that a run does not wait any more, and returns the group it waited in.
func (g *groups) unwait(run types.NamespacedName) (groupID, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.leave(run)
}

func (g *groups) leave(run types.NamespacedName) (groupID, bool) {
	id, ok := g.waits[run]
	if !ok {
		return id, false
	}
	delete(g.waits, run)
	delete(g.waiting[id], run)
	if len(g.waiting[id]) == 0 {
		delete(g.waiting, id)
	}
	return id, true
}

// next returns the run that has waited longest in a group.
func (g *groups) next(id groupID) (types.NamespacedName, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var first types.NamespacedName
	var since time.Time
	for run, created := range g.waiting[id] {
		if first.Name == "" || created.Before(since) || created.Equal(since) && run.Name < first.Name {
			first, since = run, created
		}
	}
	return first, first.Name != ""
}
