#!/usr/bin/env bash
# Makes a release in dist/VERSION: static binaries for each platform with a bill of materials each, the image for each and
# as one index, the kubectl plugin for each platform and krew's manifest of it, the manifest and the chart that install it, digests, and provenance. VERSION is the tag that is checked out; to try it
# out, VERSION=v0.0.0-try hack/release.sh. The same commit and Go give the same bytes in every clone.
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=$PWD
export ROOT

fail() {
  echo "hack/release.sh: $*" >&2
  exit 1
}

version=${VERSION:-$(git describe --tags --exact-match 2>/dev/null)} ||
  fail "no tag is checked out: check one out, or set VERSION to try it out"
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || fail "found the version $version, want one such as v1.2.3"
[ -z "$(git status --porcelain)" ] || fail "there are changes that are not committed: provenance names a commit"
commit=$(git rev-parse HEAD)
image=ghcr.io/dbt-operator/dbt-operator
CA_BUNDLE=${CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}
export CA_BUNDLE
[ -s "$CA_BUNDLE" ] || fail "there is no CA bundle at $CA_BUNDLE: set CA_BUNDLE"

out=$ROOT/dist/$version
rm -rf "$out"
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go -C hack/cluster build -trimpath -o "$work/imagetar" ./imagetar
go -C hack/release build -trimpath -o "$work/release" .

images=()
for arch in amd64 arm64; do
  echo "building for linux/$arch" >&2
  mkdir -p "$work/$arch"
  # A developer's GOFLAGS may leave the commit out of the binary.
  CGO_ENABLED=0 GOOS=linux GOARCH=$arch GOFLAGS='' go build -tags disable_grpc_modules -trimpath -buildvcs=true \
    -ldflags "-s -w -X main.version=$version" -o "$work/$arch/" ./cmd/manager ./cmd/runner
  # Go leaves the commit out in silence where .git is a file.
  go version -m "$work/$arch/manager" | grep -q "vcs.revision=$commit" ||
    fail "the binaries do not name the commit they were made of: release from a clone, not from a linked worktree"
  for name in manager runner; do
    cp "$work/$arch/$name" "$out/${name}_linux_$arch"
    bin/tools/cyclonedx-gomod bin -json -noserial -notimestamp -version "$version" \
      -output "$out/${name}_linux_$arch.cdx.json" "$out/${name}_linux_$arch" 2>"$work/bom.log" || fail "$(cat "$work/bom.log")"
  done
  BINARIES=$work/$arch ARCH=$arch REF=$image:$version bash hack/cluster/images/operator.sh "$work" "$out/image_linux_$arch.tar"
  images+=("$out/image_linux_$arch.tar")
done
for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do
  echo "building the plugin for $platform" >&2
  os=${platform%/*} arch=${platform#*/} program=kubectl-dbt
  [ "$os" != windows ] || program=kubectl-dbt.exe
  name=kubectl-dbt_${os}_$arch
  mkdir -p "$work/$name"
  CGO_ENABLED=0 GOOS=$os GOARCH=$arch GOFLAGS='' go build -tags disable_grpc_modules -trimpath -buildvcs=true \
    -ldflags "-s -w -X main.version=$version" -o "$work/$name/$program" ./cmd/kubectl-dbt
  bin/tools/cyclonedx-gomod bin -json -noserial -notimestamp -version "$version" \
    -output "$out/$name.cdx.json" "$work/$name/$program" 2>"$work/bom.log" || fail "$(cat "$work/bom.log")"
  "$work/release" archive -o "$out/$name.tar.gz" "$work/$name/$program" LICENSE
done
"$work/release" krew -version "$version" -o "$out/dbt.krew.yaml" "$out"/kubectl-dbt_*.tar.gz
"$work/release" index -o "$out/image.oci.tar" -ref "$image:$version" "${images[@]}"

# config/manager/kustomization.yaml is the one place that names the image.
bin/tools/kustomize build config/default | sed "s|$image:[^[:space:]]*|$image:$version|" >"$out/install.yaml"
[ "$(grep -c "$image:$version\$" "$out/install.yaml")" = 2 ] || fail "install.yaml does not name $image:$version twice"

hack/chart.sh package "$version" "$out" >&2

"$work/release" provenance -version "$version" -commit "$commit" ${BUILDER:+-builder "$BUILDER"} -o "$work/provenance.json" "$out"/*
mv "$work/provenance.json" "$out/provenance.intoto.json"
(cd "$out" && sha256sum -- * >"$work/SHA256SUMS" && mv "$work/SHA256SUMS" SHA256SUMS)
"$work/release" check "$out"
echo "made $out:" >&2
(cd "$out" && ls -l) >&2
