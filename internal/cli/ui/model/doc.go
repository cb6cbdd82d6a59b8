// Package model turns runs, schedules, journals and lineage into what the pages of `kubectl dbt ui` show: rows, timelines with
// their critical path, graphs with a place for each node, history strips, lines of a log. It is given everything, the time as
// well. It never knows a client, HTTP, a page's look or the clock.
package model
