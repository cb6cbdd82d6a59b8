#!/usr/bin/env bash
# Makes bin/gate-venv, a Python with what examples/fastapi-gate and its tests need, at the versions pinned there, and
# prints its folder. It is made anew when a pin changes. Exits with 3 when there is no Python that can.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$PWD/bin/gate-venv
pins=examples/fastapi-gate

python=""
for each in python3 python3.13 python3.12 python3.11; do
  if "$each" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
    python=$each
    break
  fi
done
if [ -z "$python" ]; then
  echo "hack/gate-venv.sh: no Python 3.11 or later with venv and pip (Debian packages: python3 python3-venv)" >&2
  exit 3
fi

# Its programs name it by its whole path, so one that was moved along with its checkout is of no use.
wanted=$(cat "$pins/requirements.txt" "$pins/requirements-dev.txt" <("$python" --version) <(echo "$venv") | sha256sum | cut -d ' ' -f 1)
# Two tests may ask at once.
exec 9>"$PWD/bin/gate-venv.lock"
flock 9
if [ "$(cat "$venv/.pins" 2>/dev/null || true)" != "$wanted" ]; then
  echo "making bin/gate-venv" >&2
  "$python" -m venv --clear "$venv" >&2
  # Nothing but what is pinned: what a package needs and the file does not name would be an import error in the tests.
  "$venv/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps -r "$pins/requirements-dev.txt" >&2
  "$venv/bin/python" -m pip --disable-pip-version-check check >&2
  echo "$wanted" >"$venv/.pins"
fi
echo "$venv"
