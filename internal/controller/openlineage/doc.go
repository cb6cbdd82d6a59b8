// Package openlineage tells the OpenLineage sender what is known of DbtRuns. It knows DbtRuns and where the store has their
// results; it never knows what an event is made of, nor the endpoint.
package openlineage
