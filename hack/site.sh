#!/usr/bin/env bash
# Builds the site of docs/ into dist/site: links are checked first, then Hugo makes pages that need no network and no server.
# It needs bin/tools/hugo (make docs sees to it) and, once, npm for the one script that pages with diagrams have.
set -euo pipefail
cd "$(dirname "$0")/.."

# What draws Mermaid's diagrams, which GitHub does itself: one file of the package, as its authors built it (MIT).
mermaid=12.3.0
integrity=sha512-4113TdXeLAsMruJ79OpFL5O8+LTFXhQqZ260rF3tgUmiNAtRm4Uume04I+65PRN6yZ69J4f8rVYWW8zRk65UYw==

static=bin/site
if [ "$(cat "$static/.mermaid" 2>/dev/null || true)" != "$integrity" ]; then
  command -v npm >/dev/null || {
    echo "hack/site.sh: npm is needed, once, to fetch mermaid $mermaid (Debian package: npm)" >&2
    exit 1
  }
  temp=$(mktemp -d)
  trap 'rm -rf "$temp"' EXIT
  npm pack --silent --pack-destination "$temp" "mermaid@$mermaid" >/dev/null
  got=sha512-$(openssl dgst -sha512 -binary "$temp/mermaid-$mermaid.tgz" | base64 -w 0)
  if [ "$got" != "$integrity" ]; then
    echo "hack/site.sh: mermaid $mermaid has the digest $got, not the one pinned" >&2
    exit 1
  fi
  mkdir -p "$static"
  tar -xzf "$temp/mermaid-$mermaid.tgz" -C "$static" --strip-components=2 package/dist/mermaid.min.js
  echo "$integrity" >"$static/.mermaid"
fi

go -C test/docs test -count=1 ./links

# Colours of code, for light and dark.
colours=hack/site/assets
{
  echo '@media (prefers-color-scheme: light) {'
  bin/tools/hugo gen chromastyles --style=github
  echo '}'
} >"$colours/light.css"
{
  echo '@media (prefers-color-scheme: dark) {'
  bin/tools/hugo gen chromastyles --style=github-dark
  echo '}'
} >"$colours/dark.css"

bin/tools/hugo --source hack/site --destination "$PWD/dist/site" --cleanDestinationDir --panicOnWarning --noBuildLock --minify
echo "the site is in dist/site: open dist/site/index.html"
