package graph

import (
	"fmt"
	"io"
	"slices"
	"strings"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/dbt"
)

// Node is a node of the graph.
type Node struct {
	// ID is dbt's unique_id.
	ID       string `json:"id"`
	Type     string `json:"type,omitempty"`
	Relation string `json:"relation,omitempty"`
	// DependsOn are the unique_ids of its parents, sorted.
	DependsOn []string `json:"dependsOn,omitempty"`
}

// Graph is a lineage graph.
type Graph struct {
	// Nodes are sorted by ID.
	Nodes []Node `json:"nodes"`
	// Truncated says that there are more.
	Truncated bool `json:"truncated,omitempty"`
}

// File is the artifact of a run that has its whole lineage, and the SQL of its nodes.
const File = "lineage.json"

// Kept reports whether File of a run is kept.
func Kept(run *v1alpha1.DbtRun) bool {
	return slices.ContainsFunc(run.Status.Artifacts, func(a v1alpha1.Artifact) bool { return a.Name == File })
}

// OfStatus returns as much of the graph as a run's status holds.
func OfStatus(l *v1alpha1.Lineage) Graph {
	var g Graph
	if l == nil {
		return g
	}
	for _, n := range l.Graph {
		g.Nodes = append(g.Nodes, Node{ID: n.ID, Type: typeOf(n.ID), Relation: n.Relation, DependsOn: slices.Clone(n.DependsOn)})
	}
	g.Truncated = l.Truncated
	return g.sorted()
}

// Read returns the graph of a lineage.json, whole. With tests, data tests and unit tests are in it.
func Read(r io.Reader, tests bool) (Graph, error) {
	var g Graph
	header, err := dbt.ReadLineage(r, func(n dbt.LineageNode) error {
		if !tests && (n.ResourceType == "test" || n.ResourceType == "unit_test") {
			return nil
		}
		node := Node{ID: n.ID, Type: n.ResourceType, DependsOn: slices.Clone(n.DependsOn)}
		if n.Relation != nil {
			node.Relation = n.Relation.Name
		}
		g.Nodes = append(g.Nodes, node)
		return nil
	})
	if err != nil {
		return Graph{}, err
	}
	g.Truncated = len(header.Incomplete) > 0
	return g.sorted(), nil
}

func typeOf(id string) string {
	kind, _, _ := strings.Cut(id, ".")
	return kind
}

// sorted returns the graph in an order that is always the same, without parents that are not in it.
func (g Graph) sorted() Graph {
	known := map[string]bool{}
	for _, n := range g.Nodes {
		known[n.ID] = true
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		n.DependsOn = slices.DeleteFunc(n.DependsOn, func(id string) bool { return !known[id] })
		slices.Sort(n.DependsOn)
	}
	slices.SortFunc(g.Nodes, func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
	return g
}

// Around returns what a node depends on, what depends on it, and itself. It is named by its unique_id, or by its last part
// if no other node has that; a source gives way to what is none, as where dbt selects by name.
// https://docs.getdbt.com/reference/node-selection/methods
func (g Graph) Around(name string) (Graph, error) {
	var found []string
	for _, n := range g.Nodes {
		if n.ID == name || strings.HasSuffix(n.ID, "."+name) {
			found = append(found, n.ID)
		}
	}
	if slices.Contains(found, name) {
		found = []string{name}
	} else if made := slices.DeleteFunc(slices.Clone(found), func(id string) bool { return typeOf(id) == "source" }); len(made) > 0 {
		found = made
	}
	switch {
	case len(found) == 0 && g.Truncated:
		return Graph{}, fmt.Errorf("there is no node %q in as much of the lineage as the run's status holds: ask for the whole with --whole", name)
	case len(found) == 0:
		return Graph{}, fmt.Errorf("there is no node %q in the lineage: give a node's name or unique_id, such as model.shop.orders", name)
	case len(found) > 1:
		return Graph{}, fmt.Errorf("%q is the name of several nodes: give one of %s", name, strings.Join(found, ", "))
	}
	parents, children := map[string][]string{}, map[string][]string{}
	for _, n := range g.Nodes {
		parents[n.ID] = n.DependsOn
		for _, p := range n.DependsOn {
			children[p] = append(children[p], n.ID)
		}
	}
	wanted := map[string]bool{}
	reach(found[0], parents, wanted)
	below := map[string]bool{}
	reach(found[0], children, below)
	for id := range below {
		wanted[id] = true
	}
	g.Nodes = slices.DeleteFunc(slices.Clone(g.Nodes), func(n Node) bool { return !wanted[n.ID] })
	for i := range g.Nodes {
		g.Nodes[i].DependsOn = slices.Clone(g.Nodes[i].DependsOn)
	}
	return g.sorted(), nil
}

// reach marks all that can be come to from a node.
func reach(from string, next map[string][]string, seen map[string]bool) {
	for todo := []string{from}; len(todo) > 0; {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !seen[id] {
			seen[id] = true
			todo = append(todo, next[id]...)
		}
	}
}
