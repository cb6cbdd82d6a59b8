// Package schedule decides what a DbtSchedule does: which ticks its cron line has, in its time zone, and which of them
// are due, late, waiting or missed. It knows cron lines, zones and calendars, and builds the run of a tick; it never
// knows a client, a logger or what time it is.
package schedule
