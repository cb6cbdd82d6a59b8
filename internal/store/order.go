package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
)

// order is what the markers of a stream come to.
type order struct {
	// parts are in the order in which they began.
	parts []string
	// last is the greatest ordinal there is.
	last int
}

// Parts returns the parts of a stream in the order in which they began; none for a stream that has not begun.
func (s *Store) Parts(ctx context.Context, run Run, stream string) ([]string, error) {
	if err := run.check(); err != nil {
		return nil, err
	}
	if err := checkLabel("stream", stream); err != nil {
		return nil, err
	}
	o, err := s.order(ctx, run, stream)
	if err != nil {
		return nil, failed(err, "listing the parts of the %s of run %s", stream, run)
	}
	return o.parts, nil
}

func (s *Store) order(ctx context.Context, run Run, stream string) (order, error) {
	prefix := orderPrefix(run, stream)
	all, err := s.objects.list(ctx, prefix)
	if err != nil {
		return order{}, err
	}
	return ordered(prefix, all), nil
}

// ordered reads markers. Two writers may have given one ordinal twice, or one part two of them: names decide, and the first
// one counts.
func ordered(prefix string, objects []object) order {
	var o order
	names := make([]string, 0, len(objects))
	for _, object := range objects {
		names = append(names, strings.TrimPrefix(object.key, prefix))
	}
	slices.Sort(names)
	for _, name := range names {
		ordinal, part, ok := parseOrder(name)
		if !ok {
			continue
		}
		o.last = max(o.last, ordinal)
		if !slices.Contains(o.parts, part) {
			o.parts = append(o.parts, part)
		}
	}
	return o
}

// begin makes what a part needs before its first segment: its place in the order, and an empty base.
func (s *Store) begin(ctx context.Context, p place) error {
	o, err := s.order(ctx, p.run, p.stream)
	if err != nil {
		return err
	}
	if !slices.Contains(o.parts, p.part) {
		key := orderPrefix(p.run, p.stream) + orderName(o.last+1, p.part)
		if _, err := s.objects.put(ctx, key, bytes.NewReader(nil), put{}); err != nil {
			return fmt.Errorf("noting its place: %w", err)
		}
	}
	_, err = s.objects.put(ctx, p.newBaseKey(0), bytes.NewReader(nil), put{})
	return err
}
