// Package openlineage tells the OpenLineage sender of DbtRuns that started or ended, and what is known of them. It knows
// DbtRuns, when their results are as complete as they will be, and where the store has them; it never knows what an event
// is made of, nor the endpoint.
package openlineage
