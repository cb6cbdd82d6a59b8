#!/usr/bin/env bash
# Brings up what the benchmark of warm starts needs and runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
hack/cluster/cluster up operator dbt-1.12 >&2
hack/deploy.sh >&2
eval "$(hack/cluster/cluster env)"
go run ./test/bench/warm -n "${1:-7}"
