// Package testutil makes the objects that tests speak of, and plays the parts of a cluster that are not there in a
// test. It knows the API types and a client; it is imported by tests only and never knows what it is used to prove.
package testutil
