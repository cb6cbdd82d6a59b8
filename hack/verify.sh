#!/usr/bin/env bash
# Checks that generated files, formatting and rules are in order, and that checking leaves the tree as it was.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '== %s\n' "$*"; }

before=$(git status --porcelain)

step generated code, CRDs and roles
make --no-print-directory generate manifests

step gofmt
unformatted=$(git ls-files '*.go' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
  echo "not formatted; run make fmt:" >&2
  echo "$unformatted" >&2
  exit 1
fi

step go vet
go vet ./...

step the tree is as it was
if ! git diff --exit-code; then
  echo "generated files differ from what is committed: run make generate manifests, and commit" >&2
  exit 1
fi
after=$(git status --porcelain)
if [ "$before" != "$after" ]; then
  echo "checking left files behind:" >&2
  diff <(echo "$before") <(echo "$after") >&2 || true
  exit 1
fi

step import rules
go test -count=1 ./test/arch
