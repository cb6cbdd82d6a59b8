#!/usr/bin/env bash
# One dbt image: a venv in /opt/dbt as a layer on the shared base. dbt.sh NAME BASE CACHE OUT, where BASE.root and
# BASE.tar are the base and NAME.txt beside this file pins every package.
set -euo pipefail
name=$1 base=$2 cache=$3 out=$4
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$cache/$name.work
bundle=/etc/ssl/certs/ca-certificates.crt

cleanup() {
	umount "$work/root/pip" "$work/root/dev" "$work/root" 2>/dev/null || true
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
cleanup
mkdir -p "$work"/{upper,overlay,root} "$cache/pip"
mount -t overlay overlay -o "lowerdir=$base.root,upperdir=$work/upper,workdir=$work/overlay" "$work/root"
mkdir "$work/root/pip"
mount --bind "$cache/pip" "$work/root/pip"
mount --bind /dev "$work/root/dev"
cp -L /etc/resolv.conf "$work/root/etc/resolv.conf"
cp "$bundle" "$work/root/tmp/ca.crt"
cp "$here/$name.txt" "$work/root/tmp/requirements.txt"

# The package index is the machine's own.
index=()
while IFS='=' read -r key value; do
	index+=("PIP_$(tr 'a-z-' 'A-Z_' <<<"${key##*.}")=$(sed "s/^'//; s/'$//" <<<"$value")")
done < <(pip config list 2>/dev/null | grep -E '^[^=]*\.(index-url|extra-index-url|trusted-host|proxy)=' || true)
for key in ${!PIP_@} http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
	[[ $key =~ ^PIP_(INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST)$|roxy$|PROXY$ && -n ${!key:-} ]] && index+=("$key=${!key}")
done
inside() {
	chroot "$work/root" env -i PATH=/opt/dbt/bin:/usr/bin:/bin LANG=C.UTF-8 HOME=/tmp PIP_CERT=/tmp/ca.crt PIP_CACHE_DIR=/pip \
		PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_DEFAULT_TIMEOUT=180 "${index[@]}" "$@"
}
inside python3 -m venv /opt/dbt
# The list pins everything, so nothing is resolved; byte code is made below.
inside pip install --no-deps --no-compile --pre -r /tmp/requirements.txt
inside pip uninstall -q -y pip

env=(-env LANG=C.UTF-8 -env PYTHONDONTWRITEBYTECODE=1 -env PYTHONUNBUFFERED=1 -env DBT_SEND_ANONYMOUS_USAGE_STATS=false)
if [[ $name == dbt-2.* ]]; then
	# dbt 2.0 looks for its database drivers in the cache folder, under a name of its own; there they need no download
	# and no place to write.
	drivers=/opt/dbt/cache/com.getdbt/adbc/x86_64-manylinux_2_17-linux-gnu
	inside mkdir -p "$drivers"
	inside sh -c "mv /opt/dbt/lib/python3*/site-packages/adbc_driver_postgresql/libadbc_driver_postgresql.so \
		$drivers/libadbc_driver_postgresql-0.21.0+dbt0.21.0.so"
	env+=(-env XDG_CACHE_HOME=/opt/dbt/cache -env DBT_ALLOW_EXPERIMENTAL_ADAPTERS=true)
fi
# Byte code that no time stamp can make stale: the root file system is read-only at run time.
inside python3 -m compileall -q -j 2 --invalidation-mode unchecked-hash /opt/dbt/lib
umount "$work/root/pip" "$work/root/dev" "$work/root"

tar --numeric-owner --sort=name --owner=0 --group=0 --mtime=@0 -C "$work/upper" -cf "$work/layer.tar" opt
"$cache/imagetar" -o "$out" -ref "localhost/dbt:${name#dbt-}" -layer "$base.tar" -layer "$work/layer.tar" \
	-user 65532:65532 -workdir / -env PATH=/opt/dbt/bin:/usr/local/bin:/usr/bin:/bin "${env[@]}" -entrypoint dbt
