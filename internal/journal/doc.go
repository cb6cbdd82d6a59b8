// Package journal holds the wire types between the runner and the operator. It knows the Report that one attempt of a
// run makes of itself and its bounded encoding as a pod's termination message, the Entry of a journal and how entries
// fold to a State, the protocol of the collector in names, and the runner's exit codes. It never knows Kubernetes types
// or does HTTP, and trusts nothing it decodes: the pod that wrote it is hostile.
package journal
