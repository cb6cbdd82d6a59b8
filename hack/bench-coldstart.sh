#!/usr/bin/env bash
# Builds the manager and, once, the API server and etcd, and runs the benchmark of cold starts:
# `hack/bench-coldstart.sh [N]`, N ended runs (10000).
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${KUBEBUILDER_ASSETS:-}" ]; then
  hack/cluster/cluster binaries >&2
  KUBEBUILDER_ASSETS=$PWD/bin/k8s
fi
make --no-print-directory build >&2
go run ./test/bench/coldstart -n "${1:-10000}" -manager bin/manager -assets "$KUBEBUILDER_ASSETS"
