// Package storetest is the contract of internal/store as tests, run against every kind of place that a store may be in. It
// knows the store's exported API alone, and is imported by tests only.
package storetest
