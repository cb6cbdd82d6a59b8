// Package controller holds what the controllers share: how they see the cluster (the cache) and their indexes. Each
// controller is a package of its own, in one shape: gather what is there, decide by a pure function, act, record. They
// know watches, indexes, patches and events; they never know cron arithmetic, pod details or JSON formats.
package controller
