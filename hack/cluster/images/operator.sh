#!/usr/bin/env bash
# The operator's image, the same that the Dockerfile describes: two static binaries and the CA bundle.
# operator.sh CACHE OUT, with ROOT and CA_BUNDLE in the environment.
set -euo pipefail
cache=$1 out=$2
work=$cache/operator
mkdir -p "$work"
cd "$ROOT"
CGO_ENABLED=0 go build -tags disable_grpc_modules -trimpath -ldflags '-s -w' -o "$work/" ./cmd/manager ./cmd/runner
"$cache/imagetar" -o "$out" -ref localhost/dbt-operator:dev -user 65532:65532 \
	-file "/etc/ssl/certs/ca-certificates.crt=$CA_BUNDLE" -file "/runner=$work/runner" -file "/manager=$work/manager" \
	-entrypoint /manager
