#!/usr/bin/env bash
# Runs test levels and prints one summary: `hack/test.sh unit integration e2e`.
#
# All levels feed one gotestsum, so that failures of every level stand together at the end and the closing line counts
# them all. A level that fails does not keep the next from running. What go test said is kept in bin/test/LEVEL.json.
set -euo pipefail
cd "$(dirname "$0")/.."
results=$PWD/bin/test
rm -rf "$results"
mkdir -p "$results"

# Where the tests of a level are, and what they need: flags of go test, one a line.
level_flags() {
  case $1 in
    unit) go list ./... | grep -vE '/test/(integration|e2e|bench)(/|$)' ;;
    *) echo "hack/test.sh: there is no level $1; there is unit" >&2; return 2 ;;
  esac
}

run_level() {
  local level=$1 started=$SECONDS status=0
  echo "== $level tests" >&2
  readarray -t flags < <(level_flags "$level")
  [ "${#flags[@]}" -gt 0 ] || return 2
  go test -json "${flags[@]}" | tee "$results/$level.json" >&3 || status=$?
  report_level "$level" "$((SECONDS - started))" "$status" >>"$results/summary"
  return "$status"
}

# One row of the summary, counted as gotestsum counts: tests and subtests.
report_level() {
  awk -v level="$1" -v seconds="$2" -v status="$3" '
    /"Test":/ && /"Action":"pass"/ {pass++}
    /"Test":/ && /"Action":"fail"/ {fail++}
    /"Test":/ && /"Action":"skip"/ {skip++}
    END {
      printf "%-12s %6d %7d %8d %7ds  %s\n", level, pass + fail + skip, fail, skip, seconds, status == 0 ? "ok" : "FAILED"
    }' "$results/$1.json"
}

printf '%-12s %6s %7s %8s %8s\n' level tests failed skipped time >"$results/summary"
mkfifo "$results/events"
# The closing line comes last, below the table.
bin/tools/gotestsum --format pkgname --format-hide-empty-pkg --raw-command -- cat "$results/events" > >(
  awk -v table="$results/summary" '
    /^DONE / {closing = $0; next}
    {print; fflush()}
    END {print ""; while ((getline line < table) > 0) print line; print ""; print closing}'
) &
display=$!
exec 3>"$results/events"
failed=0
for level in "$@"; do
  run_level "$level" || failed=1
done
exec 3>&-
wait "$display" || failed=1
# The table and the closing line are printed by a process of their own: let it end.
wait
exit "$failed"
