package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrNotReport is returned by Decode for bytes that are no report: an empty message, or the tail of a log, which
// kubelet puts in a report's place when the runner was killed before it could write one.
var ErrNotReport = errors.New("not a report of the runner")

// maxEncoded bounds what Decode looks at; kubelet gives at most 4096 bytes.
const maxEncoded = 64 << 10

// Decode returns the report in b. The bytes come from a pod that may be hostile: strings are cut and cleaned, lists
// and numbers bounded, an unknown outcome refused.
func Decode(b []byte) (Report, error) {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || b[0] != '{' || len(b) > maxEncoded {
		return Report{}, ErrNotReport
	}
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return Report{}, fmt.Errorf("%w: %w", ErrNotReport, err)
	}
	if w.Version != Version {
		return Report{}, fmt.Errorf("%w: found version %d, want %d", ErrNotReport, w.Version, Version)
	}
	if !w.Outcome.known() {
		return Report{}, fmt.Errorf("%w: its outcome is unknown", ErrNotReport)
	}
	r := w.Report
	r.Lineage = nil
	if w.Lineage != nil {
		r.Lineage = &w.Lineage.Lineage
	}
	r = bounded(r)
	if w.Lineage != nil && w.Lineage.Packed != "" {
		graph, err := unpack(w.Lineage.Packed)
		if err != nil {
			r.Lineage.Truncated = true
		}
		r.Lineage.Graph = graph
	}
	return r, nil
}

func (o Outcome) known() bool {
	switch o {
	case Succeeded, NodesFailed, DbtError, SourceFailed, SourceUnavailable, InvalidPlan, Interrupted, OutOfMemory:
		return true
	default:
		return false
	}
}
