package model

import (
	"cmp"
	"slices"
)

// Sizes of a drawn graph.
const (
	nodeWidth, nodeHeight = 200.0, 32.0
	rowGap                = 14.0
	leastColumnGap        = 90.0
	// aspect is about how much wider than high a large graph becomes: as a screen is.
	aspect = 1.7
	sweeps = 12
)

// places returns the middle of each of n nodes, drawn from left to right in layers (Sugiyama's method): a node's column is
// how far it is from those that depend on nothing; within a column, nodes stand where those they are joined with stand. The
// time it takes is about that of a sort, since dagre takes half a minute for 5,000 nodes.
func places(n int, edges [][2]int) [][2]float64 {
	l := newLayers(n, edges)
	for i := range sweeps {
		l.order(i%2 == 0)
	}
	return l.place(n)
}

// layers are columns of nodes. An edge over several columns goes through a bend in each that it passes, so that it has room.
type layers struct {
	column    []int
	columns   [][]int // node or bend, in order from top to bottom
	left      [][]int // what is joined to it in the column before
	right     [][]int
	position  []float64
	bendsFrom int
}

func newLayers(n int, edges [][2]int) *layers {
	l := &layers{column: ranks(n, edges), bendsFrom: n}
	l.left, l.right = make([][]int, n), make([][]int, n)
	for _, e := range edges {
		from, to := e[0], e[1]
		if l.column[to] <= l.column[from] {
			continue // closes a circle, which dbt refuses and a hostile document may have
		}
		for c := l.column[from] + 1; c < l.column[to] && len(l.column) < maxBends+n; c++ {
			bend := len(l.column)
			l.column, l.left, l.right = append(l.column, c), append(l.left, nil), append(l.right, nil)
			l.join(from, bend)
			from = bend
		}
		if l.column[to]-l.column[from] == 1 {
			l.join(from, to)
		}
	}
	for v, c := range l.column {
		for len(l.columns) <= c {
			l.columns = append(l.columns, nil)
		}
		l.columns[c] = append(l.columns[c], v)
	}
	l.position = make([]float64, len(l.column))
	l.number()
	return l
}

// maxBends bounds the memory that a hostile document can take.
const maxBends = 1_000_000

func (l *layers) join(a, b int) {
	l.right[a], l.left[b] = append(l.right[a], b), append(l.left[b], a)
}

// ranks returns the column of each node: the longest way to it; a node of which nothing depends on and that depends on
// nothing is in the first. Sources that are needed late stand right before what needs them.
func ranks(n int, edges [][2]int) []int {
	waiting, children, parents := make([]int, n), make([][]int, n), make([]int, n)
	for _, e := range edges {
		children[e[0]] = append(children[e[0]], e[1])
		waiting[e[1]]++
		parents[e[1]]++
	}
	rank := make([]int, n)
	var ready []int
	for v := range n {
		if waiting[v] == 0 {
			ready = append(ready, v)
		}
	}
	for at := 0; at < len(ready); at++ {
		v := ready[at]
		for _, c := range children[v] {
			rank[c] = max(rank[c], rank[v]+1)
			if waiting[c]--; waiting[c] == 0 {
				ready = append(ready, c)
			}
		}
	}
	for v := range n {
		if parents[v] > 0 || len(children[v]) == 0 {
			continue
		}
		nearest := rank[children[v][0]]
		for _, c := range children[v] {
			nearest = min(nearest, rank[c])
		}
		rank[v] = max(0, nearest-1)
	}
	return rank
}

// number gives each its place in its column, counted from the middle so that columns of different length stand side by side.
func (l *layers) number() {
	for _, column := range l.columns {
		for i, v := range column {
			l.position[v] = float64(i) - float64(len(column)-1)/2
		}
	}
}

// order sorts each column by where its neighbours in the column before stand, or in the one after.
func (l *layers) order(forward bool) {
	joined, from, step := l.left, 1, 1
	if !forward {
		joined, from, step = l.right, len(l.columns)-2, -1
	}
	for c := from; c >= 0 && c < len(l.columns); c += step {
		column := l.columns[c]
		want := make(map[int]float64, len(column))
		for _, v := range column {
			want[v] = l.mean(v, joined[v])
		}
		slices.SortStableFunc(column, func(a, b int) int { return cmp.Compare(want[a], want[b]) })
		for i, v := range column {
			l.position[v] = float64(i) - float64(len(column)-1)/2
		}
	}
}

func (l *layers) mean(v int, joined []int) float64 {
	if len(joined) == 0 {
		return l.position[v]
	}
	sum := 0.0
	for _, u := range joined {
		sum += l.position[u]
	}
	return sum / float64(len(joined))
}

// size is how much of a column a node takes, or a bend.
func (l *layers) size(v int) float64 {
	if v >= l.bendsFrom {
		return rowGap
	}
	return nodeHeight + rowGap
}

// place turns the order into coordinates: each node as near to its neighbours as those above and below it let it.
func (l *layers) place(n int) [][2]float64 {
	for _, column := range l.columns {
		at := 0.0
		for _, v := range column {
			l.position[v] = at + l.size(v)/2
			at += l.size(v)
		}
		for _, v := range column {
			l.position[v] -= at / 2
		}
	}
	for i := range sweeps {
		for c := range l.columns {
			if i%2 == 1 {
				c = len(l.columns) - 1 - c
			}
			l.settle(l.columns[c], i%2 == 0)
		}
	}
	top, bottom := 0.0, 0.0
	for v := range n {
		top, bottom = min(top, l.position[v]), max(bottom, l.position[v])
	}
	gap := nodeWidth + leastColumnGap
	if columns := len(l.columns); columns > 1 {
		gap = max(gap, min(8*gap, (bottom-top)*aspect/float64(columns-1)))
	}
	out := make([][2]float64, n)
	for v := range n {
		out[v] = [2]float64{float64(l.column[v]) * gap, l.position[v]}
	}
	return out
}

// settle moves what is in a column toward the mean of its neighbours, and then apart where it would overlap: blocks that
// touch move as one, to the mean of what they want.
func (l *layers) settle(column []int, forward bool) {
	type block struct {
		first, last int
		sum         float64 // of where its members want the block's top
		size        float64
	}
	top := func(b block) float64 { return b.sum / float64(b.last-b.first+1) }
	var blocks []block
	for i, v := range column {
		joined := l.left[v]
		if !forward {
			joined = l.right[v]
		}
		b := block{i, i, l.mean(v, joined) - l.size(v)/2, l.size(v)}
		for len(blocks) > 0 {
			above := blocks[len(blocks)-1]
			if top(above)+above.size <= top(b) {
				break
			}
			b = block{above.first, b.last, above.sum + b.sum - float64(b.last-b.first+1)*above.size, above.size + b.size}
			blocks = blocks[:len(blocks)-1]
		}
		blocks = append(blocks, b)
	}
	for _, b := range blocks {
		at := top(b)
		for _, v := range column[b.first : b.last+1] {
			l.position[v] = at + l.size(v)/2
			at += l.size(v)
		}
	}
}
