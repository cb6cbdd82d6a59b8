// Package graph is the lineage graph of a run, from its status or from lineage.json, as a tree, as Graphviz's dot, as
// Mermaid or as JSON. It knows nodes and what they depend on. It never knows a client, a terminal, or where the document
// came from.
package graph
