#!/usr/bin/env bash
# Runs test levels and prints one summary: `hack/test.sh unit fuzz integration e2e`.
#
# All levels feed one gotestsum, so that failures of every level stand together at the end and the closing line counts
# them all. A level that fails does not keep the next from running. What go test said is kept in bin/test/LEVEL.json.
set -euo pipefail
cd "$(dirname "$0")/.."

for each in "$@"; do
  case $each in
    unit | fuzz | integration | e2e) ;;
    *)
      echo "hack/test.sh: there is no level $each; there are unit, fuzz, integration and e2e" >&2
      exit 2
      ;;
  esac
done

results=$PWD/bin/test
rm -rf "$results"
mkdir -p "$results"

# Counted in inputs, not in seconds: at a time limit, go test now and then fails a target whose last input was not done
# ("context deadline exceeded"), and says nothing of the code.
export FUZZTIME=${FUZZTIME:-5000x}

log() { echo "== $*" >&2; }

# What a level needs before its tests can run.
prepare_level() {
  case $1 in
    integration)
      [ -n "${KUBEBUILDER_ASSETS:-}" ] || hack/cluster/cluster binaries >&2
      make --no-print-directory "$PWD/bin/tools/versitygw" "$PWD/bin/tools/dex" "$PWD/bin/tools/kwok" build >&2
      ;;
    e2e)
      # Where there is no Python, the test of the gate says so itself.
      make --no-print-directory "$PWD/bin/tools/versitygw" "$PWD/bin/tools/dex" "$PWD/bin/tools/prometheus" build >&2 && { hack/gate-venv.sh >&2 || [ $? = 3 ]; } || return 1
      if ! hack/cluster/cluster status >/dev/null 2>&1; then
        ours=yes
      fi
      # What the cluster starts outlives this script when it is kept: it must not hold the display's end open.
      hack/cluster/cluster up >&2 3>&- && hack/deploy.sh >&2 3>&-
      ;;
  esac
}

run_level() {
  case $1 in
    unit) unit ;;
    fuzz) fuzz ;;
    integration) integration ;;
    e2e) e2e ;;
  esac
}

# The main module's packages, and the modules that build images and releases.
unit() {
  local status=0
  go list ./... | grep -vE '/test/(integration|s3|gate|oidc|ui|e2e|bench/soak)(/|$)' | xargs go test -json || status=1
  for module in hack/cluster hack/release test/monitoring; do
    go -C "$module" test -json ./... || status=1
  done
  # Log collectors; what the pages say, of which what needs an API server is of the integration level. Go's cache of results
  # does not see files outside of a module.
  go -C test/logs test -json -count=1 ./... || status=1
  go -C test/docs test -json -count=1 ./pages ./links ./commands || status=1
  return "$status"
}

# The tests of the chart and of GitOps are a module of their own, as those of the pages are.
integration() {
  local status=0
  go test -json -count=1 ./test/integration/... ./test/s3/... ./test/gate/... ./test/oidc/... ./test/ui/... ./test/bench/soak || status=1
  go -C test/packaging test -json -count=1 ./... || status=1
  go -C test/docs test -json -count=1 ./manifests || status=1
  return "$status"
}

# The operator on a cluster, and then what the pages say to type, on the same.
e2e() {
  local status=0
  eval "$(hack/cluster/cluster env)"
  # Each test waits with deadlines of its own; this one is for a test that hangs all the same.
  go test -json -count=1 -timeout 40m ./test/e2e/... || status=1
  go -C test/docs test -json -count=1 -timeout 20m ./live || status=1
  return "$status"
}

# Every fuzz target, for a short time; its seeds run with the unit tests.
fuzz() {
  local file target status=0
  while IFS=: read -r file target; do
    go test -json -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 10x "./$(dirname "$file")" || status=1
  done < <(grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' api internal cmd test | sed 's/func //' | sort)
  return "$status"
}

level() {
  local level=$1 started=$SECONDS status=0
  log "$level tests"
  : >"$results/$level.json"
  if prepare_level "$level"; then
    run_level "$level" | tee "$results/$level.json" >&3 || status=$?
  else
    log "what the $level tests need could not be made; see above"
    status=1
  fi
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
(
  bin/tools/gotestsum --format pkgname --format-hide-empty-pkg --raw-command -- cat "$results/events" |
    awk -v table="$results/summary" '
      /^DONE / {closing = $0; next}
      {print; fflush()}
      END {print ""; while ((getline line < table) > 0) print line; print ""; print closing}'
) &
display=$!
exec 3>"$results/events"
failed=0
ours=""
for each in "$@"; do
  level "$each" || failed=1
done
# A cluster that was brought up for the tests goes with them; one that was there stays.
if [ -n "$ours" ] && [ -z "${KEEP_CLUSTER:-}" ]; then
  hack/cluster/cluster down >&2 || failed=1
fi
exec 3>&-
wait "$display" || failed=1
exit "$failed"
