#!/usr/bin/env bash
# `hack/chart.sh files` copies into charts/dbt-operator what it takes over from config/ as it is. `hack/chart.sh package
# VERSION FOLDER` packs the chart into FOLDER and prints the file's name; the same tree gives the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
chart=charts/dbt-operator

files() {
  local to=$chart/files
  rm -rf "$to"
  mkdir -p "$to/crds" "$to/rbac" "$to/collector" "$to/policies/stamping" "$to/policies/validating" "$to/monitoring"
  # Copies, as links are left out by those who fetch a chart from git.
  cp config/crd/bases/*.yaml "$to/crds/"
  cp config/rbac/{role,leader_election_role,metrics_auth_role,user_roles}.yaml "$to/rbac/"
  cp config/rbac/collector_role.yaml "$to/collector/"
  cp config/prometheus/{servicemonitor,rules}.yaml config/grafana/dashboard.json "$to/monitoring/"
  for half in stamping validating; do
    cp config/policy/$half/*.yaml "$to/policies/$half/"
    rm "$to/policies/$half/kustomization.yaml"
  done
}

package() {
  local version=$1 folder=$2 out work
  # A commit is no version.
  [[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+ ]] || version=v0.0.0-g$version
  out=$folder/dbt-operator-${version#v}.tgz
  work=$(mktemp -d)
  mkdir -p "$work/dbt-operator" "$folder"
  cp -R "$chart"/. "$work/dbt-operator"
  rm -rf "$work/dbt-operator/ci"
  # A chart's version has no v before it.
  sed -i "s/^version: .*/version: ${version#v}/; s/^appVersion: .*/appVersion: $version/" "$work/dbt-operator/Chart.yaml"
  # Chart.yaml first, as Helm packs; no time, owner or mode of this machine.
  (cd "$work" && { echo dbt-operator/Chart.yaml; find dbt-operator -type f ! -path dbt-operator/Chart.yaml | LC_ALL=C sort; }) >"$work/list"
  tar -C "$work" --no-recursion --files-from="$work/list" --format=ustar --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rw,go=r -c |
    gzip -9n >"$out"
  rm -rf "$work"
  echo "$out"
}

case ${1:-} in
  files) files ;;
  package) package "${2:?the version}" "${3:?the folder to write to}" ;;
  *)
    echo "hack/chart.sh: found ${1:-nothing}, want files or package" >&2
    exit 2
    ;;
esac
