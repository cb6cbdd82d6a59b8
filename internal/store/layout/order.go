package layout

import (
	"slices"
	"strings"
)

// Order is what the markers of a stream come to.
type Order struct {
	// Parts are in the order in which they began.
	Parts []string
	// Last is the greatest ordinal there is.
	Last int
}

// ReadOrder reads the markers below prefix. Two writers may have given one ordinal twice, or one part two of them: names
// decide, and the first one counts.
func ReadOrder(prefix string, objects []Object) Order {
	var o Order
	names := make([]string, 0, len(objects))
	for _, object := range objects {
		names = append(names, strings.TrimPrefix(object.Key, prefix))
	}
	slices.Sort(names)
	for _, name := range names {
		ordinal, part, ok := parseOrder(name)
		if !ok {
			continue
		}
		o.Last = max(o.Last, ordinal)
		if !slices.Contains(o.Parts, part) {
			o.Parts = append(o.Parts, part)
		}
	}
	return o
}
