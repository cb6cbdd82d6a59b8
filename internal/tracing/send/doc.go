// Package send sends the traces of runs by an exporter of OpenTelemetry's own. It knows the exporter, how its settings choose it,
// and when a run's trace is sent, tried again or given up; it never knows Kubernetes, nor what a span says.
package send
