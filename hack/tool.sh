#!/usr/bin/env bash
# Builds one tool, or all of them, from the versions pinned in hack/tools/go.mod (or in a module of its own, below) into
# bin/tools.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$PWD/bin/tools
mkdir -p "$out"

declare -A package=(
  [controller-gen]=sigs.k8s.io/controller-tools/cmd/controller-gen
  [golangci-lint]=./golangci-lint
  [gotestsum]=gotest.tools/gotestsum
  [crd-ref-docs]=github.com/elastic/crd-ref-docs
  [kustomize]=sigs.k8s.io/kustomize/kustomize/v5
  [govulncheck]=golang.org/x/vuln/cmd/govulncheck
  [versitygw]=github.com/versity/versitygw/cmd/versitygw
  [cyclonedx-gomod]=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
  [dex]=github.com/dexidp/dex/cmd/dex
  [kwok]=sigs.k8s.io/kwok/cmd/kwok
  [hugo]=github.com/gohugoio/hugo
  [prometheus]=github.com/prometheus/prometheus/cmd/prometheus
)
# What would raise the versions that other tools are built from.
declare -A module=(
  [versitygw]=hack/tools/versitygw
  [cyclonedx-gomod]=hack/tools/cyclonedx-gomod
  [dex]=hack/tools/dex
  [kwok]=hack/tools/kwok
  [hugo]=hack/tools/hugo
  [prometheus]=hack/tools/prometheus
)
# What is left out of a tool to build it sooner: of Prometheus every way to find targets but Kubernetes' and files.
declare -A tags=(
  [prometheus]=remove_all_sd,enable_kubernetes_sd
)

[ $# -gt 0 ] || set -- "${!package[@]}"
for tool in "$@"; do
  if [ -z "${package[$tool]:-}" ]; then
    echo "hack/tool.sh: there is no tool $tool; there are: ${!package[*]}" >&2
    exit 2
  fi
  echo "building $tool"
  CGO_ENABLED=0 go -C "${module[$tool]:-hack/tools}" build -trimpath -tags "${tags[$tool]:-}" -o "$out/$tool" "${package[$tool]}"
  touch "$out/$tool"
done
