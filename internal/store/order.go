package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

// Parts returns the parts of a stream in the order in which they began; none for a stream that has not begun.
func (s *Store) Parts(ctx context.Context, run Run, stream string) ([]string, error) {
	if err := run.Check(); err != nil {
		return nil, err
	}
	if err := layout.CheckLabel("stream", stream); err != nil {
		return nil, err
	}
	o, err := s.order(ctx, run, stream)
	if err != nil {
		return nil, failed(err, "listing the parts of the %s of run %s", stream, run)
	}
	return o.Parts, nil
}

func (s *Store) order(ctx context.Context, run Run, stream string) (layout.Order, error) {
	prefix := layout.OrderPrefix(run, stream)
	all, err := s.objects.list(ctx, prefix)
	if err != nil {
		return layout.Order{}, err
	}
	return layout.ReadOrder(prefix, all), nil
}

// begin makes what a part needs before its first segment: its place in the order, and an empty base.
func (s *Store) begin(ctx context.Context, p layout.Place) error {
	o, err := s.order(ctx, p.Run, p.Stream)
	if err != nil {
		return err
	}
	if !slices.Contains(o.Parts, p.Part) {
		key := layout.OrderPrefix(p.Run, p.Stream) + layout.OrderName(o.Last+1, p.Part)
		if _, err := s.objects.put(ctx, key, bytes.NewReader(nil), put{}); err != nil {
			return fmt.Errorf("noting its place: %w", err)
		}
	}
	_, err = s.objects.put(ctx, p.BaseKey(0, unique()), bytes.NewReader(nil), put{})
	return err
}
