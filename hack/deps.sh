#!/usr/bin/env bash
# Installs what building and testing need beside Go. On Debian as root it installs packages; elsewhere it says which
# commands are missing.
set -euo pipefail

# command: Debian package
declare -A needed=(
  [git]=git
  [make]=make
  [curl]=curl
)

missing=()
for command in "${!needed[@]}"; do
  PATH=$PATH:/usr/sbin:/sbin command -v "$command" >/dev/null || missing+=("${needed[$command]}")
done
# The FastAPI gate's tests make an environment of their own. Where it cannot be installed they are skipped, and say so.
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null &&
  ! python3 -c 'import venv, ensurepip' >/dev/null 2>&1; then
  missing+=(python3 python3-venv)
fi
# The pages of `kubectl dbt ui` are tested in a browser. Where there is none, test/ui is skipped, and says so.
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null && [ -z "${CHROMIUM:-}" ] &&
  ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null; then
  missing+=(chromium)
fi
if [ "${#missing[@]}" -eq 0 ]; then
  exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "hack/deps.sh: missing: ${missing[*]} (names of Debian packages). Install them and try again." >&2
  exit 1
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
