// Package live carries out what the repository's pages say to type, on a real cluster with the operator and dbt 1.11: each call
// of a block, in the order of the pages, in a namespace that has the objects pages speak of. It knows which of them end, which
// serve until they are stopped, and with which exit code; what is carried out elsewhere it names, with the place. Whether a call
// can be typed at all is of test/docs/commands. It needs KUBECONFIG, bin/kubectl-dbt and a kubectl, and holds tests only.
package live
