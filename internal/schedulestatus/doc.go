// Package schedulestatus writes the status of a DbtSchedule from what is known of it. It knows the schedule, its runs
// and what was decided; it never knows a client or a recorder.
package schedulestatus
