package dbt

import "strings"

// Outcome classes of a node's status.
// https://docs.getdbt.com/reference/artifacts/run-results-json
type class int

const (
	unfinished class = iota
	success
	warned
	failed
	errored
	skipped
	noOp
	reused
)

// classes maps dbt's node statuses, in lower case, to what they are counted as.
var classes = map[string]class{
	"success": success, "pass": success,
	"warn": warned, "fail": failed,
	"error": errored, "runtime error": errored, "partial success": errored, "cancelled": errored,
	"skipped": skipped, "no-op": noOp, "reused": reused,
}

// done reports whether a node of that class ended well.
func (k class) done() bool { return k == success || k == warned || k == reused || k == noOp }

// Counts are nodes by what their status is counted as.
type Counts struct {
	Success, Warn, Fail, Error, Skipped, NoOp, Reused int32
}

// Failed is the number of nodes that did not end well; skipped nodes are not among them.
func (c Counts) Failed() int32 { return c.Fail + c.Error }

// Finished is the number of nodes that ended in any way.
func (c Counts) Finished() int32 {
	return c.Success + c.Warn + c.Fail + c.Error + c.Skipped + c.NoOp + c.Reused
}

// Count adds a node by its status, and reports whether dbt is known to have such a status.
func (c *Counts) Count(status string) bool {
	k, known := classes[status]
	c.add(k)
	return known
}

// NodeFailed reports whether a node with the status did not end well; a skipped one is not among them.
func NodeFailed(status string) bool { return classes[status] == failed || classes[status] == errored }

// NodeDone reports whether a node with the status is not run again: it was run, or needed no run. One that failed is run
// again: a lost pod or a warehouse that went away makes nodes fail too. Empty, of a node that never ended, is not done.
func NodeDone(status string) bool { return classes[strings.ToLower(status)].done() }

// NodeRan reports whether a node with the status ran and ended well. One that was reused, or had nothing to do, did not run.
func NodeRan(status string) bool {
	k := classes[strings.ToLower(status)]
	return k == success || k == warned
}

func (c *Counts) add(k class) {
	switch k {
	case success:
		c.Success++
	case warned:
		c.Warn++
	case failed:
		c.Fail++
	case errored:
		c.Error++
	case skipped:
		c.Skipped++
	case noOp:
		c.NoOp++
	case reused:
		c.Reused++
	case unfinished:
	}
}
