// Package compare finds what two runs differ in: what ran, on which revision, node by node with results and times. It knows
// DbtRuns and what their journals come to. It never knows a client or a terminal.
package compare
