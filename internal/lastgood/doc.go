// Package lastgood decides which run was the last good one of a target, and so whose manifest is a run's state. It knows
// runs, projects and the time, as they are given to it. It never knows a client, where manifests are kept, or what dbt does
// with one.
//
// A run is good when it succeeded, was of the project's own ref (no spec.revision), had a command that builds, and went on
// from no other (no spec.resumeFrom). A run that only parsed, compiled, listed or tested does not count, though it leaves a
// manifest as well: with that as state, a model that was changed and never built would look as if it had been, and
// `state:modified` would leave it out in silence. One that went on from another built the rest alone, of newer code than
// that of what had been built before it.
//
// The last one counts, whether or not there is anything to be had of it. When its manifest was not kept, when it was
// deleted, or when the project has another source since, then the target has no state; an older run is never taken in its
// place, because the warehouse is no more as that run left it.
package lastgood
