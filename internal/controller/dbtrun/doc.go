// Package dbtrun carries DbtRuns out: it gathers what is there, lets lifecycle decide, acts, and records the result
// with one status patch. It knows watches, indexes, patches, events and which run holds a concurrency group; it never
// knows what a decision is made of, what a Job looks like or what a report means.
package dbtrun
