#!/usr/bin/env bash
# Brings up what the benchmark of resuming needs and runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
hack/cluster/cluster up operator dbt-1.12 dbt-2.0 >&2
hack/deploy.sh >&2
eval "$(hack/cluster/cluster env)"
go run ./test/bench/resume
