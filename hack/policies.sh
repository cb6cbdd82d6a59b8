#!/usr/bin/env bash
# Waits until the API server that kubectl points at keeps to the operator's policies: that is some seconds after they are
# created. Each is tried by dry runs: somebody with every right and no name must be refused, and who asks must be stamped.
set -euo pipefail

deadline=$((SECONDS + ${POLICIES_TIMEOUT:-60}))

object() {
  local kind=$1 spec=$2
  printf '{"apiVersion": "dbtoperator.dev/v1alpha1", "kind": "%s", "metadata": {"name": "policies-probe", "namespace": "default"}, "spec": %s}' "$kind" "$spec"
}
try() { object "$kind" "$spec" | kubectl "$@" create --dry-run=server --validate=false --filename - --output 'jsonpath={.spec.requestedBy.username}'; }
# in_force sets what an anonymous request was told, and as whom one of ours was stamped.
in_force() {
  refusal=$(try --as system:anonymous --as-group system:masters 2>&1) || true
  author=$(try 2>/dev/null) || author=
  [[ $refusal == *"anonymous request cannot create or change a $kind"* && -n $author ]]
}

while IFS='|' read -r kind spec; do
  until in_force; do
    if ((SECONDS >= deadline)); then
      printf 'the policies for %s are not in force; an anonymous request: %s; one of yours: %s\n' "$kind" "${refusal:-is taken}" "${author:-is not stamped}" >&2
      exit 1
    fi
    read -r -t 0.2 <> <(:) || true
  done
done <<'KINDS'
DbtRun|{"projectRef": {"name": "shop"}}
DbtSchedule|{"schedule": "0 0 * * *", "runTemplate": {"spec": {"projectRef": {"name": "shop"}}}}
DbtProject|{"image": "dbt:1", "source": {"image": {"path": "/dbt"}}}
KINDS
