// Package intent makes what a person asks for into objects of the API: a DbtRun of a project, one that goes on from another,
// one of a schedule's template, a backfill. It knows the API's types and dbt's commands. It never knows a client, a
// terminal or the clock.
package intent
