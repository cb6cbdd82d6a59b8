// Package caches keeps, per DbtProject, what lets its next run begin warm: the packages that `dbt deps` installed, and the
// manifest that dbt parses on from. It knows names, sizes and ages; it never knows what is in a cache, Kubernetes, or who
// may read or write one.
//
// A cache is named by its kind and by the digest of everything that makes it valid, which the pod works out. That digest
// keeps a cache from being stale; it does not keep it from being forged, as the pod says it. So a cache is found only by
// runs of the same project (its UID, not its name), of the same generation of its spec: one that was made when the project
// had another source, image or environment is never given out, and goes when the next is put.
package caches
