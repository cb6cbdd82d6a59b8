package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// segment is one append.
type segment struct {
	key        string
	from, size int64
}

// view is what a part's objects come to.
type view struct {
	// base is the key of the newest base, or empty if the part has not begun.
	base string
	// begin is how many bytes the base holds: the offset that chain begins at.
	begin int64
	// chain follows the base without a gap; its segments are not empty.
	chain []segment
	// end is where the part ends.
	end int64
	// stale are keys of objects that are no part of it any more, in the order in which they may be deleted.
	stale []string
}

// errNoBase is for segments without a base: somebody else deleted it, or a run was deleted while it was appended to.
var errNoBase = errors.New("there are segments, and what they follow is not there")

// resolve makes a view of the objects below prefix. It is an error if a base has not the size that its name says, or if
// there are segments and no base: somebody else changed them.
func resolve(prefix string, objects []object) (view, error) {
	var v view
	var bases, segments []segment
	for _, o := range objects {
		name := strings.TrimPrefix(o.key, prefix)
		if to, ok := parseBase(name); ok {
			if o.size != to {
				return view{}, fmt.Errorf("%s is damaged: it has %d bytes, not %d", o.key, o.size, to)
			}
			bases = append(bases, segment{key: o.key, size: to})
		} else if from, ok := parseSegment(name); ok {
			segments = append(segments, segment{key: o.key, from: from, size: o.size})
		}
	}
	if len(bases) == 0 {
		if len(segments) > 0 {
			return view{}, fmt.Errorf("%s is damaged: %w", prefix, errNoBase)
		}
		return v, nil
	}
	byKey := func(a, b segment) int { return cmp.Compare(a.key, b.key) }
	slices.SortFunc(bases, byKey)
	slices.SortFunc(segments, byKey)
	newest := bases[len(bases)-1]
	v.base, v.begin, v.end = newest.key, newest.size, newest.size
	for _, b := range bases[:len(bases)-1] {
		v.stale = append(v.stale, b.key)
	}
	for _, s := range segments {
		switch {
		case s.from < v.begin:
			v.stale = append(v.stale, s.key)
		case s.from == v.end && s.size > 0:
			v.chain = append(v.chain, s)
			v.end += s.size
		}
	}
	return v, nil
}

// piece returns the object that holds the byte at an offset before the end, and the offset it begins at and ends at.
func (v view) piece(offset int64) (key string, from, to int64) {
	if offset < v.begin {
		return v.base, 0, v.begin
	}
	i, found := slices.BinarySearchFunc(v.chain, offset, func(s segment, at int64) int { return cmp.Compare(s.from, at) })
	if !found {
		i--
	}
	s := v.chain[i]
	return s.key, s.from, s.from + s.size
}
