package model

import "slices"

// tolerance is how much later than the node that waits for it a node may seem to have ended, in milliseconds: dbt and the
// adapter round differently.
const tolerance = 50

// criticalPath marks the chain that the run's end hung on: from the node that ended last back to, each time, the one of
// those it had to wait for that ended last. A node waits for its parents, in a build for the tests of its parents too, and
// at the start of a command for all of the command before.
func (t *Timeline) criticalPath(parents map[string][]string) {
	last := -1
	for i, b := range t.Bars {
		if last < 0 || b.End > t.Bars[last].End {
			last = i
		}
	}
	if last < 0 {
		return
	}
	w := newWaits(t.Bars, parents)
	var steps []Step
	seen := map[int]bool{}
	for at := last; at >= 0 && !seen[at]; {
		seen[at] = true
		before := w.before(at)
		step := Step{Bar: at}
		if before >= 0 {
			step.Wait = max(0, t.Bars[at].Start-t.Bars[before].End)
		}
		steps = append(steps, step)
		t.Bars[at].Critical = true
		t.PathSeconds += seconds(t.Bars[at].End - t.Bars[at].Start)
		at = before
	}
	slices.Reverse(steps)
	t.Path = steps
}

// waits knows what a node had to wait for.
type waits struct {
	bars    []Bar
	index   map[string]int
	parents map[string][]string
	// tests are those of a node, by its unique_id.
	tests map[string][]int
	// ended is the bar of each command that ended last.
	ended map[int32]int
}

func newWaits(bars []Bar, parents map[string][]string) *waits {
	w := &waits{bars: bars, index: map[string]int{}, parents: parents, tests: map[string][]int{}, ended: map[int32]int{}}
	for i, b := range bars {
		w.index[b.ID] = i
		if at, ok := w.ended[b.Command]; !ok || b.End > bars[at].End {
			w.ended[b.Command] = i
		}
		if isTest(b.Type) {
			for _, p := range parents[b.ID] {
				w.tests[p] = append(w.tests[p], i)
			}
		}
	}
	return w
}

// before returns the bar that a bar waited for longest, -1 if there is none.
func (w *waits) before(at int) int {
	best := -1
	better := func(i int) {
		if i != at && w.bars[i].End <= w.bars[at].Start+tolerance && (best < 0 || w.bars[i].End > w.bars[best].End) {
			best = i
		}
	}
	seen := map[string]bool{}
	for todo := slices.Clone(w.parents[w.bars[at].ID]); len(todo) > 0; {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[id] {
			continue
		}
		seen[id] = true
		i, ran := w.index[id]
		if !ran {
			// What makes no table of its own has those above it stand for it.
			todo = append(todo, w.parents[id]...)
			continue
		}
		better(i)
		if !isTest(w.bars[at].Type) {
			for _, test := range w.tests[id] {
				better(test)
			}
		}
	}
	if best >= 0 {
		return best
	}
	return w.commandBefore(at)
}

// commandBefore returns the bar that ended last of the newest command before that of a bar.
func (w *waits) commandBefore(at int) int {
	best := -1
	for command, i := range w.ended {
		if command < w.bars[at].Command && w.bars[i].End <= w.bars[at].Start+tolerance && (best < 0 || command > w.bars[best].Command) {
			best = i
		}
	}
	return best
}
