package layout

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Object is what a listing tells of one object.
type Object struct {
	Key string
	// Size is in bytes.
	Size int64
	// Time is when it was written, by the store's clock.
	Time time.Time
}

// Segment is one append.
type Segment struct {
	Key        string
	From, Size int64
}

// View is what a part's objects come to.
type View struct {
	// Base is the key of the newest base, or empty if the part has not begun.
	Base string
	// Begin is how many bytes the base holds: the offset that Chain begins at.
	Begin int64
	// Chain follows the base without a gap; its segments are not empty.
	Chain []Segment
	// End is where the part ends.
	End int64
	// Stale are keys of objects that are no part of it any more, in the order in which they may be deleted.
	Stale []string
}

// ErrNoBase is for segments without a base: somebody else deleted it, or a run was deleted while it was appended to.
var ErrNoBase = errors.New("there are segments, and what they follow is not there")

// Resolve makes a View of the objects below prefix. It is an error if a base has not the size that its name says, or if
// there are segments and no base: somebody else changed them.
func Resolve(prefix string, objects []Object) (View, error) {
	var v View
	var bases, segments []Segment
	for _, o := range objects {
		name := strings.TrimPrefix(o.Key, prefix)
		if to, ok := parseBase(name); ok {
			if o.Size != to {
				return View{}, fmt.Errorf("%s is damaged: it has %d bytes, not %d", o.Key, o.Size, to)
			}
			bases = append(bases, Segment{Key: o.Key, Size: to})
		} else if from, ok := parseSegment(name); ok {
			segments = append(segments, Segment{Key: o.Key, From: from, Size: o.Size})
		}
	}
	if len(bases) == 0 {
		if len(segments) > 0 {
			return View{}, fmt.Errorf("%s is damaged: %w", prefix, ErrNoBase)
		}
		return v, nil
	}
	byKey := func(a, b Segment) int { return cmp.Compare(a.Key, b.Key) }
	slices.SortFunc(bases, byKey)
	slices.SortFunc(segments, byKey)
	newest := bases[len(bases)-1]
	v.Base, v.Begin, v.End = newest.Key, newest.Size, newest.Size
	for _, b := range bases[:len(bases)-1] {
		v.Stale = append(v.Stale, b.Key)
	}
	for _, s := range segments {
		switch {
		case s.From < v.Begin:
			v.Stale = append(v.Stale, s.Key)
		case s.From == v.End && s.Size > 0 && s.Size <= math.MaxInt64-v.End:
			v.Chain = append(v.Chain, s)
			v.End += s.Size
		}
	}
	return v, nil
}

// Piece returns the object that holds the byte at an offset before the end, and the offset it begins at and ends at.
func (v View) Piece(offset int64) (key string, from, to int64) {
	if offset < v.Begin {
		return v.Base, 0, v.Begin
	}
	i, found := slices.BinarySearchFunc(v.Chain, offset, func(s Segment, at int64) int { return cmp.Compare(s.From, at) })
	if !found {
		i--
	}
	s := v.Chain[i]
	return s.Key, s.From, s.From + s.Size
}
