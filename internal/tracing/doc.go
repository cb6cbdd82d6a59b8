// Package tracing knows the trace of a run: which spans it has, how they are named and joined to the caller's trace, and what
// each says. It builds them from what is known of a run and from its journal's timeline, one by one, with IDs made of the run's
// UID: the same run gives the same spans, however often they are built. It never knows Kubernetes, the network, files or a
// clock.
//
// docs/tracing.md says which attributes are OpenTelemetry's and which are our own.
package tracing
