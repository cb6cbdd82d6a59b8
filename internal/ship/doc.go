// Package ship carries what a pod has to say to the operator's collector: the journal and the log of its run as
// streams, artifacts as files. It knows HTTPS and the collector's protocol. It never knows dbt, processes or Kubernetes.
//
// Whoever writes to a Stream never waits and never fails: what is written lies in a spool file until the collector has
// acknowledged it, and a collector that is away for a while misses nothing.
package ship
