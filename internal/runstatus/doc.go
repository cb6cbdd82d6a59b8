// Package runstatus writes what is known about a run into its status, within its bounds. It knows the run, its Job,
// pods and reports, and the decision that was taken; it never knows a client or a recorder, and decides nothing. It
// changes none of its input.
package runstatus
