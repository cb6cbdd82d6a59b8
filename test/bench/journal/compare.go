package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// compare looks at what is kept of a pod's run: through the collector, as the next attempt sees it, and in its store.
func compare(ctx context.Context, b *benchmark, p *pod, url string, nodes int) ([]row, error) {
	next, err := newPod(b.dir, url, b.ca, p.run, 2)
	if err != nil {
		return nil, err
	}
	state, err := next.client.Journal(ctx, false)
	if err != nil {
		return nil, err
	}
	report := state.Report("")
	kept, err := stored(ctx, filepath.Join(b.dir, "one", "store"), p)
	if err != nil {
		return nil, err
	}
	seen := map[string]int{}
	skipped, err := journal.DecodeEntries(bytes.NewReader(kept), func(e journal.Entry) error {
		if e.Kind == journal.KindResult {
			seen[e.Node.ID]++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	lost, doubled := 0, 0
	for i := range nodes {
		switch n := seen[nodeID(i)]; {
		case n == 0:
			lost++
		case n > 1:
			doubled++
		}
	}
	same := bytes.Equal(kept, p.sent)
	return []row{
		{"node results lost", fmt.Sprint(lost), "0", lost == 0},
		{"node results doubled", fmt.Sprint(doubled), "0", doubled == 0},
		{"lines that are no entry", fmt.Sprint(skipped), "0", skipped == 0},
		{fmt.Sprintf("bytes kept, of %d sent", len(p.sent)), fmt.Sprintf("%d, the same: %t", len(kept), same), "the same", same},
		{"nodes that the next attempt finds done", fmt.Sprint(report.Results.Success), fmt.Sprint(nodes), int(report.Results.Success) == nodes},
	}, nil
}

// stored returns what a store has of a pod's journal.
func stored(ctx context.Context, dir string, p *pod) ([]byte, error) {
	s, err := store.Open(ctx, "file://"+dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	in, err := s.Read(ctx, store.Run{Namespace: namespace, UID: string(runUID(p.run))}, journal.StreamJournal, string(podUID(p.name)))
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	return io.ReadAll(in)
}
