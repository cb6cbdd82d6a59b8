// Package dbtschedule makes the runs of DbtSchedules: it gathers what is there, lets schedule decide, acts, and records
// the result with one status patch. It knows watches, indexes, patches and events; it never knows cron lines, time zones
// or what a decision is made of.
package dbtschedule
