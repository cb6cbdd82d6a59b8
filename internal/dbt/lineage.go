package dbt

import (
	"maps"
	"slices"
)

// Lineage is the graph of what holds data, and what a run read and made of it.
type Lineage struct {
	Nodes, Edges int32
	// Inputs are the relations of sources that the run's nodes read; Outputs those that the run's nodes made. Sorted.
	Inputs, Outputs []string
	// Graph holds every node, parents before children; what the run made, and what that comes from, first.
	Graph []GraphNode
}

// GraphNode is a node of a Lineage.
type GraphNode struct {
	ID, Relation string
	DependsOn    []string
}

// Lineage returns the graph of the manifest and what the nodes in made, given by unique_id, read and wrote.
func (m *Manifest) Lineage(made []string) Lineage {
	l := Lineage{Nodes: int32(len(m.Nodes))}
	outputs := map[string]bool{}
	var read []string
	for _, id := range made {
		n, ok := m.Nodes[id]
		if !ok || n.ResourceType == "source" {
			continue
		}
		if n.Relation != "" {
			outputs[n.Relation] = true
		}
		read = append(read, n.DependsOn...)
	}
	touched := m.closure(made)
	order := m.sorted()
	for _, wanted := range []bool{true, false} {
		for _, id := range order {
			if touched[id] == wanted {
				l.Graph = append(l.Graph, GraphNode{ID: id, Relation: m.Nodes[id].Relation, DependsOn: m.parents(id)})
			}
		}
	}
	for _, n := range l.Graph {
		l.Edges += int32(len(n.DependsOn))
	}
	l.Inputs, l.Outputs = m.sources(read), slices.Sorted(maps.Keys(outputs))
	return l
}

// sources returns the relations of those of the nodes that are sources, sorted. An ephemeral model stands for what it reads
// itself.
func (m *Manifest) sources(todo []string) []string {
	relations, seen := map[string]bool{}, map[string]bool{}
	for len(todo) > 0 {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		switch n := m.Nodes[id]; {
		case n.ResourceType == "source" && n.Relation != "":
			relations[n.Relation] = true
		case n.Ephemeral && !seen[id]:
			seen[id] = true
			todo = append(todo, n.DependsOn...)
		}
	}
	return slices.Sorted(maps.Keys(relations))
}

// closure returns the given nodes and all they come from.
func (m *Manifest) closure(ids []string) map[string]bool {
	out := make(map[string]bool, len(ids))
	todo := slices.Clone(ids)
	for len(todo) > 0 {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if _, ok := m.Nodes[id]; ok && !out[id] {
			out[id] = true
			todo = append(todo, m.Nodes[id].DependsOn...)
		}
	}
	return out
}

// parents returns the parents of a node that are in the graph, sorted, each once.
func (m *Manifest) parents(id string) []string {
	var out []string
	for _, p := range m.Nodes[id].DependsOn {
		if _, ok := m.Nodes[p]; ok {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// sorted returns the unique_ids with parents before children, alphabetical where that leaves a choice. A manifest with
// a cycle, which dbt does not write, still yields every node once.
func (m *Manifest) sorted() []string {
	order := make([]string, 0, len(m.Nodes))
	state := make(map[string]bool, len(m.Nodes)) // false: on the stack, true: placed
	type frame struct {
		id      string
		parents []string
	}
	for _, root := range slices.Sorted(maps.Keys(m.Nodes)) {
		if _, seen := state[root]; seen {
			continue
		}
		state[root] = false
		stack := []frame{{root, m.parents(root)}}
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if len(top.parents) == 0 {
				state[top.id] = true
				order = append(order, top.id)
				stack = stack[:len(stack)-1]
				continue
			}
			next := top.parents[0]
			top.parents = top.parents[1:]
			if _, seen := state[next]; !seen {
				state[next] = false
				stack = append(stack, frame{next, m.parents(next)})
			}
		}
	}
	return order
}
