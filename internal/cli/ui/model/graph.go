package model

import (
	"github.com/dbt-operator/dbt-operator/internal/cli/graph"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// Graph is the lineage of a run, with what became of each node and a place for it.
type Graph struct {
	Nodes []GraphNode `json:"nodes"`
	// Edges are pairs of indexes into Nodes, from parent to child.
	Edges [][2]int `json:"edges"`
	// Width and Height of one node.
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
	// Truncated says that there are more.
	Truncated bool     `json:"truncated,omitempty"`
	Notes     []string `json:"notes,omitempty"`
}

// GraphNode is a node of a Graph.
type GraphNode struct {
	ID       string  `json:"id"`
	Name     string  `json:"name"`
	Type     string  `json:"type"`
	Relation string  `json:"relation,omitempty"`
	Class    string  `json:"class"`
	Status   string  `json:"status,omitempty"`
	Seconds  float64 `json:"seconds,omitempty"`
	Message  string  `json:"message,omitempty"`
	// X and Y are its middle.
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// GraphOf returns the lineage with the results of a run's nodes, by unique_id.
func GraphOf(g graph.Graph, results map[string]journal.Node) Graph {
	out := Graph{Nodes: make([]GraphNode, 0, len(g.Nodes)), Edges: [][2]int{}, Width: nodeWidth, Height: nodeHeight, Truncated: g.Truncated}
	index := map[string]int{}
	for i, n := range g.Nodes {
		index[n.ID] = i
		node := GraphNode{ID: n.ID, Name: Name(n.ID), Type: n.Type, Relation: n.Relation, Class: ClassNone}
		if r, ran := results[n.ID]; ran {
			node.Class, node.Status, node.Seconds, node.Message = Class(r.Status), r.Status, r.Seconds, r.Message
		}
		out.Nodes = append(out.Nodes, node)
	}
	for i, n := range g.Nodes {
		for _, p := range n.DependsOn {
			if at, ok := index[p]; ok && at != i {
				out.Edges = append(out.Edges, [2]int{at, i})
			}
		}
	}
	for i, at := range places(len(out.Nodes), out.Edges) {
		out.Nodes[i].X, out.Nodes[i].Y = at[0], at[1]
	}
	return out
}

// Parents returns what each node of a graph depends on, by unique_id.
func Parents(g graph.Graph) map[string][]string {
	out := map[string][]string{}
	for _, n := range g.Nodes {
		out[n.ID] = n.DependsOn
	}
	return out
}
