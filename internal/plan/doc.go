// Package plan is the wire type from the operator to the runner: what one pod is to run, where it finds its inputs
// and where it may write. It knows JSON, and the paths inside the pod and the names of variables that both sides agree
// on. It never knows Kubernetes types, HTTP, dbt's events or how a plan is carried out.
//
// The operator puts a Plan in the environment variable EnvVar of the runner's containers; the runner reads it once,
// removes it from the environment and hands none of it to dbt except what becomes a flag or a documented variable.
package plan
