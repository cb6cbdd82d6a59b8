// Package view writes what `kubectl dbt` shows: tables, the page of a run, progress, failures, differences, checks. It is
// given everything, the time and the width as well, and returns text. It never knows a client, a terminal or the clock.
package view
