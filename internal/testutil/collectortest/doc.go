// Package collectortest plays the operator's collector for tests of the pod's side: it keeps streams and artifacts in
// memory, answers as the protocol says, and fails as it is told to. It knows HTTPS and the protocol, and never
// Kubernetes.
package collectortest
