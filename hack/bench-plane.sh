#!/usr/bin/env bash
# Builds the manager and, once, the API server and etcd, and runs a benchmark that needs no kubelet:
# `hack/bench-plane.sh NAME [N [FLAGS]]`, with the N and the flags that test/bench/NAME takes.
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:?usage: hack/bench-plane.sh NAME [N [FLAGS]]}
if [ -z "${KUBEBUILDER_ASSETS:-}" ]; then
  hack/cluster/cluster binaries >&2
  KUBEBUILDER_ASSETS=$PWD/bin/k8s
fi
make --no-print-directory build >&2
go run "./test/bench/$name" ${2:+-n "$2"} -manager bin/manager -assets "$KUBEBUILDER_ASSETS" "${@:3}"
