// Package e2e proves the README's promises on a real cluster: a kubelet, containerd, dbt 1.11, 1.12 and 2.0, PostgreSQL
// and DuckDB. It needs KUBECONFIG to name a cluster with the operator and the images of hack/cluster in it, and
// CLUSTER_POSTGRES the address at which that cluster's PostgreSQL answers from here; where CLUSTER_POSTGRES_TOKENS is set,
// there is also one that takes nothing but tokens. The test of examples/fastapi-gate starts Dex and the gate on this host,
// and needs bin/tools/dex, bin/tools/prometheus and a Python. `make test-e2e` sees to all of them.
package e2e
