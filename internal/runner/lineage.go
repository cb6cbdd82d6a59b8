package runner

import (
	"os"
	"path/filepath"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// lineage reads the manifest that dbt left. What cannot be read is no reason to call a run failed.
func (r *Runner) lineage() *journal.Lineage {
	f, err := os.Open(filepath.Join(r.folders.target(), "manifest.json"))
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	m, err := dbt.ReadManifest(f)
	if err != nil {
		r.print.line("warn", "No lineage: "+err.Error())
		return nil
	}
	if m.Adapter != "" && r.state.Report("").Adapter == "" {
		// dbt 2.x names its adapter nowhere else.
		r.enter(journal.Entry{Kind: journal.KindEngine, Adapter: m.Adapter})
	}
	l := m.Lineage(r.state.Made())
	out := &journal.Lineage{Nodes: l.Nodes, Edges: l.Edges, Inputs: r.cleaned(l.Inputs), Outputs: r.cleaned(l.Outputs)}
	for _, n := range l.Graph {
		out.Graph = append(out.Graph, journal.GraphNode{
			ID: r.redact.Clean(n.ID), Relation: r.redact.Clean(n.Relation), DependsOn: r.cleaned(n.DependsOn),
		})
	}
	return out
}

// cleaned redacts names in place.
func (r *Runner) cleaned(names []string) []string {
	for i := range names {
		names[i] = r.redact.Clean(names[i])
	}
	return names
}
