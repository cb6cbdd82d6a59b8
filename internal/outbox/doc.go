// Package outbox has what is to be told of runs wait until it could be told: to an OpenLineage endpoint, to a receiver of traces.
// It knows which runs wait, in which order, and how long all wait after a failure; it never knows what is told, nor to whom, and
// keeps nothing on disk: after a restart somebody pokes again.
package outbox
