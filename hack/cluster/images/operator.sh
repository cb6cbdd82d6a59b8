#!/usr/bin/env bash
# The operator's image, the same that the Dockerfile describes: two static binaries and the CA bundle.
# operator.sh CACHE OUT, with ROOT and CA_BUNDLE in the environment; for a release also BINARIES, a folder that has them
# already, ARCH, for which they were built, and REF, the image's name.
set -euo pipefail
cache=$1 out=$2
binaries=${BINARIES:-$cache/operator}
cd "$ROOT"
if [[ -z ${BINARIES:-} ]]; then
	mkdir -p "$binaries"
	CGO_ENABLED=0 go build -tags disable_grpc_modules -trimpath -ldflags '-s -w' -o "$binaries/" ./cmd/manager ./cmd/runner
fi
"$cache/imagetar" -o "$out" -ref "${REF:-localhost/dbt-operator:dev}" -arch "${ARCH:-$(go env GOARCH)}" -user 65532:65532 \
	-file "/etc/ssl/certs/ca-certificates.crt=$CA_BUNDLE" -file "/runner=$binaries/runner" -file "/manager=$binaries/manager" \
	-entrypoint /manager
