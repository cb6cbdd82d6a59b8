#!/usr/bin/env bash
# Checks that generated files, formatting and rules are in order, and that checking leaves the tree as it was.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '== %s\n' "$*"; }

# A developer may have changes of their own; what must not be is a change that this check makes.
state() { git status --porcelain; git diff; }
before=$(state)

step generated code, CRDs, roles and references
make --no-print-directory generate manifests api-docs cli-docs

step go.mod and go.sum
for module in . hack/tools hack/tools/versitygw hack/tools/dex hack/tools/kwok hack/tools/hugo hack/tools/prometheus hack/tools/cyclonedx-gomod hack/cluster hack/release test/packaging test/monitoring test/docs test/logs; do
  if ! go -C "$module" mod tidy -diff; then
    echo "run go mod tidy in $module and commit" >&2
    exit 1
  fi
done

step gofmt
unformatted=$(git ls-files '*.go' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
  echo "not formatted; run make fmt:" >&2
  echo "$unformatted" >&2
  exit 1
fi

step go vet
go vet ./...
for module in test/packaging test/monitoring test/docs test/logs; do
  go -C "$module" vet ./...
done

step linters
make --no-print-directory lint

step the tree is as it was
if [ "$before" != "$(state)" ]; then
  git --no-pager diff --stat >&2
  echo "generated files differ from what is there: run make generate manifests api-docs cli-docs, and commit" >&2
  exit 1
fi
# In CI nothing is uncommitted, so nothing may differ at all.
[ -z "${CI:-}" ] || git diff --exit-code

step import rules
go test -count=1 ./test/arch

step links and commands of pages
go -C test/docs test -count=1 ./pages ./links ./commands
