// Package command is the command line of `kubectl dbt`: its commands with their flags, help and examples, what each asks of
// the packages beside it, and what comes out where. It knows all of those. It never knows the real clock, the process's own
// streams or its exit: cmd/kubectl-dbt hands them in.
package command
