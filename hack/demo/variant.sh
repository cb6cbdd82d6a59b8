#!/usr/bin/env bash
# Prints manifests of the sample project with a fault in it, and of a run of that: pipe them to kubectl apply -f -.
# Without a name it lists the faults; test/fixtures/README.md says what each shows.
set -euo pipefail
cd "$(dirname "$0")/../.."

name=${1:-}
if [[ ! -d test/fixtures/variants/$name || -z $name ]]; then
  echo "usage: hack/demo/variant.sh NAME, where NAME is one of: $(cd test/fixtures/variants && echo *)" >&2
  exit 2
fi
go run ./test/fixtures/cmd/shopconfigmap -variant "$name" -name "$name"
for sample in dbtproject-configmap dbtrun-build; do
  echo ---
  sed -e "s/name: shop-build/name: $name/; s/name: shop/name: $name/" -e '/^ *#/d' "config/samples/$sample.yaml"
done
