// Package live holds what runs have reported so far: it writes the streams, artifacts and the small document of a run to
// the store, folds its journal as it comes, and can tell at any time what a fresh fold of the store would. It knows the
// store, the journal and a clock; it never knows HTTP, Kubernetes, or who may do what.
package live
