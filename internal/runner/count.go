package runner

import (
	"context"
	"io"
	"os"
)

// count returns how many nodes a command is about where dbt does not say so itself, 0 where it does or nobody can.
//
// dbt 1.x numbers the nodes it runs; dbt 2.x has no number in any event, and lists what it selects in less time than
// dbt 1.x needs to start. A dbt that cannot list them says why when it runs the command.
func (r *Runner) count(ctx context.Context, p project, words []string) int32 {
	path, err := lookPath(r.environ)
	if err != nil || isScript(path) {
		return 0
	}
	planned, err := r.planned(ctx, p, words)
	if err != nil {
		return 0
	}
	return int32(planned.Left(nil))
}

// isScript reports whether a program is one for an interpreter, as dbt 1.x is for Python's. dbt 2.x is a binary.
func isScript(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // nothing was written
	var magic [2]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == "#!"
}
