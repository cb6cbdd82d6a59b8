// Package arch holds the import rules as tests: which package may import which, so that what a package's doc.go says
// it never knows stays true. The same table is in .golangci.yml for editors; here it is red in plain `go test` too, and
// reaches further: what a package must never know it may not get through another package either.
package arch
