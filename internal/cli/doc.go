// Package cli holds nothing itself. Below it is what `kubectl dbt` is made of, in parts that other faces of the operator
// can use as well: kube and kept gather and act, intent, graph, view and doctor decide and render, command wires them to
// a command line.
package cli
