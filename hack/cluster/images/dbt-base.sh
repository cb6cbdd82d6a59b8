#!/usr/bin/env bash
# The layer that all dbt images share: a minimal Debian with Python, and git for dbt deps and dbt debug.
# dbt-base.sh OUT makes OUT.root and OUT.tar.
set -euo pipefail
out=$1
root=$out.root
# The mirror is the machine's own.
mirror=$(apt-get indextargets --format '$(SITE)' "Created-By: Packages" "Codename: bookworm" | head -1)
[[ -n $mirror ]] || mirror=$(apt-get indextargets --format '$(SITE)' "Created-By: Packages" | head -1)
[[ -n $mirror ]] || {
	echo "apt knows no mirror; run apt-get update" >&2
	exit 1
}
rm -rf --one-file-system "$root"
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates,git bookworm "$root" "$mirror"
chroot "$root" groupadd --gid 65532 dbt
chroot "$root" useradd --key UID_MAX=65534 --uid 65532 --gid 65532 --no-create-home --home-dir /workspace/home --shell /usr/sbin/nologin dbt
# What only a person at a terminal or a package manager wants.
rm -rf "$root"/usr/share/{doc,man,info,locale,lintian} "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*
rm -rf "$root"/debootstrap "$root"/var/cache/debconf/*-old "$root"/var/lib/dpkg/*-old
: >"$root/etc/resolv.conf"
# No name of the building machine, and no mirror, in the image.
rm -f "$root/etc/hostname" "$root/etc/apt/sources.list"
tar --numeric-owner --sort=name --xattrs --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* -C "$root" -cf "$out.tar.part" .
mv "$out.tar.part" "$out.tar"
