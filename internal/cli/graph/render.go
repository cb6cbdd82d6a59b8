package graph

import (
	"fmt"
	"io"
	"strings"
)

// Tree writes the graph as a tree, sources at the left. A node that is reached by several ways is written out once; where it
// comes again, a mark says that its children stand elsewhere.
func (g Graph) Tree(w io.Writer) error {
	children := map[string][]Node{}
	for _, n := range g.Nodes {
		for _, p := range n.DependsOn {
			children[p] = append(children[p], n)
		}
	}
	t := tree{children: children, seen: map[string]bool{}}
	for _, n := range g.Nodes {
		if len(n.DependsOn) == 0 {
			t.node(n, "", "")
		}
	}
	_, err := io.WriteString(w, t.out.String())
	return err
}

type tree struct {
	children map[string][]Node
	seen     map[string]bool
	out      strings.Builder
}

// node writes a node behind first, and what is below it behind rest.
func (t *tree) node(n Node, first, rest string) {
	line := first + n.ID
	if n.Relation != "" {
		line += "  " + n.Relation
	}
	below := t.children[n.ID]
	again := t.seen[n.ID] && len(below) > 0
	if again {
		line += "  (see above)"
	}
	t.out.WriteString(line + "\n")
	if again || t.seen[n.ID] {
		return
	}
	t.seen[n.ID] = true
	for i, child := range below {
		if i == len(below)-1 {
			t.node(child, rest+"└── ", rest+"    ")
		} else {
			t.node(child, rest+"├── ", rest+"│   ")
		}
	}
}

// shapes are those of Graphviz and of Mermaid, by type of node.
var shapes = map[string][3]string{
	"source": {"cylinder", "[(", ")]"}, "seed": {"cylinder", "[(", ")]"}, "snapshot": {"folder", "[[", "]]"},
	"exposure": {"note", ">", "]"}, "test": {"diamond", "{{", "}}"}, "unit_test": {"diamond", "{{", "}}"},
}

func shapeOf(n Node) [3]string {
	if s, ok := shapes[n.Type]; ok {
		return s
	}
	return [3]string{"box", "[", "]"}
}

// Dot writes the graph for Graphviz.
func (g Graph) Dot(w io.Writer) error {
	var b strings.Builder
	b.WriteString("digraph lineage {\n  rankdir=LR;\n")
	for _, n := range g.Nodes {
		fmt.Fprintf(&b, "  %s [shape=%s];\n", dotString(n.ID), shapeOf(n)[0])
	}
	for _, n := range g.Nodes {
		for _, p := range n.DependsOn {
			fmt.Fprintf(&b, "  %s -> %s;\n", dotString(p), dotString(n.ID))
		}
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func dotString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// Mermaid writes the graph for Mermaid, as Markdown on GitHub and GitLab shows it.
func (g Graph) Mermaid(w io.Writer) error {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	index := map[string]int{}
	for i, n := range g.Nodes {
		index[n.ID] = i
		shape := shapeOf(n)
		fmt.Fprintf(&b, "  n%d%s\"%s\"%s\n", i, shape[1], mermaidText(n.ID), shape[2])
	}
	for _, n := range g.Nodes {
		for _, p := range n.DependsOn {
			fmt.Fprintf(&b, "  n%d --> n%d\n", index[p], index[n.ID])
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// mermaidText writes what Mermaid reads as its own in Mermaid's entities.
func mermaidText(s string) string {
	return strings.NewReplacer("#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;").Replace(s)
}
