#!/usr/bin/env bash
# Builds the operator's image, loads it into the local cluster and installs the operator there, or updates it.
set -euo pipefail
cd "$(dirname "$0")/.."

hack/cluster/cluster load operator
eval "$(hack/cluster/cluster env)"
kubectl apply -k config/local
hack/policies.sh
# The image keeps its tag: only a restart takes a new one.
kubectl -n dbt-operator-system rollout restart deployment/manager
kubectl -n dbt-operator-system rollout status deployment/manager --timeout=180s
