#!/usr/bin/env bash
# Brings up what the overhead benchmark needs and runs it: `hack/bench-overhead.sh [N]`, N runs of each kind (7); or
# `hack/bench-overhead.sh N tail`, for the time from dbt's last line to the run's end, of N runs.
set -euo pipefail
cd "$(dirname "$0")/.."
n=${1:-7}
hack/cluster/cluster up operator dbt-1.11 >&2
hack/deploy.sh >&2
if [ "${2:-}" = tail ]; then
  eval "$(hack/cluster/cluster env)"
  exec go run ./test/bench/overhead -tail "$n"
fi
hack/cluster/cluster bake shop:bench dbt-1.11 examples/shop=/dbt >&2
eval "$(hack/cluster/cluster env)"
go run ./test/bench/overhead -n "$n"
