// Package journal holds the wire types from the runner to the operator. It knows the Report that one attempt of a run
// makes of itself, its bounded encoding as a pod's termination message, and the runner's exit codes. It never knows
// Kubernetes types or HTTP, and trusts nothing it decodes: the pod that wrote it is hostile.
package journal
