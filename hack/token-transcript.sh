#!/usr/bin/env bash
# Writes docs/tokens-transcript.md: a run that logs in to PostgreSQL with nothing but its token, what the database's log
# says of it, and another account that is refused. It needs the own cluster of hack/cluster, with the operator in it
# (make cluster-up deploy), and takes about a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
eval "$(hack/cluster/cluster env)"

namespace=team-a
out=docs/tokens-transcript.md
own=$KUBECONFIG
kubeconfig=$(dirname "$KUBECONFIG")/transcripts.kubeconfig
log=$(dirname "$KUBECONFIG")/postgres.log
trap 'rm -f "$kubeconfig" "$log"' EXIT
kubectl delete namespace "$namespace" --ignore-not-found --wait >/dev/null
kubectl create namespace "$namespace" >/dev/null
kubectl config view --raw >"$kubeconfig"
export KUBECONFIG=$kubeconfig
kubectl config set-context --current --namespace "$namespace" >/dev/null
kubectl apply --filename config/samples/shop-configmaps.yaml >/dev/null

# project NAME ACCOUNT: a project whose only credential is the account's token.
project() {
  cat <<PROJECT
apiVersion: v1
kind: ServiceAccount
metadata: {name: $2}
automountServiceAccountToken: false
---
apiVersion: dbtoperator.dev/v1alpha1
kind: DbtProject
metadata: {name: $1}
spec:
  source: {configMap: {name: shop-source}}
  image: localhost/dbt:1.12
  imagePullPolicy: IfNotPresent
  profiles: {configMapRef: {name: shop-profiles}}
  target: postgres
  serviceAccountName: $2
  tokens:
    - {name: warehouse, audience: postgres.warehouse, delivery: PGPassFile, host: postgres-tokens.warehouse.svc}
  env:
    - {name: SHOP_POSTGRES_HOST, value: postgres-tokens.warehouse.svc}
    - {name: SHOP_POSTGRES_USER, value: shop}
    - {name: SHOP_SCHEMA, value: transcript}
    - {name: PGSSLMODE, value: require}
PROJECT
}

# run NAME PROJECT: creates a run, and waits for its end.
run() {
  kubectl create --filename - >/dev/null <<RUN
{apiVersion: dbtoperator.dev/v1alpha1, kind: DbtRun, metadata: {name: $1}, spec: {projectRef: {name: $2}, commands: [dbt build]}}
RUN
  kubectl wait "dbtrun/$1" --for='jsonpath={.status.completionTime}' --timeout=120s >/dev/null
}

# transcript COMMAND: what it prints. What is longer than a line of a page is for the reader to scroll.
transcript() {
  printf '\n```console\n$ %s\n' "$1"
  bash -c "$1" 2>&1 | sed 's/[[:space:]]*$//'
  printf '```\n'
}

project shop nightly | kubectl apply --filename - >/dev/null
project shop-curious curious | kubectl apply --filename - >/dev/null
KUBECONFIG=$own hack/cluster/cluster grant "$namespace/nightly" shop >/dev/null
run nightly shop
run curious shop-curious

uid=$(kubectl get dbtrun nightly --output 'jsonpath={.metadata.uid}')
KUBECONFIG=$own hack/cluster/cluster logs postgres-tokens 100000 >"$log"
backend=$(grep "application_name=dbt/$uid" "$log" | sed -n '1s/.*\[\([0-9]*\)\].*/\1/p')
[ -n "$backend" ] || { echo "hack/token-transcript.sh: the database's log has no login of run $uid" >&2; exit 1; }
# Where postgres.log is, by the name that the page calls it.
cd "$(dirname "$kubeconfig")"

{
  cat <<'HEAD'
# Transcript: a database that takes nothing but tokens

A real PostgreSQL 15 whose only way in is the token of a pod ([tokens.md](tokens.md#a-postgresql-that-takes-nothing-but-tokens)),
a run of an account that was granted the role `shop`, and one of an account that was not; taken from a real cluster by
`hack/token-transcript.sh`. `postgres.log` is the database's log. TestTokenIsTheOnlyLogin and TestAnotherAccountIsRefused check the same
with dbt 1.11, 1.12 and 2.0.

## The project
HEAD
  printf '\n```yaml\n'
  project shop nightly
  printf '```\n\nNothing secret is stored:\n'
  transcript 'kubectl get secrets'
  printf '\n## Its run\n'
  transcript 'kubectl get dbtrun nightly'
  transcript "kubectl get dbtrun nightly -o jsonpath='{.metadata.uid}{\"\\n\"}{.spec.requestedBy.username}{\"\\n\"}{.status.attempts[0].pod}{\"\\n\"}'"
  printf '\n## What the database says of it\n\nThe first login of the run, by its name for itself, and what was decided about that backend by the token alone:\n'
  transcript "grep 'application_name=dbt/$uid' postgres.log | head -1"
  transcript "grep '\"backend\":$backend,' postgres.log | tail -1 | jq ."
  printf '\nApplication name and pod join it to the run, and the run to who asked for it.\n'
  printf '\n## Another account\n\nIts token is as good, of the same namespace and for the same audience; it was not granted the role:\n'
  transcript 'kubectl get dbtrun curious'
  transcript "kubectl get dbtrun curious -o jsonpath='{.status.message}{\"\\n\"}'"
  transcript "grep '$namespace/curious' postgres.log | tail -1 | jq ."
} >"$OLDPWD/$out"
kubectl delete namespace "$namespace" --wait=false >/dev/null
echo "wrote $out"
