#!/usr/bin/env bash
# Brings up what the overhead benchmark needs and runs it: `hack/bench-overhead.sh [N]`, N runs of each kind (7).
set -euo pipefail
cd "$(dirname "$0")/.."
hack/cluster/cluster up operator dbt-1.11 >&2
hack/deploy.sh >&2
hack/cluster/cluster bake shop:bench dbt-1.11 examples/shop=/dbt >&2
eval "$(hack/cluster/cluster env)"
go run ./test/bench/overhead -n "${1:-7}"
