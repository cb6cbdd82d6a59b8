#!/usr/bin/env bash
# Writes docs/transcripts.md: what kubectl shows of runs that end well, fail, wait and are cancelled. It needs a cluster
# with the operator and the images of hack/cluster in it (make cluster-up deploy), and takes about two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
eval "$(hack/cluster/cluster env)"

namespace=transcripts
source hack/lib/transcript.sh
out=docs/transcripts.md
k() { kubectl --namespace "$namespace" "$@"; }

kubectl delete namespace "$namespace" --ignore-not-found --wait >/dev/null
kubectl create namespace "$namespace" >/dev/null
k apply --filename config/samples/shop-configmaps.yaml --filename config/samples/dbtproject-configmap.yaml >/dev/null
hack/demo/variant.sh model-error | k apply --filename - >/dev/null
hack/demo/variant.sh test-fails | k apply --filename - >/dev/null
hack/demo/variant.sh parse-error | k apply --filename - >/dev/null
k apply --filename config/samples/dbtrun-build.yaml >/dev/null
k create --filename - >/dev/null <<'RUNS'
apiVersion: dbtoperator.dev/v1alpha1
kind: DbtRun
metadata: {name: cheat}
spec: {projectRef: {name: shop}, commands: ["dbt build --profiles-dir /tmp"]}
---
apiVersion: dbtoperator.dev/v1alpha1
kind: DbtRun
metadata: {name: no-project}
spec: {projectRef: {name: no-such-project}}
RUNS

export -f k
export namespace KUBECONFIG PATH

# What is copied into the page is what a user would type: kubectl in a context whose namespace is set.
user_context transcripts

# allowed waits until the API server has heard of jane's right.
allowed() {
  until [ "$(kubectl auth can-i "$@" --as jane@example.com 2>/dev/null)" = yes ]; do read -r -t 0.2 <> <(:) || true; done
}
kubectl create rolebinding jane --clusterrole dbt-runner --user jane@example.com >/dev/null
allowed create dbtruns.dbtoperator.dev

{
  cat <<'HEAD'
# Transcripts

What kubectl shows, taken from a real cluster by `hack/transcripts.sh`: the sample project, three variants of it that
fail, a run that tries to bring its own profiles, one of a project that is not there, and what somebody is told who may
create runs and no more.
HEAD
  transcript "Waiting for a run" "kubectl wait dbtrun/shop-build --for=condition=Succeeded --timeout=180s"
  for run in model-error test-fails parse-error cheat no-project; do
    kubectl wait "dbtrun/$run" --for=condition=Succeeded=False --timeout=180s >/dev/null
  done
  transcript "Runs" "kubectl get dbtruns"
  transcript "Runs, with what they ran and why they ended so" "kubectl get dbtruns -o wide"
  transcript "Only those that failed" "kubectl get dbtruns --field-selector status.phase=Failed"
  transcript "Projects" "kubectl get dbtprojects"
  transcript "All there is to say of a run that failed" "kubectl describe dbtrun model-error"
  transcript "A run's events" "kubectl events --for dbtrun/model-error"
  transcript "The log of the pod" "kubectl logs job/\$(kubectl get dbtrun test-fails -o jsonpath={.status.job.name}) --tail=12"
  transcript "Refused at once" 'kubectl create -f - <<< "{apiVersion: dbtoperator.dev/v1alpha1, kind: DbtRun, metadata: {name: both}, spec: {commands: [\"dbt build\"]}}"'
  transcript "Who has no right to use a project" 'kubectl create --as jane@example.com -f config/samples/dbtrun-build.yaml'
  transcript "What gives the right, to a group, on one project" 'kubectl apply -f config/samples/role-use-shop.yaml'
  allowed use dbtprojects.dbtoperator.dev/shop --as-group analysts
  transcript "Who has it, and claims to be somebody else" 'kubectl create --as jane@example.com --as-group analysts -f - <<< "{apiVersion: dbtoperator.dev/v1alpha1, kind: DbtRun, metadata: {name: forged}, spec: {projectRef: {name: shop}, commands: [dbt parse], requestedBy: {username: chief@example.com}}}"'
  transcript "is named for who they are" "kubectl get dbtrun forged -o jsonpath='{.spec.requestedBy}{\"\\n\"}'"
  transcript "Any code needs the right to run any code" 'kubectl create --as jane@example.com -f config/samples/dbtrun-inline.yaml'
  transcript "A spec does not change" 'kubectl patch dbtrun shop-build --type merge -p "{\"spec\": {\"target\": \"prod\"}}"'
} >"$out"
kubectl delete namespace "$namespace" --wait=false >/dev/null
echo "wrote $out"
