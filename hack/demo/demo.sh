#!/usr/bin/env bash
# The demo, as `make demo` runs it: a cluster, the operator, the sample project, one run of it watched while it goes on,
# and then what a user sees of it. Every command a user would type is printed before it runs.
set -euo pipefail
cd "$(dirname "$0")/../.."

namespace=${DEMO_NAMESPACE:-dbt-demo}
run=${DEMO_RUN:-shop-$(date +%H%M%S)}
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi

say() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
show() { printf '%s$ %s%s\n' "$bold" "${*@Q}" "$plain" | sed "s/'\([A-Za-z0-9_./:=,-]*\)'/\1/g; s/^\(\S*\$ \)k /\1kubectl -n $namespace /"; "$@"; }
k() { kubectl --namespace "$namespace" "$@"; }
field() { k get dbtrun "$run" --output "jsonpath={$1}" 2>/dev/null; }

install() {
  say "A cluster with the operator's image and dbt 1.11 in it"
  hack/cluster/cluster up operator dbt-1.11
  eval "$(hack/cluster/cluster env)"

  say "The operator"
  show kubectl apply --kustomize config/local | { grep -v unchanged || true; }
  hack/policies.sh
  show kubectl --namespace dbt-operator-system rollout status deployment/manager --timeout=180s
}

start() {
  say "The sample: a DbtProject, which a platform team writes, and a DbtRun, which anybody may who was given the right"
  kubectl create namespace "$namespace" --dry-run=client --output yaml | kubectl apply --filename - >/dev/null
  kubectl label namespace "$namespace" pod-security.kubernetes.io/enforce=restricted --overwrite >/dev/null
  show k apply --filename config/samples/shop-configmaps.yaml --filename config/samples/dbtproject-configmap.yaml
  sed "s/name: shop-build/name: $run/" config/samples/dbtrun-build.yaml | grep --invert-match '^#' | tee >(sed 's/^/  /' >&2) | k create --filename -
}

# follow prints the run's phases as they come, and between them what dbt prints in its pod.
follow() {
  say "The run, as it goes on"
  local phase='' now='' pod='' log=''
  local deadline=$((SECONDS + 600))
  while ((SECONDS < deadline)); do
    now=$(field .status.phase)
    if [[ $now != "$phase" ]]; then
      phase=$now
      printf '%s%s  %s%s\n' "$bold" "$phase" "$plain" "$(field .status.message)"
    fi
    case $phase in Succeeded | Failed | Cancelled) break ;; esac
    if [[ $phase == Running && -z $log ]]; then
      pod=$(k get pods --selector "dbtoperator.dev/run=$run" --output 'jsonpath={.items[-1:].metadata.name}')
      k logs --follow "$pod" --container dbt | sed -u "s/^/${dim}  | /; s/$/$plain/" &
      log=$!
    fi
    read -r -t 0.3 <> <(:) || true
  done
  if [[ -n $log ]]; then wait "$log" || true; fi
}

result() {
  say "What came of it"
  show k get dbtruns
  echo
  show k get dbtrun "$run" --output 'jsonpath={.status.message}{"\n"}'
  show k get dbtrun "$run" --output 'jsonpath=dbt {.status.revision.dbt}, {.status.revision.adapter}, source {.status.revision.source}{"\n"}image {.status.revision.image}{"\n"}'

  say "Its events"
  show k get events --field-selector "involvedObject.kind=DbtRun,involvedObject.name=$run" --sort-by .metadata.creationTimestamp \
    --output custom-columns=TYPE:.type,REASON:.reason,MESSAGE:.message

  say "Nodes that failed"
  k get dbtrun "$run" --output 'go-template={{range .status.failures}}{{.uniqueId}} ({{.status}}): {{.message}}{{"\n"}}{{else}}none{{"\n"}}{{end}}'

  say "Its lineage"
  k get dbtrun "$run" --output go-template-file=hack/demo/lineage.tmpl
}

next() {
  say "What to try next"
  cat <<EOF
  eval "\$(hack/cluster/cluster env)"                 # kubectl for this cluster
  kubectl -n $namespace describe dbtrun $run
  kubectl -n $namespace get dbtruns -o wide
  kubectl -n $namespace get dbtruns --field-selector status.phase=Failed

  # one that fails, and says which node and why:
  hack/demo/variant.sh model-error | kubectl -n $namespace apply -f -

  # start one, delete its pod while it runs, and watch the run go on with another:
  kubectl -n $namespace create -f config/samples/dbtrun-with-vars.yaml
  kubectl -n $namespace delete pod -l dbtoperator.dev/run=shop-revenue
  kubectl -n $namespace wait dbtrun/shop-revenue --for=condition=Succeeded --timeout=120s

  # who asked, and what somebody is told who may not:
  kubectl -n $namespace get dbtrun $run -o jsonpath='{.spec.requestedBy}{"\n"}'
  kubectl -n $namespace create rolebinding ada --clusterrole dbt-runner --user ada
  kubectl -n $namespace create -f config/samples/dbtrun-with-vars.yaml --as ada

  # try to cheat, and be told why not:
  kubectl -n $namespace create -f - <<<'{"apiVersion": "dbtoperator.dev/v1alpha1", "kind": "DbtRun", "metadata": {"name": "cheat"},
    "spec": {"projectRef": {"name": "shop"}, "commands": ["dbt build --profiles-dir /tmp; rm -rf /"]}}'
  kubectl -n $namespace get dbtrun cheat -o wide

  make cluster-down                                  # take everything away again
EOF
}

started=$SECONDS
install
start
follow
result
next
phase=$(field .status.phase)
printf '\n%sRun %s: %s. The demo took %d s.%s\n' "$bold" "$run" "$phase" "$((SECONDS - started))" "$plain"
[[ $phase == Succeeded ]]
