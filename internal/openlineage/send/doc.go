// Package send knows how OpenLineage events get out: over HTTP, in order, at least once, for every run that started,
// also across restarts and while the endpoint is away. What is due follows from what is known of a run and from a mark
// that says how far it got, never from memory. It never knows Kubernetes, controllers or where runs and marks are kept.
package send
