// Package access decides who may speak to the collector, and of what: a pod of its own run, people of the runs that they
// may get. It knows TokenReview, SubjectAccessReview and how pods, Jobs and DbtRuns belong together; it never knows HTTP, a
// store, or what is said.
package access
