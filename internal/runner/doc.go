// Package runner is what runs inside the pod: it fetches the dbt project, spawns dbt, turns TERM into INT, reads dbt's
// events as they come, prints them for people or for log collectors, and leaves a report behind. It knows processes,
// files, signals and git. It never knows Kubernetes types, the operator's decisions or a status.
//
// Nothing leaves the pod before it went through the Redactor: not a log line, not a message of the report.
package runner
