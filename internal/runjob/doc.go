// Package runjob builds the Job that carries a DbtRun out. It knows how a run and its project become one resolved
// whole, and what the Job, its pod, its names and its labels look like. It never knows a client, a clock or a status:
// it is a pure function of its input, which it does not change.
package runjob
