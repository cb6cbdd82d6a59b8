#!/usr/bin/env bash
# Runs every benchmark but the soak, each to its end though one before it failed or missed a budget, and prints one table of
# all. Ends with 1 when one could not be run, with 2 when a budget is not met.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -f test/bench/results/*.json
failed=()
for name in overhead tail warm resume runner journal schedules coldstart throughput; do
  echo "== $name" >&2
  make --no-print-directory "bench-$name" || true
  [ -e "test/bench/results/$name.json" ] || failed+=("$name")
done
echo
status=0
go run ./test/bench/summary || status=$?
if [ ${#failed[@]} -gt 0 ]; then
  echo "hack/bench.sh: could not be run: ${failed[*]}" >&2
  exit 1
fi
exit "$status"
