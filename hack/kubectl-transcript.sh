#!/usr/bin/env bash
# Writes docs/kubectl-transcript.md: a session with the kubectl plugin on the sample project. It needs a cluster with the
# operator and dbt 1.11's image in it (make cluster-up deploy) and bin/kubectl-dbt (make build), and takes about two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
eval "$(hack/cluster/cluster env)"
export PATH=$PWD/bin:$PATH NO_COLOR=1
namespace=team-a
source hack/lib/transcript.sh
out=docs/kubectl-transcript.md
k() { kubectl --namespace "$namespace" "$@"; }

kubectl delete namespace "$namespace" --ignore-not-found --wait >/dev/null
kubectl create namespace "$namespace" >/dev/null
k apply -f config/samples/shop-configmaps.yaml -f config/samples/dbtproject-configmap.yaml >/dev/null
k apply -f - >/dev/null <<'SCHEDULE'
apiVersion: dbtoperator.dev/v1alpha1
kind: DbtSchedule
metadata: {name: shop-nightly}
spec:
  schedule: 0 6 * * *
  timeZone: Europe/Zurich
  runTemplate: {spec: {projectRef: {name: shop}, commands: [dbt build]}}
SCHEDULE

# The project with a model whose SQL is wrong, to be mended later; no run of it yet.
hack/demo/variant.sh model-error | k apply -f - >/dev/null
k delete dbtrun model-error >/dev/null
# Ada may run projects, and read what is kept; she logs in with a token, as people do.
k create serviceaccount ada >/dev/null
k create rolebinding ada --clusterrole dbt-runner --serviceaccount "$namespace:ada" >/dev/null
kubectl -n dbt-operator-system create role kept-reader --verb get --resource services/proxy --resource-name https:collector:9443 \
  --dry-run=client -o yaml 2>/dev/null | kubectl apply -f - >/dev/null
kubectl -n dbt-operator-system create rolebinding "kept-reader-$namespace" --role kept-reader --serviceaccount "$namespace:ada" \
  --dry-run=client -o yaml | kubectl apply -f - >/dev/null
token=$(k create token ada)
user_context kubectl-transcript
kubectl config set-credentials ada --token "$token" >/dev/null
kubectl config set-context --current --user ada >/dev/null
admin() { KUBECONFIG=$(dirname "$KUBECONFIG")/kubeconfig kubectl -n "$namespace" "$@"; }
export -f admin
until [ "$(kubectl auth can-i create dbtruns.dbtoperator.dev 2>/dev/null)" = yes ]; do read -r -t 0.2 <> <(:) || true; done

{
  cat <<'HEAD'
# A session with kubectl dbt

Taken from a real cluster by `hack/kubectl-transcript.sh`: ada, who may create runs, works on the sample project. Where a terminal is
watched, `--watch` shows a bar that moves; here is what it prints into a file. [kubectl.md](kubectl.md) has every command.
HEAD
  transcript "Ada lacks a right, and is told which" 'kubectl dbt run shop --name first'
  admin create rolebinding ada-uses --clusterrole dbt-use-all --serviceaccount "$namespace:ada" >/dev/null
  until [ "$(kubectl auth can-i use dbtprojects.dbtoperator.dev/shop 2>/dev/null)" = yes ]; do read -r -t 0.2 <> <(:) || true; done
  transcript "With the right, she builds the project and watches" 'kubectl dbt run shop --name first --watch'
  transcript "One page about the run" 'kubectl dbt show first'
  transcript "What depends on what" 'kubectl dbt lineage first model.shop.orders'
  transcript "Another project, with a model that is wrong: its exit code is 1" 'kubectl dbt run model-error --name broken --watch; echo "exit code $?"'
  transcript "What failed, and why" 'kubectl dbt failures broken'
  transcript "Its log, from what is kept" 'kubectl dbt logs broken | tail -n 6'
  # The sample's DuckDB is a file in the pod: what the first pod made is not there for the second.
  transcript "Again, with what is left of it (DuckDB is a file in the pod, so what the first run made is gone)" 'kubectl dbt retry broken --name again --watch; echo "exit code $?"'
  transcript "What the two differ in" 'kubectl dbt diff broken again'
  transcript "All runs" 'kubectl dbt list -o wide'
  transcript "A run of a schedule, now; and one that is stopped" 'kubectl dbt trigger shop-nightly --name now && kubectl dbt cancel now --watch'
  transcript "The manifest of a run, to keep in git" 'kubectl dbt run shop build --select tag:nightly --name nightly --dry-run=client -o yaml'
  transcript "Is all as it should be?" 'kubectl dbt doctor'
} >"$out"
admin delete namespace "$namespace" --wait=false >/dev/null
echo "wrote $out"
