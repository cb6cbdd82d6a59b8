package dbt

import (
	"errors"
	"fmt"
	"io"
)

// maxResultValue bounds one result of run_results.json in memory: it has the node's SQL.
const maxResultValue = 16 << 20

// ReadThreads returns the thread that each node of a run_results.json ran on, by unique_id, as far as dbt says it. With an
// error it returns what it had read until then.
func ReadThreads(r io.Reader) (map[string]string, error) {
	d := newBoundedDecoder(r, maxResultValue)
	out := map[string]string{}
	err := d.document("run_results.json", func(key string) error {
		if key != "results" {
			return d.SkipValue()
		}
		return d.array(func() error {
			var n struct {
				UniqueID string `json:"unique_id"`
				Thread   string `json:"thread_id"`
			}
			if err := errors.Join(d.value(&n)); err != nil {
				return fmt.Errorf("results: %w", err)
			}
			if len(out) >= MaxLineageNodes {
				return errTooManyNodes
			}
			if n.UniqueID != "" && n.Thread != "" {
				out[n.UniqueID] = cutText(n.Thread)
			}
			return nil
		})
	})
	return out, err
}
